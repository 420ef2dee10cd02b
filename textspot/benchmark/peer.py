"""Another program on the same images: asked image by image through its standard input and output.

The protocol: the program gets the path of an image as one line on its standard input, and answers with one line of JSON
on its standard output, in the form of `Prediction.to_dict`:

    {"instances": [{"polygon": [[x, y], [x, y], [x, y], [x, y]], "text": "EXIT", "score": 0.98}, ...]}

Coordinates are pixels of the image, clockwise from where reading starts; `score` may be left out. It goes on until its
input ends. What it says on standard error goes to the terminal; its standard output is for answers alone.
"""

import json
import shlex
import subprocess
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from textspot.benchmark.machine import memory_bytes
from textspot.structures import Prediction, TextInstance

EXPECTED = 'expected one line such as {"instances": [{"polygon": [[x, y], ...], "text": "EXIT"}]}'
SHOWN = 200  # characters of a wrong answer


class PeerError(ValueError):
    """A program that could not be started, ended, or answered something else; the message holds its command."""


class Peer:
    """A program that reads images; called with a path it gives what it found. Use it in a `with`: then it ends."""

    def __init__(self, command: str):
        self.command = command
        try:
            self._process = subprocess.Popen(
                shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", bufsize=1
            )
        except (OSError, ValueError, IndexError) as error:
            raise PeerError(f"peer {command!r}: cannot be started ({error})") from error
        self._input, self._output = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_raised: object) -> None:
        self._process.kill()  # its answers are all here; what it would do at its end nobody waits for
        self._process.communicate()

    def __call__(self, image: Path) -> Prediction:
        """What the program finds in an image. Its size is not known: (0, 0)."""
        who = f"peer {self.command!r}"
        try:
            self._input.write(f"{image.absolute()}\n")
            answer = self._output.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise PeerError(f"{who}: ended with status {self._process.wait()} instead of reading {image}")
        try:
            return Prediction(tuple(map(_to_instance, json.loads(answer)["instances"])), (0, 0), str(image))
        except (ValueError, KeyError, TypeError) as error:
            raise PeerError(f"{who}: answered {answer[:SHOWN]!r} to {image} ({error}); {EXPECTED}") from error

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most memory the program had so far, without that of programs it started; None where nobody knows."""
        return memory_bytes("VmHWM", self._process.pid)


def _to_instance(found: dict[str, Any]) -> TextInstance:
    return TextInstance(np.array(found["polygon"], dtype=np.float32), str(found["text"]), float(found.get("score", 1)))
