"""What a runtime built holds on to besides memory: threads, which a fork does not take along, nor does a pickle."""

import ctypes
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

_PAUSE_HARD = 2  # omp_pause_hard of OpenMP 5.0: threads end and memory is freed; both come back when next needed
_MAPS = Path("/proc/self/maps")
_OPENMP = re.compile(r"lib[gi]?omp\d*\b.*\.so")


class OwnedByProcess:
    """Something that is built where it is used: by this process, again after a fork, and again where a pickle arrives.

    `build` is a function that can be pickled. What a fork inherited is kept, never used: to take it apart would wait
    for threads that are not there.
    """

    def __init__(self, build: Callable[[], Any]):
        self._build = build
        self._inherited: list[Any] = []
        self._value, self._process = build(), os.getpid()

    def get(self) -> Any:
        """What was built in this process."""
        if self._process != os.getpid():
            self._inherited.append(self._value)
            self._value, self._process = self._build(), os.getpid()
        return self._value

    def __getstate__(self) -> dict[str, Any]:
        return {"_build": self._build, "_inherited": [], "_value": None, "_process": -1}


@cache
def can_fork() -> bool:
    """Whether processes that are forked from now on can compute with OpenMP, as PyTorch does; prepares for it.

    GNU's OpenMP waits for ever, in a fork, for the threads of the process it was forked from. They are ended before
    each fork, and start again by themselves.
    """
    libraries = _loaded_openmp()
    if not libraries or not hasattr(os, "register_at_fork"):
        return False
    os.register_at_fork(before=lambda: [library.omp_pause_resource_all(_PAUSE_HARD) for library in libraries])
    return True


def _loaded_openmp() -> list[Any]:
    """The OpenMP libraries of this process; none unless all can end their threads."""
    try:
        mapped = {line.split()[-1] for line in _MAPS.read_text(encoding="utf-8").splitlines()}
        libraries = [ctypes.CDLL(file) for file in sorted(mapped) if _OPENMP.match(Path(file).name)]
    except OSError:
        return []
    return libraries if all(hasattr(library, "omp_pause_resource_all") for library in libraries) else []
