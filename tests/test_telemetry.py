"""Nobody is called: no name is looked up and no socket of the internet is opened, in whatever the project does."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 50  # ONNX Runtime sends within the first 45

# Families of addresses outside this machine, what asks the kernel for its addresses before a look-up, and the daemon
# that looks names up for others.
CALLS = re.compile(r"sa_family=AF_(INET6?|PACKET)|nscd/socket|resolve/io\.systemd\.Resolve")

INFER = """
import time, numpy as np, textspot
spotter, ends = textspot.load({weights!r}, runtime={runtime!r}), time.monotonic() + {seconds}
while time.monotonic() < ends:
    spotter(np.zeros((64, 64, 3), np.uint8))
    time.sleep(0.2)
"""
IMPORT = """
import importlib, pkgutil, textspot
for module in pkgutil.walk_packages(textspot.__path__, "textspot."):
    importlib.import_module(module.name)
import onnxruntime, openvino, albumentations
"""
TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
from tiny_runs import tiny_recipe
from textspot.engine.train import train
recipe = tiny_recipe(Path({folder!r}))
train(replace(recipe, data=replace(recipe.data, num_workers=1)))
"""


def watch(code: str, folder: Path) -> tuple[subprocess.Popen, Path, Path]:
    """Start Python code with another home, under the eyes of strace; the process, its log, its home."""
    home, log = folder / "home", folder / "calls"
    home.mkdir(parents=True)
    command = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-e",
        "trace=connect,sendto,sendmsg,sendmmsg",
        "-o",
        log,
        sys.executable,
        "-c",
        code,
    ]
    environment = {key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    return subprocess.Popen(command, env=environment | {"HOME": str(home)}, stderr=subprocess.PIPE), log, home


def calls(started: tuple[subprocess.Popen, Path, Path]) -> list[str]:
    """What the process called, after its end; complaints if it failed, or left something at home."""
    process, log, home = started
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors.decode()
    left = [str(file.relative_to(home)) for file in home.rglob("*") if "intel" in file.parts]
    return [line for line in log.read_text().splitlines() if CALLS.search(line)] + left


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to see what system calls are made")
def test_no_name_is_looked_up_and_nothing_connects(exported: Path, tmp_path: Path) -> None:
    weights, graph = str(exported / "model.safetensors"), str(exported / "spotter.onnx")
    codes = {
        "import": IMPORT,
        "training": TRAIN.format(tests=str(Path(__file__).parent.absolute()), folder=str(tmp_path)),
        "pytorch": INFER.format(weights=weights, runtime="pytorch", seconds=SECONDS),
        "onnxruntime": INFER.format(weights=graph, runtime="onnxruntime", seconds=SECONDS),
        "openvino": INFER.format(weights=graph, runtime="openvino", seconds=SECONDS),
    }
    started = {name: watch(code, tmp_path / name) for name, code in codes.items()}
    assert {name: calls(process) for name, process in started.items()} == {name: [] for name in codes}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to see what system calls are made")
def test_a_call_would_be_seen(tmp_path: Path) -> None:
    looked_up = watch("import socket\ntry: socket.getaddrinfo('example.org', 80)\nexcept OSError: pass", tmp_path / "a")
    assert calls(looked_up)
    assert any("intel" in call for call in calls(watch("import openvino, time; time.sleep(2)", tmp_path / "b")))


def test_libraries_are_told_to_be_silent() -> None:
    code = "import textspot, os; print(*(os.environ[name] for name in textspot.telemetry.VARIABLES))"
    code += "; from openvino_telemetry import Telemetry; print(Telemetry('a', tid='b').send_event('c', 'd', 'e'))"
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.split() == ["1", "1", "0", "False", "1", "None"]


def test_whoever_wants_to_send_may() -> None:
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "0"}
    code = "import textspot, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == "0"
