from pathlib import Path

import numpy as np
import pytest

from textspot.benchmark.images import ImageSet, find_images, spread, unpack_images
from textspot.data.annotation import Instance
from textspot.data.lmdb_records import Reader, Writer
from textspot.metrics import GroundTruth
from textspot.structures import Prediction, TextInstance

WORD = np.array([[10, 10], [50, 10], [50, 30], [10, 30]], np.float32)


@pytest.fixture
def ground_truth(tmp_path):
    folder = tmp_path / "gt"
    folder.mkdir()
    for number in (1, 2, 3, 9):
        (folder / f"gt_img_{number}.txt").write_text(f"10,10,50,10,50,30,10,30,WORD{number}\n")
    return folder


def test_files_and_folders_in_order(photographs, files):
    assert find_images([photographs]).files == files
    assert find_images([files[2], photographs]).files == [files[2], *files]
    assert find_images([photographs], limit=2).files == files[:2]
    assert find_images([photographs]).ground_truths == ()


def test_ground_truth_by_name(photographs, files, ground_truth):
    images = find_images([photographs], ground_truth)
    assert images.files == files
    assert [one.transcripts for one in images.ground_truths] == [["WORD1"], ["WORD2"], ["WORD3"]]


def test_an_image_without_ground_truth_is_named(photographs, ground_truth):
    (ground_truth / "gt_img_2.txt").unlink()
    with pytest.raises(ValueError, match=r"has no gt_2\.txt or gt_img_2\.txt for .*img_2\.png"):
        find_images([photographs], ground_truth)


def test_no_image_at_all(tmp_path):
    with pytest.raises(ValueError, match=f"no image in {tmp_path}"):
        find_images([tmp_path])


@pytest.mark.parametrize(
    ("count", "limit", "chosen"),
    [(3, None, [0, 1, 2]), (3, 5, [0, 1, 2]), (10, 1, [0]), (10, 4, [0, 2, 5, 7]), (0, 3, [])],
)
def test_a_part_is_evenly_spread(count, limit, chosen):
    assert list(spread(count, limit)) == chosen


@pytest.fixture
def lmdb(tmp_path, files):
    with Writer(tmp_path / "lmdb", {"name": "few"}) as writer:
        for file in files:
            writer.add(f"train/{file.name}", file.read_bytes(), [Instance(WORD.tolist(), "EXIT", False, "")])
    return Reader(tmp_path / "lmdb")


def test_an_lmdb_becomes_files_byte_for_byte(lmdb, files, tmp_path):
    images = unpack_images(lmdb, tmp_path, limit=2)
    assert [Path(file).read_bytes() for file in images.files] == [file.read_bytes() for file in files[:2]]
    assert [one.name for one in images.ground_truths] == ["train/img_1.png", "train/img_2.png"]
    assert images.ground_truths[0].transcripts == ["EXIT"]


def test_an_empty_lmdb(tmp_path):
    with Writer(tmp_path / "empty", {}):
        pass
    with pytest.raises(ValueError, match="holds no image"):
        unpack_images(Reader(tmp_path / "empty"), tmp_path)


def test_hmean_of_what_is_found():
    truths = [GroundTruth([WORD, WORD + 100], ["EXIT", "OPEN"], np.zeros(2, bool), "a")]
    found = [TextInstance(WORD, "EXIT", 0.9), TextInstance(WORD + 100, "", 0.8), TextInstance(WORD + 200, "", 0.8)]
    prediction = Prediction(tuple(found), (300, 300))
    figures = ImageSet([Path("a")], truths).score([prediction])
    assert figures["icdar2015/detection_iou"] == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))  # of 3 regions 2 are words
    assert figures["icdar2015/end_to_end"] == pytest.approx(2 / 3)  # what was not read is not seen: 1 of 1, 1 of 2
    assert ImageSet([Path("a")]).score([prediction]) == {}
