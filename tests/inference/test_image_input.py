"""Whatever users hold an image in is the same image."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_spotter import noise, save_tiny_spotter

import textspot
from textspot.image_files import ImageError
from textspot.inference.image_input import name_of, to_array

PIXELS = noise(40, 60)


@pytest.fixture
def png(tmp_path: Path) -> Path:
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_every_form_is_the_same_image(png: Path) -> None:
    with open(png, "rb") as file, Image.open(png) as picture:
        forms = [PIXELS, png, str(png), png.read_bytes(), bytearray(png.read_bytes()), file, picture]
        forms.append(io.BytesIO(png.read_bytes()))
        for form in forms:
            np.testing.assert_array_equal(to_array(form), PIXELS)


def test_a_pillow_image_is_turned_upright_and_made_rgb() -> None:
    turned = Image.fromarray(noise(60, 40))
    turned.getexif()[274] = 6
    assert to_array(turned).shape == (40, 60, 3)
    np.testing.assert_array_equal(to_array(Image.new("L", (3, 2), 7)), np.full((2, 3, 3), 7))


def test_names(png: Path) -> None:
    with open(png, "rb") as file, Image.open(png) as picture:
        assert [name_of(form) for form in (png, str(png), file, picture)] == [str(png)] * 4
    assert [name_of(form) for form in (PIXELS, b"", io.BytesIO(), Image.new("L", (1, 1)))] == [""] * 4


def test_a_url(web_server, monkeypatch: pytest.MonkeyPatch, png: Path) -> None:
    monkeypatch.setattr("textspot.downloads.is_public", lambda _: True)
    np.testing.assert_array_equal(to_array(web_server({"/x.png": png.read_bytes()}) + "/x.png"), PIXELS)


def test_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="image: cannot be decoded"):
        to_array(b"no image")
    with pytest.raises(TypeError, match="gives text, expected bytes: open it with mode 'rb'"):
        to_array(io.StringIO("text"))
    with pytest.raises(TypeError, match=r"expected a path, a URL, bytes, .* found <class 'int'>"):
        to_array(3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        to_array(tmp_path / "absent.png")


def test_a_spotter_takes_all(tmp_path: Path, png: Path) -> None:
    spotter = textspot.load(save_tiny_spotter(tmp_path / "model.safetensors"), "cpu")
    texts = [one.text for one in spotter(PIXELS)]
    for form in (png, png.read_bytes(), Image.fromarray(PIXELS)):
        assert [one.text for one in spotter(form)] == texts
    both = spotter([png, png.read_bytes()])
    assert [one.name for one in both] == [str(png), ""]
    with pytest.raises(TypeError, match="expected an image or a sequence of images, found <class 'int'>"):
        spotter(3)


def test_pages_have_numbers(tmp_path: Path) -> None:
    spotter = textspot.load(save_tiny_spotter(tmp_path / "model.safetensors"), "cpu")
    pages = [Image.fromarray(noise(40, 60, seed)) for seed in range(2)]
    pages[0].save(tmp_path / "scan.tiff", save_all=True, append_images=pages[1:])
    found = list(spotter.pages(tmp_path / "scan.tiff"))
    assert [one.page for one in found] == [1, 2]
    assert [one.to_dict()["page"] for one in found] == [1, 2]
    assert [one.text for one in found[1]] == [one.text for one in spotter(noise(40, 60, 1))]


def test_more_regions_than_are_read(tmp_path: Path) -> None:
    weights = save_tiny_spotter(tmp_path / "model.safetensors")
    spotter = textspot.load(weights, "cpu")
    assert spotter.max_regions == 1000
    assert textspot.load(weights, "cpu", max_regions=None).max_regions == spotter.card.postprocess.max_regions
    spotter.max_regions = 3
    with pytest.warns(UserWarning, match="image 1: 3 regions are read, the best ones; raise max_regions to read more"):
        spotter(noise(64, 96))
