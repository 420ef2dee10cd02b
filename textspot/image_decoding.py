"""Any listed kind of image file to an upright RGB array, by Pillow; what is not listed is never given to a decoder."""

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

# By content, whatever the file is called. Pillow knows more kinds: for EPS it would start Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "PPM", "AVIF")
MAX_PIXELS = 80_000_000  # 240 MB decoded; a small file can claim far more and take the machine's memory
EXIF_ORIENTATION = 0x0112

_STRIP_PIXELS = 1 << 22  # converted at a time, so that no second copy of a large image is made
_VISIBLE = 128  # the alpha from which on a pixel counts for the choice of a ground
_NEAR = 48  # levels of brightness: what is nearer to its ground is hard to see
_GROUNDS = (255, 0, 128)

_FIRST_TURNED = 5  # orientations from here on exchange width and height
_OTHER_KINDS = {
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "a PDF",
    b"8BPS": "a Photoshop document",
    b"<svg": "an SVG drawing",
}
_AVIF_BRANDS = (b"avif", b"avis")
_MATROSKA = b"\x1a\x45\xdf\xa3"  # WebM too
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


class ImageError(ValueError):
    """An image that cannot be decoded; the message names it."""


class ImageTooLargeError(ImageError):
    """An image of more pixels, or a file of more pages, than are read."""


def open_image(data: bytes, name: str) -> Image.Image:
    """The image of a file's bytes with its header read; an `ImageError` if it is of no listed format or empty, an
    `ImageTooLargeError` if it claims more than `MAX_PIXELS` pixels."""
    if not data:
        raise ImageError(f"{name}: the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        remedy = f"at most {MAX_PIXELS} pixels are read: scale it down or cut it into pieces"
        raise ImageTooLargeError(f"{name}: {error}; {remedy}") from error
    except Exception as error:  # on damaged bytes the readers of headers raise anything
        raise ImageError(f"{name}: cannot be decoded as an image ({_explain(data, error)})") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"{name}: {width} x {height} pixels, at most {MAX_PIXELS} are read: scale it down or cut it into pieces"
        )
    return image


def _explain(data: bytes, error: Exception) -> str:
    """Why no header could be read: another kind of file, or what Pillow says."""
    kind = next((kind for start, kind in _OTHER_KINDS.items() if data.startswith(start)), None)
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        kind = "a HEIC image"
    if kind:
        return f"it is {kind}: convert it to JPEG or PNG"
    if _is_video(data):
        return "it is a video: give its frames as images"
    if isinstance(error, OSError):
        return f"its content is none of {', '.join(FORMATS)}"
    return str(error)


def _is_video(data: bytes) -> bool:
    """Whether it begins as an MP4, Matroska, WebM or AVI file does."""
    if data[4:8] == b"ftyp":
        return data[8:12] not in (*_HEIF_BRANDS, *_AVIF_BRANDS)
    return data[:4] == _MATROSKA or (data[:4] == b"RIFF" and data[8:12] == b"AVI ")


def orientation(image: Image.Image) -> int:
    """The EXIF or XMP orientation, 1 to 8: 1, upright, where there is none or none that can be read."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block is no reason to refuse the pixels; its readers raise anything
        return 1
    return value if value in range(1, 9) else 1


def upright_size(data: bytes, name: str) -> tuple[int, int]:
    """(height, width) of an encoded image as `decode_image` shows it, from its header alone; else an `ImageError`."""
    with open_image(data, name) as image:
        width, height = image.size
        turned = image.format != "TIFF" and orientation(image) >= _FIRST_TURNED  # Pillow turns a TIFF by itself
        return (width, height) if turned else (height, width)


def turn_upright(pixels: np.ndarray, exif_orientation: int) -> np.ndarray:
    """Pixels (H, W, 3) as stored to pixels as seen; contiguous, and the same array if nothing is to be done."""
    mirrored = {2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1]}
    transposed = pixels.transpose(1, 0, 2)
    turned = {5: transposed, 6: transposed[:, ::-1], 7: transposed[::-1, ::-1], 8: transposed[::-1]}
    return np.ascontiguousarray((mirrored | turned).get(exif_orientation, pixels))


def decode_by_pillow(image: Image.Image, name: str) -> np.ndarray:
    """An opened image to (H, W, 3) uint8 RGB, upright; see `decode_image`. Anything may be raised on damaged bytes."""
    if image.mode in ("I", "F"):
        raise ImageError(f"{name}: holds 32-bit pixels without a stated range: convert it to 8 or 16 bits")
    image.load()
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    has_ground = image.has_transparency_data and not image.mode.startswith("I;16")
    ground = _choose_ground(image) if has_ground else None
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = _to_rgb(strip, ground)
    return turn_upright(pixels, orientation(image))


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image in pieces of full width, each with its first row."""
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _to_rgb(strip: Image.Image, ground: int | None) -> np.ndarray:
    if strip.mode.startswith("I;16"):  # Pillow itself would cut the values off at 255
        return np.repeat((np.asarray(strip) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if ground is not None:
        below = Image.new("RGBA", strip.size, (ground, ground, ground, 255))
        strip = Image.alpha_composite(below, strip.convert("RGBA"))
    return np.asarray(strip.convert("RGB"))


def _choose_ground(image: Image.Image) -> int:
    """The brightness of what a transparent image is laid over: white, unless fewer of its visible pixels come near to
    black, or to grey."""
    counts = np.zeros(256, dtype=np.int64)
    for _, strip in _strips(image):
        transparent = strip.convert("RGBA")
        visible = np.asarray(transparent.getchannel("A")) >= _VISIBLE
        counts += np.bincount(np.asarray(transparent.convert("RGB").convert("L"))[visible], minlength=256)
    levels = np.arange(256)
    return min(_GROUNDS, key=lambda ground: int(counts[abs(levels - ground) < _NEAR].sum()))


def count_pages(image: Image.Image) -> int:
    """How many pages a TIFF has; 1 of anything else."""
    return getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
