"""Bulk reading without Ray: the list of images, the rows of a part, what a folder says about its run."""

import io
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image
from tiny_spotter import save_tiny_spotter, write_noise

import textspot
from textspot.bulk import reading
from textspot.bulk.folder import OtherRunError, begin_run, find_run, look_at_parts, read_rows, refuse_other
from textspot.bulk.manifest import Entry, Source, build_manifest, read_part_entries
from textspot.bulk.reading import read_part
from textspot.bulk.rows import Row, encode_part
from textspot.bulk.run import (
    ClusterConfig,
    ClusterError,
    PartDone,
    PartReader,
    Progress,
    count_actors,
    describe_seconds,
    start_ray,
)
from textspot.bulk.settings import BulkSettings
from textspot.cli.bulk import BulkOptions
from textspot.downloads import DownloadLimits
from textspot.stores import StoreError

LIMITS = DownloadLimits(private=True)
PNG = partial(Image.Image.save, format="PNG")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny_spotter(tmp_path_factory.mktemp("run") / "model.safetensors", max_side=128)


@pytest.fixture(scope="module")
def spotter(weights):
    return textspot.load(weights, "cpu", num_threads=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five images of two sizes, one that is read in tiles among them, a damaged one and a text file."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, (height, width) in enumerate([(64, 96), (96, 64), (64, 96), (300, 64), (64, 96)]):
        write_noise(folder / f"{seed}.png", height, width, seed)
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "notes.txt").write_text("of the photographer")
    return folder


def entries_of(photos):
    return list(Source(str(photos), "url").entries())


def test_a_folder_gives_its_images_by_name_and_counts_the_rest(photos):
    source = Source(str(photos), "url")
    entries = list(source.entries())
    assert [entry.id for entry in entries] == [*(f"{n}.png" for n in range(5)), "broken.jpg"]
    assert entries[0].num_bytes == (photos / "0.png").stat().st_size
    assert source.passed_over == {".txt": 1}


def test_a_source_without_images_is_named(tmp_path):
    for address in (str(tmp_path), str(tmp_path / "absent")):
        with pytest.raises(ValueError, match="no image there"):
            Source(address, "url").entries()
    with pytest.raises(ValueError, match="the web has no folders"):
        Source("http://somewhere/photos", "url").entries()


def test_a_list_gives_its_addresses_in_order(tmp_path):
    file = tmp_path / "list.parquet"
    parquet.write_table(pyarrow.table({"link": ["s3://b/2.jpg", None, "s3://b/1.jpg"]}), file)
    assert [entry.address for entry in Source(str(file), "link").entries()] == ["s3://b/2.jpg", "s3://b/1.jpg"]
    with pytest.raises(ValueError, match=r"no column 'url', only link: .*--column"):
        Source(str(file), "url").entries()


def test_the_last_part_of_a_manifest_may_be_smaller():
    entries = [Entry(str(number), f"s3://b/{number}", number) for number in range(5)]
    manifest = build_manifest(iter(entries), 2)
    opened = parquet.ParquetFile(io.BytesIO(manifest.data))
    assert (manifest.num_images, manifest.num_parts) == (5, 3)
    assert [entry for part in range(3) for entry in read_part_entries(opened, part)] == entries


@pytest.mark.parametrize("batch_size", [1, 2])
def test_rows_say_what_the_spotter_reads(photos, spotter, batch_size):
    rows = read_part(spotter, entries_of(photos), batch_size, LIMITS)
    assert [row.id for row in rows] == [*(f"{n}.png" for n in range(5)), "broken.jpg"]
    expected = spotter.predict([photos / f"{number}.png" for number in range(5)], batch_size)
    for row, prediction in zip(rows, expected, strict=False):
        assert (row.height, row.width) == prediction.size
        assert [one["text"] for one in row.instances] == [one.text for one in prediction]
        assert row.instances[0]["polygon"] == prediction[0].polygon.flatten().tolist()
        assert row.lines == [line.text for line in prediction.lines()]
        assert len(row.sha256) == 64
    assert "broken.jpg" in rows[-1].error
    assert rows[-1].instances == []


def test_a_part_repeated_is_the_same_file(photos, spotter):
    entries = entries_of(photos)
    first, again = (encode_part(read_part(spotter, entries, 2, LIMITS), "run") for _ in range(2))
    assert first == again


def test_no_image_gives_no_row(spotter):
    assert read_part(spotter, [], 1, LIMITS) == []


