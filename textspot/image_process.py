"""Images whose decoders take time and memory that no header tells, decoded in a process that is bounded."""

import struct
import warnings
from typing import Any

import numpy as np

from textspot.bounded_process import BoundedProcess, Limits, ProcessError
from textspot.image_decoding import ImageError, count_pages, decode_by_pillow, open_image

LIMITS = Limits("textspot.image_process:decode_bytes", seconds=8, num_bytes=1 << 30)

PAGE = struct.Struct("<Q")  # goes before the image

_process = BoundedProcess(LIMITS)


def decode_in_process(data: bytes, name: str, page: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image, decoded in a process of its own; an `ImageError` says what became of it.

    `page`, from 1, is that of a file that holds several; 0 is the first one, with a warning if there are more.
    """
    try:
        header, payload = _process.ask(PAGE.pack(page) + data)
    except ProcessError as error:
        raise ImageError(f"{name}: {error}: convert it to JPEG or PNG") from None
    if complaint := header.get("complaint"):
        raise ImageError(f"{name}: {complaint}")
    if header["pages"] > 1 and not page:
        warnings.warn(f"{name}: page 1 of {header['pages']} is read", stacklevel=2)
    return np.frombuffer(payload, dtype=np.uint8).reshape(*header["size"], 3)


def decode_bytes(request: bytes) -> tuple[dict[str, Any], memoryview]:
    """In the process: size and pixels of a page of an image, or a complaint."""
    limit = f"{LIMITS.num_bytes >> 20} MiB"
    (page,), data = PAGE.unpack(request[: PAGE.size]), request[PAGE.size :]
    try:
        with open_image(data, "") as image:
            pages = count_pages(image)
            image.seek(max(0, page - 1))
            pixels = decode_by_pillow(image, "")
        return {"pages": pages, "size": pixels.shape[:2]}, pixels.data.cast("B")
    except ImageError as error:
        complaint = str(error).removeprefix(": ")
    except MemoryError:
        complaint = f"takes more than {limit} to decode: scale it down or cut it into pieces"
    except Exception as error:  # on damaged bytes Pillow's decoders raise anything, and some hide a want of memory
        complaint = f"cannot be decoded as an image ({error}), or not within {limit}"
    return {"complaint": complaint}, memoryview(b"")
