"""A pipe in the place of a file that a user names is refused, and not waited for."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import textspot
from textspot.cli.quantize import VERB as QUANTIZE
from textspot.data.card import load_card
from textspot.data.synthetic.words import _read_list
from textspot.recipe import read_command_line
from textspot.regular_file import refuse_other_kinds
from textspot.text.language import load_language
from textspot.text.lexicon import open_lexicon


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """One that nobody writes into; the test ends when it is waited for."""
    os.mkfifo(tmp_path / "pipe")
    signal.alarm(20)
    yield tmp_path / "pipe"
    signal.alarm(0)


READERS: dict[str, Callable[[Path], object]] = {
    "card": load_card,
    "language": load_language,
    "lexicon": open_lexicon,
    "words": lambda path: _read_list(str(path)),
    "weights": textspot.load,
    "graph": lambda path: textspot.load(path.rename(path.with_suffix(".onnx"))),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_pipe_is_refused(kind: str, pipe: Path) -> None:
    with pytest.raises(ValueError, match=r"pipe.*(a pipe or a device|no regular one)"):
        READERS[kind](pipe)


@pytest.mark.parametrize("read", [read_command_line, QUANTIZE.read])
def test_options_are_not_read_from_a_pipe(read: Callable, pipe: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        read(["--config", str(pipe)])
    assert f"{pipe}: a folder, a pipe or a device, expected a YAML file" in capsys.readouterr().err


def test_a_device_is_refused_and_nothing_is_left_to_who_opens() -> None:
    with pytest.raises(ValueError, match=r"^/dev/zero: a folder, a pipe or a device, expected words"):
        refuse_other_kinds("/dev/zero", "words")
    refuse_other_kinds("nowhere", "words")
