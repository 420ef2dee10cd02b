"""Word crops: what other programs wrote is read, what is cut out is upright and where it should be."""

import pickle
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from textspot.data.annotation import Instance
from textspot.data.crop_lmdb import CropReader, crops_to_records, cut_crops, straighten
from textspot.data.lmdb_records import DamagedRecordError, Reader, Writer


def encode(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


CROP = np.zeros((12, 40, 3), np.uint8)
CROP[:, :20] = (250, 10, 10)


def write_crops(path: Path, count: bytes, values: dict[bytes, bytes]) -> Path:
    """As the usual scripts do: a lock file beside the data, keys from 1."""
    path.mkdir()
    with lmdb.open(str(path), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        for key, value in (values | {b"num-samples": count}).items():
            transaction.put(key, value)
    return path


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Two crops in order, one without a label, one that is no image, one with an empty label."""
    values = {
        b"image-000000001": encode(CROP),
        b"label-000000001": "Café".encode(),
        b"image-000000002": encode(CROP[:, :20]),
        b"label-000000002": b"two words",
        b"image-000000003": encode(CROP),
        b"image-000000004": b"no image",
        b"label-000000004": b"word",
        b"image-000000005": encode(CROP),
        b"label-000000005": b" ",
    }
    return write_crops(tmp_path / "crops", b"5", values)


def test_read(crops: Path) -> None:
    reader = pickle.loads(pickle.dumps(CropReader(crops)))
    assert len(reader) == 5
    assert reader[1] == (encode(CROP[:, :20]), "two words")
    sample = reader.sample(0)
    np.testing.assert_array_equal(sample.image, CROP)
    assert sample.polygons[0].tolist() == [[0, 0], [40, 0], [40, 12], [0, 12]]
    assert (sample.transcripts, sample.ignore.tolist(), sample.name) == (["Café"], [False], "image-000000001")
    with pytest.raises(DamagedRecordError, match="crops: crop 2 is damaged: its image or its label is missing"):
        reader[2]
    with pytest.raises(DamagedRecordError, match="crops: crop 3 is damaged: image-000000004: cannot be decoded"):
        reader.sample(3)
    with pytest.raises(IndexError, match="crop 5 of 5"):
        reader[5]


def test_what_is_no_crops(tmp_path: Path) -> None:
    with Writer(tmp_path / "images", {}):
        pass
    with pytest.raises(ValueError, match=r"images: no LMDB of word crops .* it has no key num-samples"):
        CropReader(tmp_path / "images")
    with pytest.raises(ValueError, match="many: no LMDB of word crops that can be read: invalid literal"):
        CropReader(write_crops(tmp_path / "many", b"many", {}))
    with pytest.raises(FileNotFoundError, match="nowhere: no such data set"):
        CropReader(tmp_path / "nowhere")
    assert len(CropReader(write_crops(tmp_path / "none", b"0", {}))) == 0


def test_import(crops: Path, tmp_path: Path) -> None:
    report = crops_to_records(CropReader(crops), tmp_path / "set")
    assert str(report).splitlines() == [
        f"{tmp_path}/set: 2 kept, 3 dropped",
        "  dropped, damaged crop: 2",
        "  dropped, no transcript: 1",
    ]
    reader = Reader(tmp_path / "set")
    assert [record.name for record in reader] == ["image-000000001", "image-000000002"]
    assert reader[0].image_bytes == encode(CROP)
    assert reader[0].instances == (Instance(((0, 0), (40, 0), (40, 12), (0, 12)), "Café"),)
    assert reader.meta.characters["é"] == 1


GRADIENT = np.stack(np.broadcast_arrays(np.arange(100)[None], np.arange(60)[:, None], 0), axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("polygon", "size", "top_left", "top_right"),
    [
        ([[10, 20], [50, 20], [50, 30], [10, 30]], (10, 40), (10, 20), (49, 20)),
        ([[50, 30], [10, 30], [10, 20], [50, 20]], (10, 40), (49, 29), (10, 29)),  # upside down
        ([[30, 50], [30, 10], [40, 10], [40, 50]], (10, 40), (30, 49), (30, 10)),  # read upwards
        ([[10, 20], [30, 20], [50, 20], [50, 30], [30, 30], [10, 30]], (10, 40), (10, 20), (49, 20)),
        ([[90, 20], [130, 20], [130, 30], [90, 30]], (10, 40), (90, 20), (99, 20)),  # over the border
        ([[10, 20], [10, 20], [10, 20], [10, 20]], (1, 1), None, None),
    ],
)
def test_straighten(polygon, size, top_left, top_right) -> None:
    """The image holds its own coordinates: red is x, green is y."""
    crop = straighten(GRADIENT, np.array(polygon, np.float32))
    assert crop.shape[:2] == size
    if top_left:
        np.testing.assert_allclose(crop[0, 0, :2], top_left, atol=1)
        np.testing.assert_allclose(crop[0, -1, :2], top_right, atol=1)


def test_straighten_curved() -> None:
    """Along the ribbon: the middle of the top edge stays the middle of the top edge."""
    polygon = np.array([[10, 30], [30, 20], [50, 30], [50, 40], [30, 30], [10, 40]], np.float32)
    crop = straighten(GRADIENT, polygon)
    middle = crop[0, crop.shape[1] // 2, :2]
    np.testing.assert_allclose(middle, (30, 20), atol=1.5)


def test_export(tmp_path: Path) -> None:
    quad = ((10.0, 20.0), (50.0, 20.0), (50.0, 30.0), (10.0, 30.0))
    small = ((10.0, 20.0), (50.0, 20.0), (50.0, 23.0), (10.0, 23.0))
    with Writer(tmp_path / "set", {}) as writer:
        words = [Instance(quad, "Café"), Instance(quad, "###", ignore=True), Instance(quad), Instance(small, "low")]
        writer.add("a.png", encode(GRADIENT), words)
        writer.add("b.png", b"no image", words)
        writer.add("c.png", encode(GRADIENT), [Instance(quad, "two words")])
    report = cut_crops(Reader(tmp_path / "set"), tmp_path / "crops", min_height=4)
    assert report.kept == 2
    assert report.dropped == {
        "to be ignored": 1,
        "no transcript": 1,
        "lower or narrower than 4 pixels": 1,
        "damaged image": 1,
    }
    crops = CropReader(tmp_path / "crops")
    assert [crops.sample(index).transcripts for index in range(len(crops))] == [["Café"], ["two words"]]
    np.testing.assert_array_equal(crops.sample(0).image, GRADIENT[20:30, 10:50])
    with pytest.raises(FileExistsError, match="crops: exists already"):
        cut_crops(Reader(tmp_path / "set"), tmp_path / "crops")
    assert cut_crops(Reader(tmp_path / "set"), tmp_path / "crops", overwrite=True).kept == 3


def test_there_and_back(tmp_path: Path) -> None:
    with Writer(tmp_path / "set", {}) as writer:
        writer.add("a.png", encode(GRADIENT), [Instance(((0.0, 0.0), (100.0, 0.0), (100.0, 60.0), (0.0, 60.0)), "all")])
    cut_crops(Reader(tmp_path / "set"), tmp_path / "crops")
    crops_to_records(CropReader(tmp_path / "crops"), tmp_path / "again")
    first, again = Reader(tmp_path / "set").sample(0), Reader(tmp_path / "again").sample(0)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.polygons[0], again.polygons[0])
    assert first.transcripts == again.transcripts
