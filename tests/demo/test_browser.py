"""The page of the demo in a real browser, as a person uses it: upload, slider, downloads, on a screen and on a phone.

`pip install playwright` drives the browser; it is the Chromium of the system, or the one that playwright installs.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_spotter import save_tiny_spotter, write_noise

import textspot
from textspot.benchmark.service_load import free_port

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}
PATIENCE_MS = 60_000  # a busy machine starts a browser in seconds

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_spotter(tmp_path_factory.mktemp("run") / "model.safetensors")


@pytest.fixture(scope="module")
def address(weights: Path) -> Iterator[str]:
    """Where the page is."""
    pytest.importorskip("gradio")
    command = [sys.executable, "-m", "textspot", "demo", "--port", str(free_port()), "--weights", str(weights)]
    process = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout
        yield process.stdout.readline().split()[4]
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    if CHROMIUM is None and not os.environ.get("PLAYWRIGHT_BROWSERS_PATH"):
        pytest.skip("needs Chromium: apt install chromium, or playwright install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_a_photograph_is_read(browser, address, weights, tmp_path, screen):
    write_noise(tmp_path / "photo.png", 64, 96)
    expected = textspot.load(weights, "cpu")(tmp_path / "photo.png")
    width, height = SCREENS[screen]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE_MS)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)

    page.locator("#photograph input[type=file]").set_input_files(tmp_path / "photo.png")
    page.wait_for_selector("#picture img")
    assert page.locator("#lines textarea").input_value() == expected.text

    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    found = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert found == expected.to_dict() | {"image": "photo.png"}
    with page.expect_download() as download:
        page.get_by_role("button", name="Searchable PDF").click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
    page.screenshot(path=tmp_path / f"{screen}.png", full_page=True)

    page.locator("input[type=range]").fill("1")
    page.wait_for_function("document.querySelector('#lines textarea').value === 'Nothing was found.'")
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing beside the screen
    assert {url for url in asked if not url.startswith((address, "data:", "blob:"))} == set()
    assert errors == []
    page.close()
