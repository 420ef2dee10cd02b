"""The record format: what is written comes back, and what was damaged since is named."""

import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest

from textspot.data import lmdb_file, lmdb_records
from textspot.data.annotation import Instance
from textspot.data.lmdb_records import DamagedRecordError, Reader, Writer

QUAD = ((1.5, 2), (30, 2.25), (30, 12), (1.5, 12))
INSTANCES = [
    Instance(QUAD, "Café"),
    Instance(QUAD, "Cafe\u0301 ", language="fr"),
    Instance(QUAD, "###", ignore=True),
    Instance((*QUAD, (0, 7)), ""),
]


def png(value: int = 200) -> bytes:
    image = np.full((16, 32, 3), value, dtype=np.uint8)
    image[:, :, 0] = 10  # blue in OpenCV's order
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A data set of three records: one with every kind of instance, one without any, one that is no image."""
    with Writer(tmp_path / "set", {"name": "three"}) as writer:
        writer.add("a.png", png(), INSTANCES)
        writer.add("b.png", png(), [])
        writer.add("c.txt", b"not an image", INSTANCES[:1])
    return tmp_path / "set"


def test_empty_data_set(tmp_path: Path) -> None:
    with Writer(tmp_path / "empty", {}):
        pass
    reader = Reader(tmp_path / "empty")
    assert len(reader) == 0
    assert list(reader) == []
    with pytest.raises(IndexError, match="record 0 of 0"):
        reader[0]


def test_round_trip(path: Path) -> None:
    reader = Reader(path)
    assert [record.name for record in reader] == ["a.png", "b.png", "c.txt"]
    assert reader[0].image_bytes == png()
    assert reader[0].instances == tuple(INSTANCES)
    assert reader[1].instances == ()
    assert reader[2].image_bytes == b"not an image"
    for outside in (-1, 3):
        with pytest.raises(IndexError, match="of 3"):
            reader[outside]


def test_sample(path: Path) -> None:
    sample = Reader(path).sample(0)
    assert sample.name == "a.png"
    assert sample.image.shape == (16, 32, 3)
    assert sample.image[0, 0].tolist() == [200, 200, 10]
    assert [polygon.dtype for polygon in sample.polygons] == [np.float32] * 4
    np.testing.assert_array_equal(sample.polygons[3], [*QUAD, (0, 7)])
    assert sample.transcripts == ["Café", "Cafe\u0301 ", "###", ""]
    assert sample.ignore.tolist() == [False, False, True, False]
    assert len(Reader(path).sample(1)) == 0
    with pytest.raises(DamagedRecordError, match=r"set: record 2 is damaged: c\.txt: cannot be decoded"):
        Reader(path).sample(2)


def test_words_that_a_program_is_unsure_of_have_no_transcript(tmp_path: Path) -> None:
    words = [Instance(QUAD, "hand"), Instance(QUAD, "sure", score=0.97), Instance(QUAD, "unsure", score=0.96)]
    with Writer(tmp_path / "set", {}) as writer:
        writer.add("a.png", png(), words)
    assert list(Reader(tmp_path / "set")[0].instances) == words
    assert Reader(tmp_path / "set").sample(0).transcripts == ["hand", "sure", "unsure"]
    reader = pickle.loads(pickle.dumps(Reader(tmp_path / "set", least_score=0.97)))
    assert reader.sample(0).transcripts == ["hand", "sure", ""]
    assert Reader(tmp_path / "set", least_score=1).sample(0).transcripts == ["hand", "", ""]


def test_meta_counts_normalised_characters_of_what_can_be_read(path: Path) -> None:
    meta = Reader(path).meta
    assert (meta.count, meta.instances, meta.readable, meta.ignored) == (3, 5, 3, 1)
    assert meta.characters == {"C": 3, "a": 3, "f": 3, "é": 3}
    assert meta.card == {"name": "three"}
    assert str(meta) == "3 images, 5 instances: 3 readable, 1 ignored, 1 without transcript"


def test_name_twice(tmp_path: Path) -> None:
    with Writer(tmp_path / "set", {}) as writer:
        writer.add("a.png", png(), [])
        with pytest.raises(ValueError, match=r"a\.png: added twice"):
            writer.add("a.png", png(), [])


def test_map_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_file, "_INITIAL_MAP_BYTES", 1 << 16)
    images = [bytes([number]) * 100_000 for number in range(20)] + [b"x" * 5_000_000]
    with Writer(tmp_path / "set", {}) as writer:
        for number, image in enumerate(images):
            writer.add(str(number), image, [])
    assert [record.image_bytes for record in Reader(tmp_path / "set")] == images


# Readers and processes


def test_readers_share_a_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    readers = [Reader(path), Reader(tmp_path / "link"), Reader(os.path.relpath(path))]
    assert {reader[0].name for reader in readers} == {"a.png"}
    del readers[0]
    assert readers[0][1].name == "b.png"
    readers.clear()
    assert not lmdb_file._opened  # the last reader closed the file


def test_threads_share_a_reader(path: Path) -> None:
    reader = pickle.loads(pickle.dumps(Reader(path)))  # opens at the first access
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.extend(r.name for r in reader)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == ["a.png"] * 4 + ["b.png"] * 4 + ["c.txt"] * 4


def test_a_photograph_may_come_smaller_and_its_polygons_with_it(tmp_path: Path) -> None:
    image = np.zeros((64, 96, 3), dtype=np.uint8)
    image[16:32, 32:64] = 255
    with Writer(tmp_path / "set", {}) as writer:
        writer.add(
            "a.jpg", cv2.imencode(".jpg", image)[1].tobytes(), [Instance(((32, 16), (64, 16), (64, 32), (32, 32)))]
        )
    sample = Reader(tmp_path / "set").sample(0, least_side=24)
    assert sample.image.shape == (16, 24, 3)
    assert sample.polygons[0].tolist() == [[8, 4], [16, 4], [16, 8], [8, 8]]
    assert sample.polygons[0].dtype == np.float32
    assert (np.abs(sample.image[4:8, 8:16].astype(int) - 255) < 8).all()
    assert Reader(tmp_path / "set").sample(0).image.shape == (64, 96, 3)


def test_pickle_carries_no_records(path: Path) -> None:
    reader = Reader(path)
    pickled = pickle.dumps(reader)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    assert copy[0] == reader[0]
    assert copy.meta == reader.meta


def read_names(reader: Reader) -> list[str]:
    """Run in another process: through the reader that came along, and through one of its own."""
    return [record.name for record in reader] + [record.name for record in Reader(reader.path)]


@pytest.mark.parametrize(
    "method",
    ["fork", pytest.param("spawn", marks=pytest.mark.slow), pytest.param("forkserver", marks=pytest.mark.slow)],
)
def test_start_methods(path: Path, method: str) -> None:
    reader, second = Reader(path), Reader(path)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(read_names, [reader, second, reader]) == [["a.png", "b.png", "c.txt"] * 2] * 3
    assert second[0].name == "a.png"


def test_fork_inherits_an_open_reader(path: Path) -> None:
    reader, second = Reader(path), Reader(path)
    assert reader[0].name == "a.png"
    child = os.fork()
    if child == 0:
        good = Reader(path)[0].name == reader.sample(0).name == second[0].name == "a.png"
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert reader[1].name == "b.png"


# Damage


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing: no such data set; textspot prepare build makes one"):
        Reader(tmp_path / "nothing")


def test_folder_of_splits(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no data\.mdb; did you mean .*/set\?"):
        Reader(path.parent)


def test_not_an_lmdb(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"hello" * 5000)
    with pytest.raises(ValueError, match=r"cannot be opened as a data set .*not an LMDB file.*build it again"):
        Reader(tmp_path)


def test_lmdb_of_another_program(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"num-samples", b"1")
    with pytest.raises(ValueError, match="it has no meta record"):
        Reader(tmp_path)


def rewrite(path: Path, key: bytes, value: bytes | None) -> None:
    with lmdb.open(str(path), lock=False) as environment, environment.begin(write=True) as transaction:
        if value is None:
            transaction.delete(key)
        else:
            transaction.put(key, value)


def test_other_format_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_records, "FORMAT_VERSION", 2)
    with pytest.raises(ValueError, match=r"set: .* it has format version 1, .* reads 2; build it again"):
        Reader(path)


@pytest.mark.parametrize("value", [b"", b"1", b"1234{}"])
def test_damaged_meta(path: Path, value: bytes) -> None:
    rewrite(path, b"meta", value)
    with pytest.raises(ValueError, match="not a data set that can be read: its checksum does not match"):
        Reader(path)


def test_cut_short(path: Path) -> None:
    """Every length is refused when opened: reading past the end of the file would kill the process."""
    file = path / "data.mdb"
    whole = file.read_bytes()
    for length in (0, 100, 4096, 5000, 8192, 12288, len(whole) // 2, len(whole) - 1):
        (path.parent / "short").mkdir(exist_ok=True)
        (path.parent / "short" / "data.mdb").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut short|cannot be opened"):
            Reader(path.parent / "short")
    with pytest.raises(ValueError, match=f"{len(whole) - 1} of {len(whole)} bytes"):
        Reader(path.parent / "short")


def test_flipped_byte_names_the_record(path: Path) -> None:
    file = path / "data.mdb"
    content = bytearray(file.read_bytes())
    content[content.index(b"not an image")] ^= 1
    file.write_bytes(content)
    reader = Reader(path)
    assert reader[1].name == "b.png"
    with pytest.raises(DamagedRecordError, match=r"set: record 2 is damaged: its checksum does not match"):
        reader[2]


@pytest.mark.parametrize(("value", "words"), [(None, "it is missing"), (b"123", "its checksum does not match")])
def test_lost_record(path: Path, value: bytes | None, words: str) -> None:
    rewrite(path, b"%010d" % 1, value)
    with pytest.raises(DamagedRecordError, match=f"record 1 is damaged: {words}"):
        Reader(path)[1]


# What a writer leaves behind


def test_target_exists(path: Path) -> None:
    with pytest.raises(FileExistsError, match="set: exists already; give --overwrite true"):
        Writer(path, {})
    old = Reader(path)
    with Writer(path, {}, overwrite=True) as writer:
        writer.add("new.png", png(), [])
    assert [record.name for record in Reader(path)] == ["new.png"]
    assert old[0].name == "a.png"  # an open reader keeps what it opened
    assert sorted(os.listdir(path.parent)) == ["set"]


def test_overwrite_spares_other_folders(path: Path) -> None:
    (path / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match="holds something else than a data set"):
        Writer(path, {}, overwrite=True)
    (path.parent / "new.building").mkdir()
    (path.parent / "new.building" / "notes").touch()
    with pytest.raises(FileExistsError, match=r"new\.building: holds something else"), Writer(path.parent / "new", {}):
        pass


def write_and_fail(path: Path, error: type[BaseException]) -> None:
    with Writer(path, {}, overwrite=True) as writer:
        writer.add("new.png", png(), [])
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write_and_fail(tmp_path / "set", error)
    assert os.listdir(tmp_path) == []


def test_failed_overwrite_keeps_the_old(path: Path) -> None:
    with pytest.raises(RuntimeError):
        write_and_fail(path, RuntimeError)
    assert Reader(path)[0].name == "a.png"
    assert sorted(os.listdir(path.parent)) == ["set"]


def test_what_was_written_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that corrupts a record finds out itself."""
    pack = lmdb_records._pack_record
    monkeypatch.setattr(lmdb_records, "_pack_record", lambda *record: pack(*record)[:-1])
    with pytest.raises(DamagedRecordError, match="record 0 is damaged"), Writer(tmp_path / "set", {}) as writer:
        writer.add("a.png", png(), [])
    assert os.listdir(tmp_path) == []