def test_the_greatest_number_of_regions_is_said(photos, weights):
    limited = textspot.load(weights, "cpu", num_threads=1, max_regions=1)
    assert [row.limited for row in read_part(limited, entries_of(photos)[:2], 1, LIMITS)] == [True, True]


def test_what_is_wrong_with_one_image_is_its_row(photos, spotter, tmp_path, web_server):
    good = entries_of(photos)[0]
    address = web_server({"/a.png": (photos / "0.png").read_bytes()})
    entries = [
        replace(good, id="gone", address=str(tmp_path / "gone.png")),
        replace(good, id="changed", num_bytes=7),
        Entry("large", good.address, 1 << 40),
        Entry("folder", str(tmp_path)),
        Entry("page", f"{address}/page"),
        Entry("web", f"{address}/a.png"),
    ]
    rows = read_part(spotter, entries, 1, LIMITS)
    for row, words in zip(rows, ("no such file", "had 7 bytes when", "at most", "directory", "404", ""), strict=True):
        assert words in row.error
        assert bool(row.error) == bool(words)
    assert rows[5].instances == read_part(spotter, [good], 1, LIMITS)[0].instances


def test_addresses_that_are_not_public_want_permission(spotter, web_server):
    row = read_part(spotter, [Entry("a", web_server({"/a": b"x"}) + "/a")], 1, DownloadLimits())[0]
    assert "no public address" in row.error


def test_a_store_that_fails_ends_the_part(photos, spotter, monkeypatch):
    def fail(address, *_):
        raise StoreError(f"{address}: the store does not answer")

    monkeypatch.setattr(reading, "read_file", fail)
    with pytest.raises(StoreError, match="does not answer"):
        read_part(spotter, entries_of(photos), 1, LIMITS)


@pytest.fixture
def run(photos, weights, tmp_path):
    """A run of three parts that has begun."""
    settings = BulkSettings(weights=str(weights)).identify()
    return begin_run(str(tmp_path / "out"), settings, build_manifest(Source(str(photos), "url").entries(), 2), 2)


def test_a_run_goes_on_with_what_is_missing(run, weights):
    reader = PartReader(run, BulkSettings(weights=str(weights)))
    assert look_at_parts(run).missing == [0, 1, 2]
    reader({"part": np.array([2])})
    assert (look_at_parts(run).missing, look_at_parts(run).num_errors) == ([0, 1], 1)
    done = reader({"part": np.array([0, 1])})
    assert (done["num_images"], done["num_errors"]) == ([2, 2], [0, 0])
    assert look_at_parts(find_run(run.out)).missing == []
    assert [row["id"] for row in read_rows(run.out)] == [*(f"{n}.png" for n in range(5)), "broken.jpg"]


def test_a_part_that_is_cut_short_is_read_again(run, weights, tmp_path):
    reader = PartReader(run, BulkSettings(weights=str(weights)))
    reader({"part": np.array([0, 1])})
    part = tmp_path / "out/part-000001.parquet"
    part.write_bytes(part.read_bytes()[:-9])
    assert look_at_parts(run).missing == [1, 2]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"threshold": 0.5}, "threshold was None, is 0.5"),
        ({"batch_size": 4}, "batch_size was 1, is 4"),
        ({"quality": "best"}, "quality was default, is best"),
    ],
)
def test_other_settings_are_refused(run, weights, changes, named):
    with pytest.raises(OtherRunError, match=rf"begun with other settings: {named}\. Use those, or"):
        refuse_other(run, BulkSettings(weights=str(weights), **changes).identify(), 2)
    refuse_other(run, BulkSettings(weights=str(weights)).identify(), 2)
    with pytest.raises(OtherRunError, match="images_per_part was 2, is 3"):
        refuse_other(run, BulkSettings(weights=str(weights)).identify(), 3)


def test_other_weights_are_refused_on_every_machine(run, tmp_path):
    other = save_tiny_spotter(tmp_path / "other.safetensors", threshold=0.7)
    with pytest.raises(OtherRunError, match=r"weights was model\.safetensors, SHA-256 .*, is other\.safetensors"):
        refuse_other(run, BulkSettings(weights=str(other)).identify(), 2)
    with pytest.raises(OtherRunError, match="this machine would read otherwise"):
        PartReader(run, BulkSettings(weights=str(other)))


def test_a_part_of_another_run_is_refused(run, tmp_path):
    (tmp_path / "out/part-000001.parquet").write_bytes(encode_part([Row("a")], "another"))
    with pytest.raises(OtherRunError, match=r"part-000001\.parquet was written by another run"):
        look_at_parts(run)


