"""Frames of a video, decoded in a process that is bounded: the decoders are C, and the bytes come from strangers."""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from textspot.bounded_process import BoundedProcess, Limits, ProcessError
from textspot.image_decoding import MAX_PIXELS, ImageError

LIMITS = Limits("textspot.video_process:answer", seconds=60, num_bytes=4 << 30)  # for each request
MOST_SKIPPED = 100  # frames that one request passes over: an hour of them may take longer than any limit

_NOTHING = memoryview(b"")
_process = BoundedProcess(LIMITS)
_keys = itertools.count()
_videos: dict[int, "_Video"] = {}  # in the process, those that are being read


def frames_of_video(path: str, every_s: float) -> Iterator[tuple[int, float, np.ndarray]]:
    """Index, time in seconds and pixels (H, W, 3) uint8 RGB of a frame every so many seconds, the first one at the
    start. What is no video is an `ImageError`, and so is, after its frames, one that ends before it says it does."""
    key = next(_keys)
    try:
        about, _ = _ask(path, key)
        rate, stated = about["rate"], about["stated"]
        wanted = 0.0
        while True:
            found, payload = _ask(path, key, round(wanted))
            if "size" in found:
                index = found["index"]
                yield index, index / rate, np.frombuffer(payload, dtype=np.uint8).reshape(*found["size"], 3)
                wanted += max(1.0, every_s * rate)
            elif "end" in found:
                break
        if found["end"] < stated - rate:  # containers miscount by a few
            raise ImageError(f"{path}: ends after {found['end']} of {stated:.0f} frames: is it complete?")
    finally:
        _ask(path, key, close=True)


def _ask(path: str, key: int, index: int | None = None, close: bool = False) -> tuple[dict[str, Any], memoryview]:
    place = os.path.abspath(path)  # the process stays in the folder in which it was started
    question = {"path": place, "key": key, "index": index, "close": close}
    try:
        header, payload = _process.ask(json.dumps(question).encode())
    except ProcessError as error:
        raise ImageError(f"{path}: {error}: convert it to another kind of video") from None
    if complaint := header.get("complaint"):
        raise ImageError(f"{path}: {complaint}")
    return header, payload


def answer(request: bytes) -> tuple[dict[str, Any], memoryview]:
    """In the process: of a video its rate and number of frames, or the frame of an index, or how far it is on the way
    there, or where it ends, or a complaint."""
    question = json.loads(request)
    key, index = question["key"], question["index"]
    if question["close"]:
        _videos.pop(key, None)
        return {}, _NOTHING
    if key not in _videos:
        _videos[key] = _Video(question["path"])
    try:
        return _videos[key].describe() if index is None else _videos[key].find(index)
    except (ValueError, cv2.error, MemoryError) as error:
        return {"complaint": str(error) or f"takes more than {LIMITS.num_bytes >> 20} MiB to decode"}, _NOTHING


class _Video:
    def __init__(self, path: str):
        self._capture = cv2.VideoCapture(path, cv2.CAP_ANY)
        self._num_grabbed = 0

    def describe(self) -> tuple[dict[str, Any], memoryview]:
        rate, stated = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if not self._capture.isOpened() or not 0 < rate < 1000:
            raise ValueError("cannot be read as a video")
        if self._capture.get(cv2.CAP_PROP_FRAME_WIDTH) * self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT) > MAX_PIXELS:
            raise ValueError(f"frames of more than {MAX_PIXELS} pixels: scale it down")
        return {"rate": rate, "stated": stated}, _NOTHING

    def find(self, index: int) -> tuple[dict[str, Any], memoryview]:
        for _ in range(MOST_SKIPPED):
            if not self._capture.grab():
                return {"end": self._num_grabbed}, _NOTHING
            self._num_grabbed += 1
            if self._num_grabbed > index:
                return self._retrieve()
        return {"at": self._num_grabbed}, _NOTHING

    def _retrieve(self) -> tuple[dict[str, Any], memoryview]:
        ok, frame = self._capture.retrieve()
        if not ok:
            raise ValueError(f"frame {self._num_grabbed} cannot be decoded")
        pixels = np.ascontiguousarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        return {"index": self._num_grabbed - 1, "size": pixels.shape[:2]}, pixels.data.cast("B")
