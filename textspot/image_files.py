"""Encoded images to arrays: the one decoder that data sets, validation and inference share."""

import io
import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".ppm", ".pgm", ".avif"}
MAX_PIXELS = 80_000_000  # 240 MB decoded; a small file can claim far more and take the machine's memory

# What OpenCV decodes to the same pixels as Pillow in half the time; other modes hold transparency, inks or a palette.
_PLAIN_MODES = ("RGB", "L")

_LIKELY = ("JPEG", "PNG", "WEBP")  # asked first: Pillow asks forty others before WebP, which takes 0.1 ms

# JPEG keeps blocks of 8 x 8 pixels, which can be decoded to 4 x 4, 2 x 2 or 1 in less than half the time.
_REDUCED = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,  # not grey: these are the bits that IMREAD_COLOR_RGB can be joined with
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}

_EXIF_ORIENTATION = 0x0112
_FIRST_TURNED = 5  # orientations from here on exchange width and height


class ImageError(ValueError):
    """An image that cannot be decoded; the message names it."""


def decode_image(data: bytes, name: str = "image") -> np.ndarray:
    """Decode a file's bytes to an image (H, W, 3) uint8 RGB, upright as its EXIF orientation says.

    Grey, palette, 16-bit (scaled to 8) and CMYK images become RGB, transparency is laid over white, and of several
    frames or pages the first one counts. Bytes that are no image, are cut short or claim more than `MAX_PIXELS` pixels
    are an `ImageError` that begins with `name`.
    """
    return decode_reduced(data, name, None)[0]


def decode_reduced(data: bytes, name: str, least_side: int | None) -> tuple[np.ndarray, int]:
    """As `decode_image`, but a JPEG may come at a half, a quarter or an eighth of its size; also its divisor.

    That is the largest one that leaves the longer side `least_side` pixels. It divides both sides without remainder, so
    that coordinates are divided exactly, whatever the orientation.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty")
    try:
        with _open(data) as header:
            _refuse_huge(header.size, name)
            if header.mode in _PLAIN_MODES and not header.has_transparency_data:
                divisor = _choose_divisor(header, least_side)
                flags = cv2.IMREAD_COLOR_RGB | _REDUCED[divisor]
                image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
                if image is not None:
                    return image, divisor
            return _decode_with_pillow(header, name), 1
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name}: {error}; at most {MAX_PIXELS} pixels are read: scale it down or cut it") from error
    except (OSError, SyntaxError, EOFError, ValueError, cv2.error) as error:  # what Pillow's readers raise on bad bytes
        raise ImageError(f"{name}: cannot be decoded as an image ({error})") from error


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_LIKELY)
    except UnidentifiedImageError:
        return Image.open(io.BytesIO(data))


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a file to an image (H, W, 3) uint8 RGB; see `decode_image`. A missing file is a FileNotFoundError."""
    return decode_image(Path(path).read_bytes(), name=os.fspath(path))


def upright_size(data: bytes, name: str) -> tuple[int, int]:
    """(height, width) of an encoded image as `decode_image` shows it, from its header alone; else an `ImageError`."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= _FIRST_TURNED
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{name}: is no image that can be read ({error})") from error
    return (width, height) if turned else (height, width)


def _choose_divisor(header: Image.Image, least_side: int | None) -> int:
    if least_side is None or header.format not in ("JPEG", "MPO"):
        return 1
    sides, longest = header.size, max(header.size)
    return max(d for d in _REDUCED if d == 1 or (longest >= d * least_side and not any(side % d for side in sides)))


def _refuse_huge(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name}: {width} x {height} pixels, at most {MAX_PIXELS} are read: scale it down or cut it into pieces"
        )


def _decode_with_pillow(image: Image.Image, name: str) -> np.ndarray:
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F"):
        raise ImageError(f"{name}: holds 32-bit pixels without a stated range: convert it to 8 or 16 bits")
    if upright.mode.startswith("I;16"):  # Pillow itself would cut the values off at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    return np.array(upright.convert("RGB"))  # a copy: views of Pillow images cannot be written to
