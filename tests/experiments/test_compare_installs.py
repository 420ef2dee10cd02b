"""Measuring fresh processes and folders: what must come out where the answer is known."""

import sys
from pathlib import Path

import compare_installs
import pytest
from compare_installs import Installed, Program, Start, size_on_disk, start, to_markdown

PROGRAM = Program("reader", ("reader",), "print('words')")


def test_a_process_is_measured_alone(tmp_path):
    code = "block = bytearray(200_000_000)\nprint('a\\nb', len(sys.argv[1]) > 0)"
    small, large = (start(Path(sys.executable), one, tmp_path / "photo.jpg") for one in ("print('x')", code))
    assert (small.text, large.text) == ("x", "a\nb True")
    assert small.peak_bytes < 200_000_000 < large.peak_bytes
    assert 0 < small.processor_s <= small.wall_s * 8


def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"^OSError: no model$"):
        start(Path(sys.executable), "raise OSError('no model')", tmp_path / "photo.jpg")
    with pytest.raises(ValueError, match="exit status 3"):
        start(Path(sys.executable), "sys.exit(3)", tmp_path / "photo.jpg")


def test_the_size_is_that_of_the_blocks(tmp_path):
    assert size_on_disk(tmp_path) == 0
    (tmp_path / "deep").mkdir()
    empty = size_on_disk(tmp_path)
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100_000)
    assert 100_000 <= size_on_disk(tmp_path) - empty < 120_000


def test_the_table_holds_medians_and_says_what_failed():
    starts = tuple(
        Start(wall_s, 2 * wall_s, 10_000_000 * number, "one\ntwo") for number, wall_s in enumerate((3, 1, 2))
    )
    table = to_markdown([Installed(PROGRAM, "1.0", 410_400_000, starts), Installed(PROGRAM, "2", 5_000_000, (), "no")])
    assert "| reader | 1.0 | 410 | 2.00 | 4.00 | 20 |\n| reader | 2 | 5 | - | - | - |" in table
    assert table.endswith("- reader: `one two`\n- reader: no")


def test_our_wheel_is_what_is_installed(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(compare_installs.venv, "create", lambda *_, **__: None)
    monkeypatch.setattr(compare_installs.subprocess, "run", lambda command, **_: asked.append(command))
    compare_installs.install(compare_installs.ours(tmp_path / "textspot.whl"), tmp_path)
    assert asked[0][-1] == str(tmp_path / "textspot.whl")
    assert asked[0][0] == tmp_path / "bin" / "python"
