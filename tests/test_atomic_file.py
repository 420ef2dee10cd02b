"""A file is the old one or the new one, whatever happens in between."""

import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from textspot.atomic_file import WriteError, write_atomically, write_text


def test_an_interrupt_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def interrupt(temporary):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, interrupt)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_a_kill_while_writing_leaves_the_old_file_and_the_next_write_cleans_up(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def die(temporary):
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        write_atomically(path, die)
    os.waitpid(child, 0)
    assert path.read_text() == "old"
    (left_over,) = set(tmp_path.iterdir()) - {path}
    assert left_over.read_text() == "half"
    (tmp_path / "file.other").write_text("somebody else's")
    write_atomically(path, lambda temporary: temporary.write_text("new"))
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "file": "new",
        "file.other": "somebody else's",
    }


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "pages" / "errors.html"
    write_text(path, "caf\u00e9")
    assert path.read_text(encoding="utf-8") == "caf\u00e9"
    with pytest.raises(WriteError, match=r"errors\.html: could not be written .*surrogates not allowed"):
        write_text(path, "half\ud800")
    assert path.read_text(encoding="utf-8") == "caf\u00e9"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_all_writers_leave_ordinary_permissions(tmp_path, umask):
    """Those of safetensors, for one, are its own."""
    writers = {
        "text": lambda file: file.write_text("a"),
        "array": lambda file: np.save(file.open("wb"), np.zeros(2)),
        "torch": lambda file: torch.save({}, file),
        "safetensors": lambda file: save_file({"a": torch.zeros(2)}, file),
        "private": lambda file: (file.write_text("a"), file.chmod(0o600)),
    }
    before = os.umask(umask)
    try:
        for name, write in writers.items():
            write_atomically(tmp_path / name, write)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o666 & ~umask}
