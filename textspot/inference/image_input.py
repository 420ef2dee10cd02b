"""Whatever users hold an image in, to an array: a path, a URL, bytes, an open file, a Pillow image, an array."""

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from textspot.downloads import download, is_url
from textspot.image_decoding import ImageError, decode_by_pillow
from textspot.image_files import MAX_FILE_BYTES, decode_image, read_image


class ReadableFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self, size: int, /) -> Any: ...


ImageLike = np.ndarray | Image.Image | bytes | bytearray | memoryview | str | os.PathLike | ReadableFile


def is_one_image(value: object) -> bool:
    """Whether a value is one image, and not a sequence of them."""
    return isinstance(value, np.ndarray | Image.Image | bytes | bytearray | memoryview | str | os.PathLike) or hasattr(
        value, "read"
    )


def name_of(image: ImageLike) -> str:
    """What messages and results call it: the path or URL; empty for what has none."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    name = getattr(image, "name", "") or getattr(image, "filename", "")
    return name if isinstance(name, str) else ""


def to_array(image: ImageLike) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB, upright; an array as it is.

    What cannot be decoded is an `ImageError`, what cannot be read or fetched an OSError, what is nothing of the kind a
    TypeError.
    """
    if isinstance(image, np.ndarray):
        return image
    name = name_of(image) or "image"
    if isinstance(image, Image.Image):
        return _from_pillow(image, name)
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), name)
    if is_url(image):
        return decode_image(download(str(image)), name)
    if isinstance(image, str | os.PathLike):
        return read_image(Path(image))
    if hasattr(image, "read"):
        return decode_image(_read_all(image, name), name)
    raise TypeError(
        f"expected a path, a URL, bytes, an open file, a Pillow image or an array as an image, found {type(image)}"
    )


def _from_pillow(image: Image.Image, name: str) -> np.ndarray:
    try:
        return decode_by_pillow(image, name)
    except ImageError:
        raise
    except Exception as error:  # on damaged bytes Pillow's decoders raise anything
        raise ImageError(f"{name}: cannot be decoded as an image ({error})") from error


def _read_all(file: ReadableFile, name: str) -> bytes:
    data = file.read(MAX_FILE_BYTES + 1)
    if not isinstance(data, bytes):
        raise TypeError(f"{name}: gives text, expected bytes: open it with mode 'rb'")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name}: more than {MAX_FILE_BYTES} bytes, at most as many are read")
    return data
