"""Inputs as strangers and damage make them: samples of every kind, and ways to change their bytes."""

import io
import json
import random
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from tiny_spotter import save_tiny_spotter

from textspot.data.card import load_card
from textspot.image_decoding import FORMATS

JUNK = [b"", b",", b"\n", b'"', b"[", b"{", b"nan", b"-1", b"1e39", b"<", b"\xff", b"\0", b"null", b"true", b"9" * 400]
JUNK += [b"[" * 2000, b"../", b"/", b"\xef\xbb\xbf", b"\xe2\x80\x8b", b"%", b"\x1b[31m", b"\x7f\xff\xff\xff"]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few random changes: bits flipped, bytes replaced by junk, pieces doubled, moved or left out."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        if not changed:
            break
        place, length = chance.randrange(len(changed)), chance.randint(0, 30)
        kind = chance.randrange(5)
        if kind == 0:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[place : place + length] = chance.choice(JUNK)
        elif kind == 2:
            changed[place:place] = changed[place : place + length] * chance.randint(1, 5)
        elif kind == 3:
            del changed[place : place + length]
        else:
            changed[place : place + 4] = chance.choice([0, 1, 2**31, 2**32 - 1]).to_bytes(
                4, chance.choice(["little", "big"])
            )
    return bytes(changed)


def images() -> dict[str, bytes]:
    """A small image of each format that is read, and of some that are not."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    image, encoded = Image.fromarray(pixels), {}
    kinds = [(name, {}) for name in (*FORMATS, "ICO", "TGA")]
    kinds += [("JPEG", {"progressive": True}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"})]
    for number, (name, options) in enumerate(kinds):
        file = io.BytesIO()
        image.save(file, name, **options)
        encoded[f"{name} {number}"] = file.getvalue()
    encoded["PostScript"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    return encoded


def pdfs() -> dict[str, bytes]:
    """Two pages, each a picture in another encoding."""
    encoded = {}
    for mode in ("1", "RGB"):
        file, page = io.BytesIO(), Image.new(mode, (40, 24))
        page.save(file, "PDF", save_all=True, append_images=[page])
        encoded[mode] = file.getvalue()
    return encoded


def annotations() -> dict[str, bytes]:
    """A file of each annotation format, from the samples of the cards."""
    found: dict[str, bytes] = {}
    for path in sorted(Path("datasets").glob("*/card.yaml")):
        card = load_card(path)
        for split in card.splits.values():
            for file in sorted((path.parent / "sample").glob(split.annotations.replace("{stem}", "*"))):
                found.setdefault(card.format_of(split), file.read_bytes())
    return found


def archives() -> dict[str, bytes]:
    """Zips of result files, stored and packed."""
    encoded = {}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("gt_img_1.txt", "0,0,20,0,20,10,0,10,EXIT\n" * 3)
        encoded[f"method {method}"] = file.getvalue()
    return encoded


def weights(folder: Path) -> tuple[bytes, dict[str, str]]:
    """A small spotter's file, and its metadata."""
    data = save_tiny_spotter(folder / "tiny.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    return data, json.loads(data[8 : 8 + length])["__metadata__"]
