"""The protocol with other programs, with small programs as peers."""

import importlib.util
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from textspot.benchmark.peer import Peer, PeerError

PEERS = Path(__file__).parents[2] / "docs" / "peers"
ECHO = """
import json, os, sys
for count, line in enumerate(sys.stdin):
    name = os.path.basename(line.strip())
    corners = [[0, 0], [9, 0], [9, 5], [count, 5]]
    found = [{"polygon": corners, "text": name}, {"polygon": corners, "text": "ä", "score": 0.25}]
    print(json.dumps({"instances": found}), flush=True)
"""


def command(tmp_path, code):
    file = tmp_path / "a peer.py"
    file.write_text(code, encoding="utf-8")
    return shlex.join([sys.executable, str(file)])


def test_one_process_answers_image_by_image(tmp_path):
    with Peer(command(tmp_path, ECHO)) as peer:
        first, second = peer(Path("shop 1.jpg")), peer(Path("b.jpg"))
        assert [(text, score) for _, text, score in first] == [("shop 1.jpg", 1.0), ("ä", 0.25)]
        np.testing.assert_array_equal(second[0].polygon, [[0, 0], [9, 0], [9, 5], [1, 5]])
        assert second[0].text == "b.jpg"
        assert second.name == "b.jpg"
        assert peer.peak_memory_bytes is None or peer.peak_memory_bytes > 2**20


def test_paths_are_absolute(tmp_path):
    code = "import json, sys\nfor line in sys.stdin:\n    open('heard', 'w').write(line); "
    code += "print(json.dumps({'instances': []}), flush=True)"
    code = code.replace("'heard'", repr(str(tmp_path / "heard")))
    with Peer(command(tmp_path, code)) as peer:
        assert len(peer(Path("x.jpg"))) == 0
    assert (tmp_path / "heard").read_text() == f"{Path('x.jpg').absolute()}\n"


@pytest.mark.parametrize(
    "answer",
    ["loading the model ...", "[]", '{"words": []}', '{"instances": [{"text": "A"}]}', "null"]
    + [json.dumps({"instances": [{"polygon": polygon, "text": "A"}]}) for polygon in ([1, 2], [[0, 0], [1, 1]], "x")],
)
def test_other_answers_are_shown(tmp_path, answer):
    code = f"import sys\nfor line in sys.stdin: print({answer!r}, flush=True)"
    with (
        Peer(command(tmp_path, code)) as peer,
        pytest.raises(PeerError, match=r"a peer.*: answered .* to x\.jpg .*; expected one line"),
    ):
        peer(Path("x.jpg"))


@pytest.mark.parametrize("code", ["import sys; sys.exit(3)", "import sys; input(); sys.exit(3)"])
def test_a_peer_that_ends_is_named_with_its_status(tmp_path, code):
    with (
        Peer(command(tmp_path, code)) as peer,
        pytest.raises(PeerError, match=r"ended with status 3 instead of reading x\.jpg"),
    ):
        peer(Path("x.jpg"))


@pytest.mark.parametrize("wrong", ["", "no-such-program-here --fast", "python 'unfinished"])
def test_a_peer_that_cannot_be_started(wrong):
    with pytest.raises(PeerError, match="cannot be started"):
        Peer(wrong)


def test_leaving_ends_the_process(tmp_path):
    with Peer(command(tmp_path, ECHO)) as peer:
        process = peer._process
        assert process.poll() is None
    assert process.poll() is not None


def test_rapidocr_lines_become_words():
    pytest.importorskip("rapidocr", reason="rapidocr is not installed")
    spec = importlib.util.spec_from_file_location("rapidocr_peer", PEERS / "rapidocr_peer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = module.split_line([[0, 0], [100, 10], [100, 30], [0, 20]], "ab  c ab")
    assert [text for _, text in words] == ["ab", "c", "ab"]
    assert words[0][0] == [[0, 0], [25, 2.5], [25, 22.5], [0, 20]]
    assert words[2][0] == [[75, 7.5], [100, 10], [100, 30], [75, 27.5]]
    assert module.split_line([[0, 0], [1, 0], [1, 1], [0, 1]], "  ") == []
