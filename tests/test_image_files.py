"""The one decoder: every kind of file becomes upright 8-bit RGB or an error that names it."""

import contextlib
import dataclasses
import io
import os
import signal
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from textspot import bounded_process, image_decoding, image_files, image_process
from textspot.bounded_process import _START
from textspot.image_files import ImageError, count_scans, decode_image, decode_reduced, read_image, upright_size

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
@pytest.mark.parametrize(
    ("format_name", "mode"),
    [(name, "RGB") for name in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")] + [("PNG", "RGBA"), ("PNG", "P")],
)
def test_exif_orientation(orientation: int, format_name: str, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](PICTURE))).convert(mode)
    encoded = encode(stored, format_name, exif=exif, **({} if format_name in ("PNG", "TIFF") else {"quality": 95}))
    decoded = decode_image(encoded)
    assert decoded.shape == PICTURE.shape
    assert upright_size(encoded, "a") == PICTURE.shape[:2]
    np.testing.assert_allclose(decoded[4::8, 8::16].astype(int), PICTURE[4::8, 8::16].astype(int), atol=12)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_leaves_the_pixels_as_they_are(format_name: str, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert decode_image(encode(PICTURE, format_name, exif=exif)).shape == PICTURE.shape


def test_a_damaged_exif_block_leaves_the_pixels_as_they_are() -> None:
    damaged = encode(PICTURE, "JPEG", quality=95, exif=b"Exif\0\0no TIFF header at all")
    assert decode_image(damaged).shape == PICTURE.shape
    assert upright_size(damaged, "a") == PICTURE.shape[:2]


@pytest.mark.parametrize("data", [b"", b"no image", encode(PICTURE, "JPEG")[:20]])
def test_upright_size_of_no_image(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^a\.jpg: (cannot be decoded|the file is empty)"):
        upright_size(data, "a.jpg")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 50\n%%EndComments\n0 0 100 50 rectfill\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (EPS, "it is PostScript: convert it to JPEG or PNG"),
        (b"\xc5\xd0\xd3\xc6" + bytes(26) + EPS, "it is PostScript"),
        (b"%PDF-1.7\n", "it is a PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is a HEIC image"),
        (encode(Image.new("RGB", (4, 4)), "ICO"), "its content is none of JPEG, PNG, WEBP, BMP"),
        (encode(Image.new("RGB", (4, 4)), "PCX"), "its content is none of JPEG, PNG, WEBP, BMP"),
    ],
)
def test_only_listed_formats_are_opened_by_content(data: bytes, words: str, tmp_path, monkeypatch) -> None:
    ghostscript = tmp_path / "gs"  # notes that it was started
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "photo.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=rf"photo\.jpg: cannot be decoded as an image \({words}"):
        read_image(tmp_path / "photo.jpg")
    with pytest.raises(ImageError, match="cannot be decoded"):
        upright_size(data, "photo.jpg")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("place", ["pipe", "/dev/zero", "."])
def test_what_is_no_regular_file_is_refused(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="a folder, a pipe or a device, expected an image file"):
        read_image(tmp_path / place)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "a.jpg", "wb") as file:
        file.truncate(image_files.MAX_FILE_BYTES + 1)  # sparse: takes no space
    with pytest.raises(ImageError, match=f"at most {image_files.MAX_FILE_BYTES} are read"):
        read_image(tmp_path / "a.jpg")


def progressive(num_more: int, size: tuple[int, int] = (16, 32)) -> bytes:
    """A progressive JPEG of ten scans with its last one repeated, each a few bytes long."""
    data = encode(np.zeros((*size, 3), np.uint8), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + num_more * last + data[-2:]


def test_scans_of_a_jpeg_are_limited() -> None:
    for num_more in (0, 20, 54):
        assert count_scans(progressive(num_more)) == 10 + num_more
        assert decode_image(progressive(num_more)).shape == (16, 32, 3)
    with pytest.raises(ImageError, match=r"^a\.jpg: a JPEG of 65 scans, at most 64 are read: save it anew"):
        decode_image(progressive(55), "a.jpg")


def test_scans_of_thumbnails_and_further_images_do_not_count() -> None:
    data = progressive(0)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 300) + 100 * b"\xff\xda\x00"
    assert decode_image(data[:2] + comment + data[2:] + progressive(200)).shape == (16, 32, 3)


