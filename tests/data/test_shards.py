"""Shards: the samples of an LMDB as tars in a store, found by an index, and named where they are damaged."""

import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from textspot.data import shards
from textspot.data.annotation import Instance
from textspot.data.lmdb_records import DamagedRecordError, Reader, Writer
from textspot.data.loader import PositionSampler
from textspot.data.shards import CacheConfig, ShardReader, open_records, write_shards
from textspot.data.shuffled import Shuffled
from textspot.image_files import decode_image
from textspot.stores import StoreError, list_files

pytest.importorskip("fsspec")
WORD = Instance(((1.0, 2.0), (9.0, 2.0), (9.0, 6.0), (1.0, 6.0)), "Käse", False)
NUM_SAMPLES = 7


def png(seed: int) -> bytes:
    import cv2

    pixels = np.random.default_rng(seed).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> Reader:
    folder = tmp_path_factory.mktemp("lmdb") / "train"
    with Writer(folder, {"name": "drawn"}) as writer:
        for number in range(NUM_SAMPLES):
            writer.add(f"{number}.png", png(number), [WORD] * (number % 3))
    return Reader(folder)


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path) -> str:
    return str(tmp_path / "shards") if request.param == "local" else f"memory://{tmp_path.name}"


@pytest.fixture
def written(records, tmp_path) -> Path:
    """Shards of three samples each, the last of one."""
    assert write_shards(records, str(tmp_path / "shards"), shard_bytes=3 * 2048) > 1
    return tmp_path / "shards"


def test_shards_hold_what_the_lmdb_holds(records, folder):
    num_shards = write_shards(records, folder, shard_bytes=4000)
    reader = open_records(folder)
    assert num_shards > 2
    assert len([file for file in list_files(folder) if file.name.endswith(".tar")]) == num_shards
    assert reader.meta == records.meta
    assert [reader[index] for index in range(len(reader))] == [records[index] for index in range(len(records))]
    sample, same = reader.sample(2, 8), records.sample(2, 8)
    assert np.array_equal(sample.image, same.image)
    assert (sample.transcripts, sample.name) == (same.transcripts, same.name)


def test_any_program_for_tars_reads_a_shard(written):
    with tarfile.open(written / "shard-000000.tar") as members:
        names = members.getnames()
        assert names[:2] == ["0000000000.json", "0000000000.png"]
        header, image = (members.extractfile(name).read() for name in names[:2])
    assert json.loads(header) == {"name": "0.png", "instances": []}
    assert decode_image(image, "0.png").shape == (16, 24, 3)


def test_an_empty_data_set_is_legal(tmp_path):
    with Writer(tmp_path / "none", {}) as writer:
        pass
    write_shards(Reader(writer.path), str(tmp_path / "shards"))
    reader = ShardReader(str(tmp_path / "shards"))
    assert len(reader) == 0
    with pytest.raises(IndexError, match="record 0 of 0"):
        reader[0]


def test_transcripts_below_the_least_score_are_not_shown(tmp_path):
    doubtful = Instance(WORD.polygon, "perhaps", False, score=0.4)
    with Writer(tmp_path / "lmdb", {}) as writer:
        writer.add("a.png", png(0), [WORD, doubtful])
    write_shards(Reader(writer.path), str(tmp_path / "shards"))
    assert open_records(str(tmp_path / "shards"), least_score=0.5).sample(0).transcripts == ["Käse", ""]


def test_what_is_there_is_not_overwritten_unasked(records, written):
    with pytest.raises(FileExistsError, match="--overwrite true"):
        write_shards(records, str(written))
    write_shards(records, str(written), overwrite=True)
    assert len(open_records(written)) == NUM_SAMPLES


def test_a_folder_without_an_index_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"index\.npz: no such file"):
        open_records("memory://nothing")
    (tmp_path / "index.npz").write_bytes(b"no index")
    with pytest.raises(ValueError, match=r"index\.npz cannot be read"):
        open_records(tmp_path)