def test_a_manifest_that_changed_is_refused(run, tmp_path):
    (tmp_path / "out/manifest.parquet").write_bytes(build_manifest(iter([Entry("a", "a")]), 2).data)
    with pytest.raises(OtherRunError, match=r"manifest\.parquet changed"):
        look_at_parts(run)


def test_a_folder_of_something_else_is_refused(tmp_path):
    assert find_run(str(tmp_path)) is None
    (tmp_path / "part-000000.parquet").write_bytes(b"")
    with pytest.raises(OtherRunError, match=r"holds part-000000\.parquet and no run\.json"):
        find_run(str(tmp_path))
    (tmp_path / "run.json").write_text(json.dumps({"settings": {}}))
    with pytest.raises(OtherRunError, match=r"run\.json: not the file of a run"):
        find_run(str(tmp_path))


def test_files_of_the_settings_count_by_their_content(weights, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("ABC\n")
    settings = BulkSettings(weights=str(weights), lexicon=str(words))
    before = settings.identify()
    words.write_text("ABD\n")
    after = settings.identify()
    assert {name for name in before if before[name] != after[name]} == {"lexicon"}


def test_the_settings_reach_the_spotter(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(weights.parent)
    (tmp_path / "words.txt").write_text("ABC\n")
    choices = {"threshold": 0.7, "language": "none", "lexicon": str(tmp_path / "words.txt")}
    choices |= {"tiling": False, "max_regions": 5, "quality": "best"}
    settings = BulkSettings(weights=weights.name, **choices).with_absolute_paths()
    spotter = settings.load()
    assert settings.weights == str(weights)
    assert (spotter.threshold, spotter.language, spotter.tiling, spotter.max_regions) == (0.7, None, False, 5)
    assert (spotter.lexicon is not None, spotter.quality) == (True, "best")


def test_a_lexicon_raises_words_as_it_does_elsewhere(photos, weights, tmp_path):
    """It may raise what the detector doubts, so such regions are read too."""
    (tmp_path / "words.txt").write_text("ABBA\nEBBE\n")
    spotter = BulkSettings(weights=str(weights), threshold=0.6, lexicon=str(tmp_path / "words.txt")).load()
    (row,) = read_part(spotter, entries_of(photos)[:1], 1, LIMITS)
    prediction = spotter(photos / "0.png")
    assert [(one["text"], one["score"]) for one in row.instances] == [(one.text, one.score) for one in prediction]


def test_a_cluster_that_cannot_be_joined_is_named(monkeypatch):
    ray = pytest.importorskip("ray")
    tried = []

    def fail(address, **_):
        tried.append(address)
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ClusterError, match=r"the cluster at here:1 cannot be joined \(nobody there\)"):
        start_ray(ClusterConfig("here:1"), 1)
    with pytest.raises(ClusterError, match="Ray does not start here"):
        start_ray(ClusterConfig(), 1)
    assert tried == ["here:1", "here:1", "local", "local"]


@pytest.mark.parametrize(
    ("cluster", "num_threads", "expected"),
    [
        (ClusterConfig(), 1, 8),
        (ClusterConfig(), 3, 2),
        (ClusterConfig(), 16, 1),
        (ClusterConfig(actors=5), 1, 5),
        (ClusterConfig(num_gpus=0.5), 1, 4),
    ],
)
def test_actors_fill_the_machines(monkeypatch, cluster, num_threads, expected):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})
    assert count_actors(cluster, BulkSettings(num_threads=num_threads)) == expected


@pytest.mark.parametrize("options", [{"num_gpus": 1.0}, {"device": "cuda"}, {"num_gpus": -1.0}])
def test_gpus_and_their_number_go_together(options):
    with pytest.raises(ValueError, match="--device cuda and --num_gpus above 0 go together"):
        BulkOptions(source="photos", out="read", **options)


def test_progress_counts_from_the_first_part():
    progress = Progress(num_images=100, before=20, errors=1)
    assert progress.describe() == "20 of 100 images, 1 not read"
    progress.add(PartDone(0, 10, 0, seconds=5.0), now=105.0)
    progress.add(PartDone(1, 10, 2, seconds=5.0), now=110.0)
    assert progress.describe() == "40 of 100 images, 3 not read, 2.00 images/s, 30 s to go"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (7.2, "7 s"), (307, "5 min 7 s"), (3600, "1 h"), (11100, "3 h 5 min"), (270000, "3 d 3 h")],
)
def test_times_in_words(seconds, words):
    assert describe_seconds(seconds) == words