SAVE = """
from PIL import Image
image = Image.new({mode!r}, (8000, 10000))
image.putpixel((0, 0), 1 if len(image.getbands()) == 1 else (1,) * len(image.getbands()))
image.save({path!r}, {format_name!r}, **{options!r})
"""
READ_AND_MEASURE = """
import resource
from textspot import image_process
from textspot.image_files import read_image
try:
    read_image({path!r})
except ValueError as error:
    print(error)
image_process._process.end()
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format_name", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 0}),
        ("JPEG", "CMYK", {"progressive": True}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "I;16", {}),
        ("TIFF", "RGBA", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB", {"tiffinfo": {274: 6}}),
        ("BMP", "RGB", {}),
        ("GIF", "P", {}),
        ("PPM", "RGB", {}),
        ("JPEG2000", "RGB", {}),
        ("AVIF", "RGBA", {"speed": 10}),
    ],
)
def test_the_largest_legal_image_is_bounded(format_name: str, mode: str, options: dict, tmp_path: Path) -> None:
    """The largest of a format is read, or refused in a sentence, within memory and time that are stated."""
    path = str(tmp_path / "large")
    code = SAVE.format(mode=mode, path=path, format_name=format_name, options=options)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
    code = READ_AND_MEASURE.format(path=path)
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    *said, peak_mib = finished.stdout.splitlines()
    assert not said or "1024 MiB" in said[0] or "more than 8 s" in said[0]
    assert int(peak_mib) < 1024 + 128  # the process that reads files, and what it imports, come on top


def with_another_decoder(monkeypatch: pytest.MonkeyPatch, decoder: str, **changes: int) -> None:
    """The next image goes to a process with other limits and another decoder."""
    start = "import sys; sys.path[:] = {path!r}; import os; import numpy as np; from textspot import image_process\n"
    start += f"def decode(*_):\n    {decoder}\nimage_process.decode_by_pillow = decode\n"
    start += "from textspot.bounded_process import serve; serve({limits!r})"
    monkeypatch.setattr(bounded_process, "_START", start)
    limits = dataclasses.replace(image_process.LIMITS, **changes)
    monkeypatch.setattr(image_process, "_process", bounded_process.BoundedProcess(limits))


def test_a_decoder_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with_another_decoder(monkeypatch, "while True: pass", seconds=1)
    with pytest.raises(ImageError, match=r"^a\.gif: to read it takes more than 1 s: convert it to JPEG or PNG"):
        decode_image(encode(PICTURE, "GIF"), "a.gif")


def test_a_decoder_that_crashes_is_named_and_the_next_image_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with_another_decoder(monkeypatch, f"os.kill(os.getpid(), {int(signal.SIGSEGV)})")
    with pytest.raises(ImageError, match=r"^a\.gif: what reads it crashed \(exit status -11\)"):
        decode_image(encode(PICTURE, "GIF"), "a.gif")
    monkeypatch.setattr(bounded_process, "_START", _START)
    np.testing.assert_array_equal(decode_image(encode(PICTURE, "BMP")), PICTURE)


def test_a_decoder_that_takes_all_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with_another_decoder(monkeypatch, "return np.ones((1 << 28,), np.uint8)", num_bytes=100 << 20)
    with pytest.raises(ImageError, match=r"^a\.gif: takes more than 1024 MiB to decode: scale it down"):
        decode_image(encode(PICTURE, "GIF"), "a.gif")


def test_the_decoding_process_ends_with_its_owner_even_when_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(encode(PICTURE, "GIF"))
    code = f"""
import os, signal
from textspot import image_process
from textspot.image_files import read_image
read_image({str(tmp_path / "a.gif")!r})
print(image_process._process._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert finished.returncode == -signal.SIGKILL
    child = int(finished.stdout)
    for _ in range(100):  # it ends as soon as it sees its input end
        if not Path(f"/proc/{child}/exe").exists():
            break
        signal.sigtimedwait([], 0.1)
    assert not Path(f"/proc/{child}/exe").exists()


def test_forked_processes_and_threads_decode_alike() -> None:
    encoded = encode(PICTURE, "BMP")
    decode_image(encoded)
    child = os.fork()
    if child == 0:
        os._exit(int(not np.array_equal(decode_image(encoded), PICTURE)))
    with ThreadPoolExecutor(4) as pool:
        for pixels in pool.map(lambda _: decode_image(encoded), range(20)):
            np.testing.assert_array_equal(pixels, PICTURE)
    assert os.waitpid(child, 0)[1] == 0


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


def test_transparency() -> None:
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
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        animated = decode_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert animated[0, 0].tolist() == [255, 0, 0]
    with pytest.warns(UserWarning, match=r"^scan\.tif: page 1 of 2 is read$"):
        pages = decode_image(encode(frames[0], "TIFF", save_all=True, append_images=frames[1:]), "scan.tif")
    assert pages[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("text", "ground"), [(255, 0), (230, 0), (0, 255), (60, 255), (128, 255)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_what_shows_the_text(text: int, ground: int, mode: str) -> None:
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[5:15, 10:30] = (text, text, text, 255)
    image = Image.fromarray(pixels)
    if mode == "P":
        image = Image.fromarray((pixels[..., 3] // 255).astype(np.uint8)).convert("P")
        image.putpalette([7, 7, 7, text, text, text])
        image.info["transparency"] = 0
    decoded = decode_image(encode(image if mode == "P" else image.convert(mode), "PNG"))
    assert decoded[0, 0].tolist() == [ground] * 3
    assert decoded[10, 20].tolist() == [text] * 3


def test_white_and_black_letters_on_transparency_stand_on_grey() -> None:
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[5:15, 5:15], pixels[5:15, 25:35] = (255, 255, 255, 255), (0, 0, 0, 255)
    assert decode_image(encode(pixels, "PNG"))[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("data", [b"", b"hello", b"GIF89a", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"])
def test_no_image(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"^door\.jpg: (the file is empty|cannot be decoded as an image)"):
        decode_image(data, "door.jpg")


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_short(format_name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encode(noise, format_name)
    with pytest.raises(ImageError, match=r"^door: cannot be decoded as an image"):
        decode_image(data[: int(share * len(data))], "door")


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "JPEG2000", "PPM"])
def test_damaged_bytes_give_an_image_or_the_error(format_name: str) -> None:
    rng = np.random.default_rng(0)
    data = encode(PICTURE, format_name)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(len(data)))] = int(rng.integers(256))
        with contextlib.suppress(ImageError):
            assert decode_image(bytes(damaged), "door").dtype == np.uint8


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
    monkeypatch.setattr(image_decoding, "MAX_PIXELS", 16 * 32)
    assert decode_image(encode(PICTURE, "PNG")).shape == (16, 32, 3)
    monkeypatch.setattr(image_decoding, "MAX_PIXELS", 16 * 32 - 1)
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
