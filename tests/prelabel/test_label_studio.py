"""Pre-annotations in a real Label Studio: imported, corrected there, exported, and built into a data set; and the
backend of docs/label_studio_backend.py, which it asks for predictions.

Label Studio wants an environment of its own; where that is, a variable says:

  python -m venv label_studio && label_studio/bin/pip install label-studio
  LABEL_STUDIO=label_studio/bin/label-studio pytest -m slow tests/prelabel/test_label_studio.py
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from textspot.benchmark.service_load import free_port
from textspot.cli import prelabel, prepare
from textspot.data.lmdb_records import Reader
from textspot.data.synthetic.renderer import Renderer, RendererConfig

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef0123456789abcdef01234567"
QUIET = {"COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
START_S = 300
CORRECTED = "CORRECTED"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("LABEL_STUDIO" not in os.environ, reason="LABEL_STUDIO names no label-studio to start"),
]
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root") / "photos"
    folder.mkdir()
    renderer = Renderer(RendererConfig(360, 480, words_per_image=(3, 5), empty_share=0.0))
    for number in range(3):
        Image.fromarray(renderer.render(1, number).image).save(folder / f"a sign {number}.jpg", quality=92)
    return folder


@pytest.fixture(scope="module")
def ask(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks a Label Studio that serves the photographs: method, path and JSON; its answer."""
    folder, port = tmp_path_factory.mktemp("label_studio"), free_port()
    address = f"http://127.0.0.1:{port}"
    settings = QUIET | {"LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true", "LABEL_STUDIO_HOST": address}
    settings |= {"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(photos.parent), "HOME": str(folder)}
    settings |= dict.fromkeys(("ML_BLOCK_LOCAL_IP", "SSRF_PROTECTION_ENABLED"), "false")  # it is on this machine
    command = [os.environ["LABEL_STUDIO"], "start", "--no-browser", "--port", str(port), "--data-dir", str(folder)]
    command += ["--enable-legacy-api-token"]
    command += ["--username", "a@example.org", "--password", "only for this test", "--user-token", TOKEN]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT, cwd=folder)

    def request(method: str, path: str, values: Any = None) -> Any:
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        data = None if values is None else json.dumps(values).encode()
        asked = urllib.request.Request(address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=120) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error
        return json.loads(content) if "json" in answer.headers.get("Content-Type", "") else content

    request.address = address  # type: ignore[attr-defined]
    try:
        wait_for(f"{address}/health", process)
        yield request
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def wait_for(url: str, process: subprocess.Popen) -> None:
    """Until somebody answers."""
    ends = time.monotonic() + START_S
    while time.monotonic() < ends:
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(1)
    raise AssertionError(f"{url} does not answer after {START_S} s")


@pytest.fixture(scope="module")
def labels(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `textspot prelabel` writes for the photographs."""
    out = tmp_path_factory.mktemp("labels")
    arguments = [str(photos), "--format", "label_studio", "--out", str(out), "--runtime", "onnxruntime"]
    assert prelabel.main(arguments) == 0
    return out


@pytest.fixture(scope="module")
def project(ask: Ask, photos: Path, labels: Path) -> int:
    """A project with the labelling interface of the pre-annotations, and its local storage."""
    values = {"title": "signs", "label_config": (labels / "label_config.xml").read_text()}
    number = ask("POST", "/api/projects", values)["id"]
    storage = {"project": number, "path": str(photos), "use_blob_urls": True, "title": "photographs"}
    ask("POST", "/api/storages/localfiles", storage)
    return number


def test_from_prelabel_to_a_data_set(ask, project, photos, labels, tmp_path):
    tasks = json.loads((labels / "tasks.json").read_text())
    assert ask("POST", f"/api/projects/{project}/import", tasks)["annotation_count"] == 3
    imported = ask("GET", f"/api/tasks?project={project}&fields=all&page_size=10")["tasks"]
    for task in imported:
        assert ask("GET", task["data"]["ocr"]).startswith(b"\xff\xd8"), "the image that a person would see"

    annotation = ask("GET", f"/api/tasks/{imported[0]['id']}")["annotations"][0]
    text = next(part for part in annotation["result"] if part["type"] == "textarea")
    text["value"]["text"] = [CORRECTED]
    ask("PATCH", f"/api/annotations/{annotation['id']}", {"result": annotation["result"]})

    source = tmp_path / "source"
    source.mkdir()
    shutil.copytree(photos, source / "images")
    exported = ask("GET", f"/api/projects/{project}/export?exportType=JSON")
    (source / "export.json").write_text(json.dumps(exported))
    card = (ROOT / "datasets" / "label_studio" / "card.yaml").read_text().replace("[0, 0.9]", "[0, 1]")
    (tmp_path / "card.yaml").write_text(card[: card.index("  val:")] + card[card.index("quirks:") :])
    build = ["build", "--card", str(tmp_path / "card.yaml"), "--source", str(source), "--out", str(tmp_path / "built")]
    assert prepare.main(build) == 0
    reader = Reader(tmp_path / "built" / "train")
    samples = [reader.sample(number) for number in range(len(reader))]
    written = [part["value"]["text"][0] for task in tasks for part in task["annotations"][0]["result"][1::2]]
    built = [text for sample in samples for text in sample.transcripts]
    assert len(samples) == 3
    assert sorted(built) == sorted([CORRECTED, *written[1:]])


def test_the_backend_proposes_what_the_spotter_reads(ask, project):
    port = free_port()
    settings = {"LABEL_STUDIO_URL": ask.address, "LABEL_STUDIO_API_KEY": TOKEN, "PORT": str(port)}
    environment = os.environ | settings | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, ROOT / "docs" / "label_studio_backend.py"], env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        ask("POST", "/api/ml", {"project": project, "url": f"http://127.0.0.1:{port}", "title": "textspot"})
        every = {"selectedItems": {"all": True, "excluded": []}}
        ask("POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}", every)
        for task in ask("GET", f"/api/tasks?project={project}&fields=all&page_size=10")["tasks"]:
            full = ask("GET", f"/api/tasks/{task['id']}")
            proposed = [part["value"] for part in full["predictions"][0]["result"]]
            annotated = [part["value"] for part in full["annotations"][0]["result"]]
            differs = [pair for pair in zip(proposed, annotated, strict=True) if pair[0] != pair[1]]
            assert all(corrected["text"] == [CORRECTED] for _, corrected in differs)
    finally:
        process.terminate()
        process.wait(60)