def test_one_build_at_a_time(tmp_path: Path) -> None:
    with Writer(tmp_path / "set", {}) as writer:
        with (
            pytest.raises(BlockingIOError, match="another process is building this data set"),
            Writer(tmp_path / "set", {}),
        ):
            pass
        writer.add("a.png", png(), [])
    assert len(Reader(tmp_path / "set")) == 1


def test_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: to LMDB both are a write that fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(OSError, match=r"set: cannot be written \(.*\), \d+ MB are free there: make room"):
            fill(tmp_path / "set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def fill(path: Path) -> None:
    with Writer(path, {}) as writer:
        for number in range(100):
            writer.add(str(number), b"x" * 10_000, [])


BUILD_FOREVER = """
import sys
from textspot.data.lmdb_records import Writer
with Writer(sys.argv[1], {}) as writer:
    for number in range(10**9):
        writer.add(str(number), b"x" * 10_000, [])
        if number == 100:
            print("running", flush=True)
"""


@pytest.mark.slow
def test_killed_build(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD_FOREVER, str(tmp_path / "set")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.getcwd()}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        with pytest.raises(BlockingIOError, match="another process"), Writer(tmp_path / "set", {}):
            pass
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert os.listdir(tmp_path) == ["set.building"]
    with pytest.raises(FileNotFoundError, match="no such data set"):
        Reader(tmp_path / "set")
    shutil.copytree(tmp_path / "set.building", tmp_path / "copy")
    with pytest.raises(ValueError, match="it has no meta record, so it is unfinished"):
        Reader(tmp_path / "copy")
    with Writer(tmp_path / "set", {}) as writer:
        writer.add("a.png", png(), [])
    assert sorted(os.listdir(tmp_path)) == ["copy", "set"]
    assert len(Reader(tmp_path / "set")) == 1
