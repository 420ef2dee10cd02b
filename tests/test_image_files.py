"""The one decoder: every kind of file becomes upright 8-bit RGB or an error that names it."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from textspot import image_files
from textspot.image_files import ImageError, decode_image, decode_reduced, read_image, upright_size

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PICTURE = np.zeros((16, 32, 3), np.uint8)  # one colour in each quarter: red, green / blue, white
PICTURE[:8, :16], PICTURE[:8, 16:], PICTURE[8:, :16], PICTURE[8:, 16:] = RED, GREEN, BLUE, WHITE


def encode(image: Image.Image | np.ndarray, format_name: str, **options) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats(format_name: str) -> None:
    np.testing.assert_array_equal(decode_image(encode(PICTURE, format_name)), PICTURE)


@pytest.mark.parametrize(("format_name", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})])
def test_lossy_formats(format_name: str, options: dict) -> None:
    decoded = decode_image(encode(PICTURE, format_name, **options))
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded[4::8, 8::16].astype(int), PICTURE[4::8, 8::16].astype(int), atol=6)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_tiny_images(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, np.uint8)
    np.testing.assert_array_equal(decode_image(encode(image, "PNG")), image)


# What EXIF orientation o says was done to the upright picture: undone by the decoder.
TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a.transpose(1, 0, 2), 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(("format_name", "mode"), [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P")])
def test_exif_orientation(orientation: int, format_name: str, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](PICTURE))).convert(mode)
    decoded = decode_image(encode(stored, format_name, exif=exif, **({"quality": 95} if format_name == "JPEG" else {})))
    assert decoded.shape == PICTURE.shape
    np.testing.assert_allclose(decoded[4::8, 8::16].astype(int), PICTURE[4::8, 8::16].astype(int), atol=6)


@pytest.mark.parametrize(
    ("size", "least_side", "divisor"),
    [
        ((320, 640), None, 1),
        ((320, 640), 321, 1),
        ((320, 640), 320, 2),
        ((640, 320), 100, 4),
        ((320, 640), 1, 8),
        ((324, 640), 1, 4),  # 324 is no multiple of 8
        ((321, 640), 1, 1),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_large_jpeg_may_be_decoded_smaller(size, least_side, divisor, mode) -> None:
    shades = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = Image.fromarray(cv2.resize(shades, size[::-1], interpolation=cv2.INTER_CUBIC)).convert(mode)
    small, found = decode_reduced(encode(image, "JPEG", quality=95), "a.jpg", least_side)
    assert found == divisor
    assert small.shape == (size[0] // divisor, size[1] // divisor, 3)
    expected = cv2.resize(np.array(image.convert("RGB")), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("orientation", TURNS)
def test_a_smaller_jpeg_is_upright_too(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    large = np.ascontiguousarray(TURNS[orientation](np.kron(PICTURE, np.ones((8, 8, 1), np.uint8))))
    small, divisor = decode_reduced(encode(large, "JPEG", quality=95, exif=exif), "a.jpg", 32)
    assert divisor == 8
    np.testing.assert_allclose(small[4::8, 8::16].astype(int), PICTURE[4::8, 8::16].astype(int), atol=6)


@pytest.mark.parametrize("orientation", TURNS)
def test_upright_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(PICTURE, "JPEG", exif=exif)
    assert upright_size(data, "a.jpg") == decode_image(data).shape[:2]


@pytest.mark.parametrize("data", [b"", b"no image", encode(PICTURE, "JPEG")[:20]])
def test_upright_size_of_no_image(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"a\.jpg: is no image that can be read"):
        upright_size(data, "a.jpg")


def test_other_formats_are_decoded_in_full() -> None:
    image, divisor = decode_reduced(encode(PICTURE, "PNG"), "a.png", 1)
    assert divisor == 1
    np.testing.assert_array_equal(image, PICTURE)


@pytest.mark.parametrize(("mode", "pixel"), [("L", 90), ("1", 1), ("P", 3)])
def test_one_channel(mode: str, pixel: int) -> None:
    image = Image.new(mode, (5, 4), pixel)
    if mode == "P":
        image.putpalette([*[0] * 9, 10, 20, 30])
    expected = {"L": (90, 90, 90), "1": WHITE, "P": (10, 20, 30)}[mode]
    np.testing.assert_array_equal(decode_image(encode(image, "PNG")), np.full((4, 5, 3), expected))


def test_transparency_is_laid_over_white() -> None:
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    np.testing.assert_allclose(decode_image(encode(pixels, "PNG")), [[RED, WHITE, (127, 127, 127)]], atol=1)
    grey = Image.merge("LA", [Image.new("L", (1, 1)), Image.new("L", (1, 1))])
    np.testing.assert_array_equal(decode_image(encode(grey, "PNG")), [[WHITE]])
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([*RED, *GREEN])
    palette.putpixel((0, 0), 0)
    np.testing.assert_array_equal(decode_image(encode(palette, "PNG", transparency=0)), [[WHITE, GREEN]])
    np.testing.assert_array_equal(decode_image(encode(palette, "GIF", transparency=0)), [[WHITE, GREEN]])
    keyed = Image.fromarray(PICTURE)
    assert decode_image(encode(keyed, "PNG", transparency=RED))[4, 8].tolist() == [255, 255, 255]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_is_scaled(suffix: str, channels: int) -> None:
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    encoded = cv2.imencode(suffix, np.dstack([values] * channels))[1].tobytes()
    np.testing.assert_allclose(decode_image(encoded)[0, :, 0].astype(int), [0, 1, 1, 128, 255], atol=1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_result_can_be_written_to(mode: str) -> None:
    assert decode_image(encode(Image.new(mode, (4, 3)), "PNG")).flags.writeable


def test_cmyk() -> None:
    decoded = decode_image(encode(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(decoded[4::8, 8::16].astype(int), PICTURE[4::8, 8::16].astype(int), atol=6)


def test_first_frame_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    assert decode_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))[0, 0].tolist() == [255, 0, 0]
    assert decode_image(encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]))[0, 0].tolist() == [
        255,
        0,
        0,
    ]


@pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_no_image(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^door\.jpg: (the file is empty|cannot be decoded as an image)"):
        decode_image(data, "door.jpg")


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_short(format_name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(noise, format_name)
    with pytest.raises(ImageError, match=r"^door: cannot be decoded as an image"):
        decode_image(data[: int(share * len(data))], "door")


def test_float_pixels() -> None:
    with pytest.raises(ImageError, match="holds 32-bit pixels without a stated range: convert it"):
        decode_image(encode(np.zeros((4, 4), np.float32), "TIFF"))


def claiming_png(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes whose header claims a size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_000, 10_000, 30_000])
@pytest.mark.filterwarnings("error")
def test_decompression_bombs(side: int) -> None:
    with pytest.raises(ImageError, match=r"^bomb\.png: .*pixels.* 80000000 .*scale it down or cut it"):
        decode_image(claiming_png(side, side), "bomb.png")


def test_limit_is_inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_PIXELS", 16 * 32)
    assert decode_image(encode(PICTURE, "PNG")).shape == (16, 32, 3)
    monkeypatch.setattr(image_files, "MAX_PIXELS", 16 * 32 - 1)
    with pytest.raises(ImageError, match="32 x 16 pixels, at most 511 are read"):
        decode_image(encode(PICTURE, "PNG"))


def test_read_image(tmp_path: Path) -> None:
    (tmp_path / "door.png").write_bytes(encode(PICTURE, "PNG"))
    np.testing.assert_array_equal(read_image(tmp_path / "door.png"), PICTURE)
    (tmp_path / "door.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"door\.png: the file is empty"):
        read_image(str(tmp_path / "door.png"))
    with pytest.raises(FileNotFoundError, match=r"window\.png"):
        read_image(tmp_path / "window.png")
