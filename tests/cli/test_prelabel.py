import numpy as np
import pytest
from tiny_spotter import write_noise

import textspot
from textspot.cli import prelabel as verb
from textspot.data.formats import PER_DATASET, jsonl


@pytest.fixture
def prelabel(weights, tmp_path, monkeypatch):
    """Runs the verb beside a folder of two images and a file that is none."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.png", "deep/b.png")):
        write_noise(tmp_path / "photos" / name, 64, 96, seed)
    return lambda *arguments: verb.main(["photos", "--weights", str(weights), "--device", "cpu", *map(str, arguments)])


def test_what_the_weights_read_is_written(prelabel, weights, tmp_path, capsys):
    assert prelabel("--format", "jsonl") == 0
    assert "2 of 2 images read, 1 files written below labels" in capsys.readouterr().out
    first, second = jsonl.parse((tmp_path / "labels/labels.jsonl").read_bytes(), "labels.jsonl")
    assert (first.names[0], second.names[0]) == ("a.png", "deep/b.png")
    found = textspot.load(weights)(tmp_path / "photos/a.png")
    assert sorted(one.transcript for one in first.instances) == sorted(word.text for word in found)


@pytest.mark.parametrize(("tool", "file"), [("ppocrlabel", "Label.txt"), ("label_studio", "tasks.json")])
def test_paths_begin_with_the_folder(prelabel, tmp_path, tool, file):
    """Label Studio serves no folder that is its root, only those below; PPOCRLabel looks beside the folder."""
    assert prelabel("--format", tool, "--out", "labels") == 0
    images = PER_DATASET[tool]((tmp_path / "labels" / file).read_bytes(), file)
    assert [image.names[0] for image in images] == ["photos/a.png", "photos/deep/b.png"]


def test_the_threshold_leaves_words_out(prelabel, tmp_path):
    assert prelabel("--format", "jsonl", "--threshold", 1) == 0
    images = jsonl.parse((tmp_path / "labels/labels.jsonl").read_bytes(), "labels.jsonl")
    assert [len(image.instances) for image in images] == [0, 0]


def test_corrections_are_never_overwritten(prelabel, tmp_path, capsys):
    assert prelabel("--format", "labelme", "--out", "photos") == 0
    (tmp_path / "photos/a.json").write_text("corrected")
    assert prelabel("--format", "labelme", "--out", "photos") == 1
    assert "photos/a.json and 1 more: exists and may hold corrections" in capsys.readouterr().err
    assert (tmp_path / "photos/a.json").read_text() == "corrected"


def test_an_image_that_cannot_be_read_is_named(prelabel, tmp_path, capsys):
    (tmp_path / "photos/broken.jpg").write_bytes(np.arange(90, dtype=np.uint8).tobytes())
    assert prelabel("--format", "cvat") == 1
    output = capsys.readouterr()
    assert "broken.jpg" in output.err
    assert "2 of 3 images read" in output.out


def test_a_folder_must_be_there(weights, capsys):
    assert verb.main(["absent", "--weights", str(weights), "--format", "cvat"]) == 1
    assert "absent: no such folder" in capsys.readouterr().err
