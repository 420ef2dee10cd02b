"""MATLAB files, read in a process that is bounded: on damaged bytes scipy's reader in C crashes."""

import io
import pickle
from collections.abc import Sequence
from typing import Any

from textspot.bounded_process import BoundedProcess, Limits, ProcessError

# All of SynthText is one file, which takes minutes and some gigabytes.
LIMITS = Limits("textspot.data.mat_process:load_bytes", seconds=900, num_bytes=16 << 30)

_process = BoundedProcess(LIMITS)


def load_variables(raw: bytes, names: Sequence[str]) -> dict[str, Any]:
    """Variables of a MATLAB file, those that it holds; a ValueError if it is none, an ImportError without scipy."""
    try:
        header, payload = _process.ask(pickle.dumps((list(names), raw)))
    except ProcessError as error:
        raise ValueError(str(error)) from None
    if header.get("missing"):
        raise ImportError(header["missing"])
    if header.get("complaint"):
        raise ValueError(header["complaint"])
    return pickle.loads(payload)  # written by our own code, of plain arrays


def load_bytes(request: bytes) -> tuple[dict[str, Any], bytes]:
    """In the process: the variables, pickled, or a complaint."""
    names, raw = pickle.loads(request)
    try:
        from scipy.io import loadmat
    except ImportError as error:
        return {"missing": str(error)}, b""
    try:
        values = loadmat(io.BytesIO(raw), variable_names=names)
        return {}, pickle.dumps({name: values[name] for name in names if name in values}, protocol=5)
    except Exception as error:  # on damaged bytes this reader raises anything, an UnboundLocalError too
        return {"complaint": str(error) or type(error).__name__}, b""
