"""What the page of the demo does, event by event; and that it is for this machine, and calls nobody."""

import json
import os
import subprocess
import sys
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny_spotter import noise, save_tiny_spotter

import textspot
from textspot.benchmark.service_load import free_port
from textspot.cli import demo as verb
from textspot.demo.readings import LOWEST, draw_examples, read, write_files
from textspot.image_files import read_image
from textspot.visualize import draw_prediction

SESSION = SimpleNamespace(session_hash="session")


@pytest.fixture(scope="module")
def spotter(tmp_path_factory):
    return textspot.load(save_tiny_spotter(tmp_path_factory.mktemp("run") / "model.safetensors"), "cpu")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a photo.png"
    Image.fromarray(noise(64, 96)).save(path)
    return path


@pytest.fixture
def page(spotter, tmp_path):
    pytest.importorskip("gradio")
    from textspot.demo.page import Page

    return Page(spotter, tmp_path / "files")


def test_the_slider_gives_what_reading_with_its_threshold_gives(spotter, photo):
    reading = read(spotter, photo, "none")
    assert {one.score for one in reading.prediction} > {one.score for one in reading.above(spotter.threshold)}
    assert len(reading.above(1)) == 0
    assert reading.above(spotter.threshold).to_dict() == spotter(photo).to_dict() | {"image": "a photo.png"}
    assert spotter.threshold > LOWEST


def test_the_language_is_that_of_the_page_alone(spotter, photo, tmp_path):
    (tmp_path / "words").write_text("ABBA\nEBBE\n")
    plain, leaning = (read(spotter, photo, name).prediction for name in ("none", str(tmp_path / "words")))
    assert spotter.language is None
    assert [one.text for one in plain] != [one.text for one in leaning]


def test_files_hold_what_is_shown(spotter, photo, tmp_path):
    pytest.importorskip("fpdf")
    reading = read(spotter, photo, "none")
    as_json, as_pdf = write_files(reading.above(0.7), reading.image, tmp_path / "out")
    assert (as_json.name, as_pdf.name) == ("a photo.json", "a photo.pdf")
    assert json.loads(as_json.read_text()) == reading.above(0.7).to_dict()
    assert as_pdf.read_bytes().startswith(b"%PDF")


@pytest.mark.slow  # to import Gradio takes seconds
def test_an_image_is_read_shown_and_forgotten(page, photo, tmp_path):
    reading, picture, text, as_json, as_pdf = page.read(str(photo), "none", 0.6, SESSION)
    assert np.array_equal(np.asarray(picture), draw_prediction(reading.image, reading.above(0.6)))
    assert text == reading.above(0.6).text
    assert [button.value["orig_name"] for button in (as_json, as_pdf)] == ["a photo.json", "a photo.pdf"]
    assert page.show(reading, 1, SESSION)[1] == "Nothing was found."
    page.forget(SESSION)
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.slow
def test_no_image_and_one_that_cannot_be_read(page, tmp_path):
    reading, picture, text, *buttons = page.read(None, "none", 0.6, SESSION)
    assert (reading, picture, text) == (None, None, "")
    assert not any(button.interactive for button in buttons)
    assert page.show(None, 0.6, SESSION)[:2] == (None, "")
    (tmp_path / "x.png").write_bytes(b"no image")
    import gradio

    with pytest.raises(gradio.Error, match=r"^'x\.png: cannot be decoded"):
        page.read(str(tmp_path / "x.png"), "none", 0.6, SESSION)


def test_the_examples_are_images(tmp_path):
    assert [read_image(file).shape for file in draw_examples(tmp_path)] == [(720, 960, 3)] * 2


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "textspot.demo.page", raising=False)
    assert verb.main([]) == 1
    assert "gradio is not installed: pip install 'textspot[demo]'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_is_for_this_machine_and_leaves_nothing_behind(tmp_path):
    pytest.importorskip("gradio")
    weights = save_tiny_spotter(tmp_path / "model.safetensors")
    command = [sys.executable, "-m", "textspot", "demo", "--port", str(free_port()), "--weights", str(weights)]
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    process = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        url = process.stdout.readline().split()[4]
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(url) as answer:
            page = answer.read().decode()
        assert '"analytics_enabled":false' in page.replace(" ", "")
        assert "fonts.googleapis.com" not in page
        assert os.listdir(tmp_path / "temporary")
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert os.listdir(tmp_path / "temporary") == []
