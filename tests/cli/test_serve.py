"""How the options of the verbs reach the network, the service and the page."""

import signal
import sys
from types import SimpleNamespace

import pytest
from tiny_spotter import save_tiny_spotter

import textspot
from textspot.cli import demo, main, serve
from textspot.service.limits import ServiceLimits


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny_spotter(tmp_path_factory.mktemp("run") / "model.safetensors")


@pytest.fixture
def loaded(monkeypatch):
    """How networks were loaded; signals and folders stay as they were."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    calls, load = [], textspot.load

    def record(path, device, **options):
        calls.append({"path": path, "device": device, **options})
        return load(path, "cpu", threshold=options.get("threshold"), language=options.get("language"))

    monkeypatch.setattr(textspot, "load", record)
    yield calls
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def served(monkeypatch):
    """What would be served."""
    found = {}

    def build(spotter, limits):
        found.update(spotter=spotter, limits=limits)
        return "app"

    class Server:
        started = True

        def __init__(self, config):
            found["config"] = config

        def run(self):
            """Nobody is served."""

    monkeypatch.setattr(serve, "build_app", build)
    monkeypatch.setattr(serve.uvicorn, "Server", Server)
    return found


def test_serve(weights, loaded, served, tmp_path):
    (tmp_path / "words").write_text("ABBA\n")
    options = ["--weights", weights, "--device", "cuda:3", "--runtime", "pytorch", "--precision", "bf16"]
    options += ["--num_threads", 3, "--max_regions", 7, "--quality", "fast"]
    options += ["--threshold", 0.7, "--language", tmp_path / "words"]
    options += ["--host", "0.0.0.0", "--port", 81, "--limits.max_bytes", 1, "--limits.max_pixels", 2]
    options += ["--limits.max_pages", 3, "--limits.concurrency", 4, "--limits.queue", 5, "--limits.timeout_s", 6]
    options += ["--limits.urls", "true", "--limits.private_urls", "true", "--limits.url_timeout_s", 7.5]
    assert serve.main(list(map(str, options))) == 0
    how = {"runtime": "pytorch", "precision": "bf16", "compile": False, "num_threads": 3, "max_regions": 7}
    chosen = {"quality": "fast", "threshold": 0.7, "language": str(tmp_path / "words")}
    assert loaded == [{"path": str(weights), "device": "cuda:3", **how, **chosen}]
    assert (served["spotter"].threshold, served["spotter"].language.words) == (0.7, {"abba"})
    assert served["limits"] == ServiceLimits(1, 2, 3, 4, 5, 6.0, True, True, 7.5)
    config = served["config"]
    assert (config.app, config.host, config.port) == ("app", "0.0.0.0", 81)
    assert config.limit_concurrency > 4 + 5
    assert config.timeout_graceful_shutdown >= 6


def test_serve_is_for_this_machine_unless_told(weights, loaded, served):
    assert serve.main(["--weights", str(weights)]) == 0
    assert (served["config"].host, served["limits"].urls) == ("127.0.0.1", False)
    assert len(loaded) == 1


@pytest.mark.usefixtures("served")
def test_a_port_that_is_taken_is_a_failure(weights, loaded, monkeypatch):
    monkeypatch.setattr(serve.uvicorn.Server, "started", False)
    assert serve.main(["--weights", str(weights)]) == 1
    assert loaded


@pytest.mark.parametrize("name", ["max_bytes", "max_pixels", "max_pages", "concurrency", "timeout_s", "url_timeout_s"])
def test_limits_that_make_no_sense(name):
    with pytest.raises(ValueError, match=f"{name} is 0, expected at least"):
        ServiceLimits(**{name: 0})
    with pytest.raises(ValueError, match="queue is -1, expected at least 0"):
        ServiceLimits(queue=-1)


@pytest.mark.parametrize("module", ["fastapi", "fastapi_offline", "prometheus_client"])
def test_a_package_that_serve_lacks_is_named(module, monkeypatch, capsys):
    for name in [name for name in sys.modules if name == "textspot.cli.serve" or name.startswith("textspot.service")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main.run_verb("serve", []) == 1
    expected = f"error: textspot serve: {module} is not installed: pip install 'textspot[serve]'\n"
    assert capsys.readouterr().err == expected


def test_demo(weights, loaded, monkeypatch):
    served, folders = [], []
    page = SimpleNamespace(
        build_page=lambda _, folder: folders.append(folder) or "page",
        launch=lambda *arguments: served.append((*arguments, folders[-1].is_dir())),
    )
    monkeypatch.setitem(sys.modules, "textspot.demo.page", page)
    options = ["--weights", weights, "--device", "cpu", "--runtime", "pytorch", "--host", "0.0.0.0", "--port", 81]
    options += ["--threshold", 0.7, "--language", "none"]
    assert demo.main(list(map(str, options))) == 0
    assert demo.main(["--weights", str(weights)]) == 0
    named = ("path", "device", "runtime", "threshold", "language")
    assert [loaded[0][name] for name in named] == [str(weights), "cpu", "pytorch", 0.7, "none"]
    assert served == [("page", "0.0.0.0", 81, True), ("page", "127.0.0.1", 7860, True)]
    assert not any(folder.exists() for folder in folders)