def test_the_identity_is_that_of_the_content(records, written, tmp_path):
    write_shards(records, str(tmp_path / "again"), shard_bytes=3 * 2048)
    assert open_records(written).identity == open_records(tmp_path / "again").identity
    with Writer(tmp_path / "other", {"name": "drawn"}) as writer:
        writer.add("0.png", png(99), [])
    write_shards(Reader(writer.path), str(tmp_path / "others"))
    assert open_records(tmp_path / "others").identity != open_records(written).identity


def damage(written: Path, how: str) -> None:
    shard = written / "shard-000000.tar"
    data = shard.read_bytes()
    if how == "missing":
        shard.unlink()
    elif how == "cut short":
        shard.write_bytes(data[:3000])
    else:
        shard.write_bytes(data[:2000] + bytes([data[2000] ^ 1]) + data[2001:])


@pytest.mark.parametrize(
    ("how", "words"),
    [("missing", "no such file"), ("cut short", "cut short, or changed"), ("changed", "its checksum does not match")],
)
def test_damaged_shards_are_named_with_the_sample_and_counted(written, how, words):
    damage(written, how)
    reader = open_records(written)
    with pytest.raises(DamagedRecordError, match=rf"record 0 is damaged: .*shard-000000\.tar.*{words}"):
        reader[0]
    dropped: Counter[str] = Counter()
    with pytest.warns(UserWarning, match="is damaged"):
        shown = [Shuffled(reader, (0,)).sample(number, 1, dropped).name for number in range(NUM_SAMPLES)]
    assert len(shown) == NUM_SAMPLES
    assert dropped["damaged record"] > 0


def test_a_store_that_does_not_answer_is_no_damage(written, monkeypatch):
    def fail(address, *_):
        raise StoreError(f"{address}: the store does not answer")

    reader = open_records(written)
    monkeypatch.setattr(shards, "read_file", fail)
    with pytest.raises(StoreError, match="does not answer"):
        reader.sample(0)


def test_a_server_without_ranges_is_named(written, monkeypatch):
    reader = open_records(written)
    monkeypatch.setattr(shards, "read_file", lambda address, *_: Path(address).read_bytes())
    with pytest.raises(StoreError, match="ignores the range"):
        reader.sample(0)


@pytest.mark.parametrize(("max_gb", "kept"), [(1.0, 7), (0.0, 0), (6.2e-6, 2)])
def test_the_cache_keeps_the_first_samples_within_its_bound(written, tmp_path, max_gb, kept):
    reader = open_records(written, cache=CacheConfig(str(tmp_path / "cache"), max_gb))
    before = [reader[index] for index in range(NUM_SAMPLES)]
    files = sorted(file for file in (tmp_path / "cache").rglob("*") if file.is_file())
    assert len(files) == kept
    assert sum(file.stat().st_size for file in files) <= max_gb * 1e9
    assert [reader[index] for index in range(NUM_SAMPLES)] == before


def test_the_cache_spares_the_store_and_heals(written, tmp_path):
    reader = open_records(written, cache=CacheConfig(str(tmp_path / "cache")))
    before = reader[0]
    (kept,) = (tmp_path / "cache").rglob("0000000000")
    (written / "shard-000000.tar").rename(tmp_path / "gone")
    assert reader[0] == before
    (tmp_path / "gone").rename(written / "shard-000000.tar")
    kept.write_bytes(b"damaged")
    assert reader[0] == before
    assert kept.read_bytes() != b"damaged"


def test_a_cache_of_an_lmdb_has_no_effect(records):
    with pytest.raises(ValueError, match="cache has no effect"):
        open_records(records.path, cache=CacheConfig("cache"))


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_any_number_of_processes_shows_the_same_samples(records, written, world_size):
    """24 positions: 7 samples divide neither them nor the processes."""
    batch_size = 24 // world_size
    samplers = [PositionSampler(0, 1, batch_size, rank, world_size) for rank in range(world_size)]
    positions = [position for sampler in samplers for batch in sampler for position in batch]
    shown = [Shuffled(open_records(written), (3,)).sample(position, 1, Counter()).name for position in positions]
    assert shown == [Shuffled(records, (3,)).sample(position, 1, Counter()).name for position in range(24)]
    assert set(Counter(shown[:21]).values()) == {3}  # three epochs, each sample once in each
