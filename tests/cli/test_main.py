"""The `textspot` command: its verbs, their help, and what it says where a package is missing."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import textspot
from textspot.cli.command import how_to_read
from textspot.cli.main import VERBS, main

ROOT = Path(__file__).parents[2]
SCRIPTS = [*sorted((ROOT / "tools").glob("*.py")), ROOT / "datasets" / "prepare.py"]
DANGLING = {"of", "in", "at", "by", "to", "from", "with", "for", "that", "whether", "how", "what", "which", "instead"}
WITHOUT_EXTRAS = """
import sys
for name in ("torch", "lmdb", "albumentations", "torchvision", "tensorboard", "safetensors"):
    sys.modules[name] = None  # as if it were not installed
from textspot.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def read_help(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["-h"], []):
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        assert all(f"\n  {verb} " in printed for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"textspot {textspot.__version__}\n"


def test_unknown_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantise"]) == 2
    assert capsys.readouterr().err == "error: textspot has no command 'quantise': did you mean quantize?\n"
    assert main(["sing"]) == 2
    assert "expected one of infer, train" in capsys.readouterr().err


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"prepare"}))
def test_the_help_says_what_each_option_is(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    printed = read_help(verb, capsys)
    assert printed.startswith(f"usage: textspot {verb} ") or verb in ("train", "doctor")
    assert "<class" not in printed
    assert re.findall(r"^  --(?!config)\S+ CONFIG", printed, re.M) == []
    assert "default: null" not in printed


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"prepare"}))
def test_descriptions_begin_with_a_noun_or_a_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = re.findall(r"^  --(\S+)[^\n]*?(?:\n {20,}|  +)(\w+)", read_help(verb, capsys), re.M)
    assert len(options) >= 3
    assert [(name, word) for name, word in options if word.lower() in DANGLING] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_each_script_is_its_verb(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr("textspot.cli.main.run_verb", lambda *call: called.append(call) or 7)
    monkeypatch.setattr("sys.argv", [str(script), "--some", "option"])
    with pytest.raises(SystemExit, match="7"):
        runpy.run_path(str(script), run_name="__main__")
    assert called == [(script.stem.replace("_", "-"), ["--some", "option"])]
    assert called[0][0] in VERBS


def run_without_extras(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS, *arguments], capture_output=True, text=True)


def test_help_needs_no_torch() -> None:
    program = WITHOUT_EXTRAS.replace("main(sys.argv[1:])", "run_all()").replace(
        "sys.exit",
        f"""
def run_all():
    for verb in {list(VERBS)}:
        try:
            assert main([verb, "--help"]) == 0
        except SystemExit as end:
            assert end.code == 0

sys.exit""",
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^usage: textspot ([\w-]+) ", done.stdout, re.M) == list(VERBS)


def test_what_is_missing_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    done = run_without_extras("train", "--config", "quickstart")
    assert done.returncode == 1
    assert re.fullmatch(r"error: textspot train: \w+ is not installed: pip install 'textspot\[train\]'\n", done.stderr)
    done = run_without_extras("export", "--weights", "spotter-s", "--out", str(tmp_path / "x.onnx"))
    assert done.returncode == 1
    assert re.fullmatch(r"error: \w+ is not installed: pip install 'textspot\[torch\]'\n", done.stderr)


def test_the_help_of_all_imports_little() -> None:
    program = (
        "import sys\nfrom textspot.cli.main import main\nmain(['--help'])\n"
        "assert not {'torch', 'numpy', 'cv2', 'jsonargparse'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize("weights", ["runs/a b/model.safetensors", "it's.onnx", 'a"b$c.onnx', "-x.onnx"])
def test_a_command_is_printed_as_a_shell_takes_it(weights: str) -> None:
    assert shlex.split(how_to_read(weights)) == ["textspot", "infer", "--weights", weights, "YOUR_PHOTO.jpg"]


def test_a_command_never_steers_the_terminal() -> None:
    assert "\x1b" not in how_to_read("\x1b[31m.onnx")
