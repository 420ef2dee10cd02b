"""Encoded images to arrays: the one decoder that data sets, validation and inference share."""

import os
import re
import stat
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from textspot.image_decoding import ImageError as ImageError
from textspot.image_decoding import decode_by_pillow, open_image, orientation, turn_upright
from textspot.image_decoding import upright_size as upright_size
from textspot.image_process import decode_in_process

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif"}
IMAGE_SUFFIXES |= {".jp2", ".j2k", ".j2c", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".avif"}
MAX_FILE_BYTES = 512 << 20  # of an encoded image
MAX_SCANS = 64  # of a JPEG, which usually has up to a dozen: each goes over all pixels, however few bytes it takes

# Decoded in this process: what these take is known from their headers. All others go to a process that bounds itself.
_BOUNDED = ("JPEG", "MPO", "PNG")

# What OpenCV decodes to the same pixels as Pillow in less time; other modes hold transparency, inks or a palette.
_BY_OPENCV = (*_BOUNDED, "WEBP")
_PLAIN_MODES = ("RGB", "L")

# JPEG keeps blocks of 8 x 8 pixels, which can be decoded to 4 x 4, 2 x 2 or 1 in less than half the time.
_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,  # not grey: these are the bits that IMREAD_COLOR_RGB can be joined with
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}

_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
_PNG_ORIENTATION = (b"eXIf", b"exif", b"com.adobe.xmp")  # chunks that may hold one, and may stand behind the pixels


def decode_image(data: bytes, name: str = "image") -> np.ndarray:
    """Decode a file's bytes to an image (H, W, 3) uint8 RGB, upright as its EXIF orientation says.

    Grey, palette, 16-bit (scaled to 8) and CMYK images become RGB. Transparency is laid over white, or over black or
    grey if more of the visible pixels stand out from that, as white letters do. Of several frames or pages the first
    one counts; of a TIFF a warning says so. Only the formats in `image_decoding.FORMATS` are read, by content. Bytes
    that are no such image, are cut short, claim more than `MAX_PIXELS` pixels or take too much time or memory are an
    `ImageError` that begins with `name`.
    """
    return decode_reduced(data, name, None)[0]


def decode_reduced(data: bytes, name: str, least_side: int | None) -> tuple[np.ndarray, int]:
    """As `decode_image`, but a JPEG may come at a half, a quarter or an eighth of its size; also its divisor.

    That is the largest one that leaves the longer side `least_side` pixels. It divides both sides without remainder, so
    that coordinates are divided exactly, whatever the orientation.
    """
    with open_image(data, name) as header:
        _refuse_scans(header, data, name)
        try:
            divisor = _choose_divisor(header, least_side)
            pixels = _decode_by_opencv(header, data, divisor)
            if pixels is not None:
                return pixels, divisor
            pixels = decode_by_pillow(header, name) if header.format in _BOUNDED else decode_in_process(data, name)
            return pixels, 1
        except ImageError:
            raise
        except Exception as error:  # on damaged bytes Pillow's decoders raise anything
            raise ImageError(f"{name}: cannot be decoded as an image ({error})") from error


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a file to an image (H, W, 3) uint8 RGB; see `decode_image` and `read_file`."""
    return decode_image(read_file(path), name=os.fspath(path))


def read_file(path: str | os.PathLike) -> bytes:
    """The bytes of an image file. A missing file is a FileNotFoundError, one that is no regular file or of more than
    `MAX_FILE_BYTES` an `ImageError`."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{os.fspath(path)}: a folder, a pipe or a device, expected an image file")
    if status.st_size > MAX_FILE_BYTES:
        raise ImageError(f"{os.fspath(path)}: {status.st_size} bytes, at most {MAX_FILE_BYTES} are read")
    return Path(path).read_bytes()


def _decode_by_opencv(header: Image.Image, data: bytes, divisor: int) -> np.ndarray | None:
    """The pixels, upright; None for what only Pillow decodes."""
    is_png = header.format == "PNG"
    if header.format not in _BY_OPENCV or header.mode not in _PLAIN_MODES or header.has_transparency_data:
        return None
    if is_png and any(mark in data for mark in _PNG_ORIENTATION):
        return None
    flags = cv2.IMREAD_COLOR_RGB | _REDUCED[divisor] | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    return pixels if pixels is None or is_png else turn_upright(pixels, orientation(header))


def _choose_divisor(header: Image.Image, least_side: int | None) -> int:
    if least_side is None or header.format not in ("JPEG", "MPO"):
        return 1
    sides, longest = header.size, max(header.size)
    return max(d for d in _REDUCED if d == 1 or (longest >= d * least_side and not any(side % d for side in sides)))


def _refuse_scans(header: Image.Image, data: bytes, name: str) -> None:
    if header.format not in ("JPEG", "MPO") or data.count(b"\xff" + _START_OF_SCAN) <= MAX_SCANS:
        return  # though thumbnails are counted too
    if (scans := count_scans(data)) > MAX_SCANS:
        raise ImageError(f"{name}: a JPEG of {scans} scans, at most {MAX_SCANS} are read: save it anew")


def count_scans(data: bytes) -> int:
    """How often the first image of a JPEG file goes over its pixels."""
    scans, place = 0, 2
    while found := _JPEG_MARKER.search(data, place):
        if found[1] == _END_OF_IMAGE:
            break
        scans += found[1] == _START_OF_SCAN
        place = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return scans
