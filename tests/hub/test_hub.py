"""Weights go to the hub and come back, by the hub's own library, from a server on this machine."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from hub_server import HubServer
from tiny_spotter import build_tiny_card, write_noise

import textspot
from textspot.cli import export
from textspot.file_checksum import format_checksums, hash_file, parse_checksums
from textspot.hub import transfer
from textspot.hub.address import HubAddress, parse_address
from textspot.hub.card import describe_model
from textspot.hub.transfer import HubError
from textspot.model_card import CheckpointError

REPO = "someone/reads-signs"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hf://a/b", HubAddress("a/b")),
        (Path("hf://a/b"), HubAddress("a/b")),  # a path has lost a slash
        ("hf://a-1/b.c_2@v1.0", HubAddress("a-1/b.c_2", "v1.0")),
        ("hf://a/b/c.onnx", HubAddress("a/b", None, "c.onnx")),
        ("hf://a/b@main/c.onnx", HubAddress("a/b", "main", "c.onnx")),
        ("spotter-s", None),
        (Path("runs/hf"), None),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address
    assert address is None or parse_address(str(address)) == address


@pytest.mark.parametrize("text", ["hf://a", "hf://", "hf://a/b@", "hf://a/b?c"])
def test_what_is_no_address_is_said(text):
    with pytest.raises(CheckpointError, match="expected hf://owner/name"):
        textspot.load(text)


@pytest.fixture
def fetched(weights, tmp_path, monkeypatch):
    """A repository whose files lie in a folder, as if the hub's library had fetched them."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    sums = {file.name: hash_file(file) for file in folder.iterdir()}
    (folder / "SHA256SUMS").write_text(format_checksums(sums))
    monkeypatch.setattr(transfer, "_fetch", lambda _, name: folder / name)
    return folder


@pytest.mark.usefixtures("fetched")
def test_the_spotter_of_a_repository(weights):
    spotter = textspot.load(f"hf://{REPO}", "cpu")
    assert spotter.card == textspot.load(weights, "cpu").card
    assert textspot.load(f"hf://{REPO}/model.safetensors", "cpu").source == "model.safetensors in PyTorch"


def test_a_file_that_changed_is_refused(fetched):
    with (fetched / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not the file that SHA256SUMS describes"):
        textspot.load(f"hf://{REPO}")


def test_a_repository_without_weights_is_named(fetched):
    (fetched / "SHA256SUMS").write_text("0  README.md\n")
    with pytest.raises(CheckpointError, match=rf"hf://{REPO}: no weights .* among its files: README\.md"):
        textspot.load(f"hf://{REPO}")


def test_checksums_are_as_sha256sum_writes_them(tmp_path):
    (tmp_path / "a b").write_bytes(b"x")
    checksums = {"a b": hash_file(tmp_path / "a b"), "c": "0"}
    text = format_checksums(checksums)
    assert text.startswith("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881  a b\n")
    assert parse_checksums(text) == checksums


def test_the_page_says_what_the_hub_shows():
    yaml = pytest.importorskip("yaml")
    pytest.importorskip("huggingface_hub")
    card = replace(build_tiny_card(), metrics={"p/recall": 0.5, "p/hmean": 0.75})
    _, front, body = describe_model(card, REPO).split("---\n", 2)
    values = yaml.safe_load(front)
    assert (values["library_name"], values["pipeline_tag"]) == ("textspot", "image-to-text")
    (result,) = values["model-index"][0]["results"]
    assert [(one["name"], one["value"]) for one in result["metrics"]] == [("p/hmean", 0.75)]
    assert f"textspot infer --weights hf://{REPO} photo.jpg" in body
    assert "| p | 0.750 |" in body
    assert "ABCDEFGHIJ" in body


def test_a_network_without_figures_has_a_page_too():
    pytest.importorskip("huggingface_hub")
    page = describe_model(build_tiny_card(), REPO)
    assert "model-index" not in page
    assert "hmean" not in page


def test_what_the_library_raises_is_one_line():
    with pytest.raises(HubError, match=r"^hf://a/b: one two$"), transfer.explain_failure(HubAddress("a/b")):
        raise RuntimeError("one\ntwo")


def test_options_that_make_no_sense(tmp_path, weights, capsys):
    for options, words in ((["--private"], "--private goes with --push"), (["--push", "a/b"], "which textspot loads")):
        suffix = "pt2" if "--push" in options else "onnx"
        with pytest.raises(SystemExit):
            export.main(["--weights", str(weights), "--out", str(tmp_path / f"x.{suffix}"), *options])
        assert words in capsys.readouterr().err


@pytest.fixture
def hub() -> Iterator[tuple[str, type[HubServer]]]:
    """The address of a hub on this machine, and its content."""

    class Content(HubServer):
        repositories, requests = {}, []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Content)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", Content
    server.shutdown()
    server.server_close()


@pytest.mark.slow  # commands, as a user types them
def test_from_export_to_reading(hub, exported, tmp_path):
    pytest.importorskip("huggingface_hub")
    url, content = hub
    environment = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "cache"), "HF_TOKEN": "hf_secret"}

    def run(*arguments, **others):
        command = [sys.executable, "-m", "textspot", *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment | others, capture_output=True, text=True)

    write_noise(tmp_path / "photo.png", 64, 96)
    weights = exported / "model.safetensors"
    for out in ("spotter.safetensors", "spotter.onnx"):
        done = run("export", "--weights", weights, "--out", out, "--push", REPO)
        assert done.returncode == 0, done.stderr
        assert f"textspot infer --weights hf://{REPO}" in done.stdout
        if out == "spotter.safetensors":
            content.repositories[REPO]["README.md"] += b"\nedited"
    files = content.repositories[REPO]
    assert files.keys() == {"spotter.safetensors", "spotter.onnx", "SHA256SUMS", "README.md"}
    assert files["README.md"].endswith(b"\nedited")
    assert {authorization for _, _, authorization in content.requests} == {"Bearer hf_secret"}

    done = run("infer", "--weights", f"hf://{REPO}", "photo.png")
    assert done.returncode == 0, done.stderr
    assert "read by spotter.onnx in ONNX Runtime" in done.stdout
    num_requests = len(content.requests)
    again = run("infer", "--weights", f"hf://{REPO}", "photo.png", HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert len(content.requests) == num_requests  # offline, it comes from the cache

    absent = run("infer", "--weights", "hf://someone/else", "photo.png")
    assert absent.returncode == 1
    assert absent.stderr.startswith("error: hf://someone/else: 404")
    assert "Traceback" not in absent.stderr
