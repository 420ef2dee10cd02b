"""Training from shards over HTTP: the weights are those of training from the LMDB, bit for bit."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import drawing, interrupt_after
from web_server import Answer, ranges_of

from textspot.batch import Batch
from textspot.data.dataset import DataConfig, SourceConfig
from textspot.data.lmdb_records import DamagedRecordError, Reader
from textspot.data.shards import CacheConfig, open_records, write_shards
from textspot.engine.train import TrainingResult, next_batch, train
from textspot.recipe import Recipe
from textspot.stores import StoreError

Serve = Callable[[Mapping[str, Answer]], str]


@pytest.fixture
def shards(drawn: Path, tmp_path: Path, web_server: Serve) -> str:
    """The address of the training images of the tiny recipe as shards of one image or two."""
    write_shards(Reader(drawn / "train"), str(tmp_path / "shards"), shard_bytes=8000)
    files = {f"/{file.name}": ranges_of(file.read_bytes()) for file in (tmp_path / "shards").iterdir()}
    assert len(files) > 3
    return web_server(files)


def from_shards(recipe: Recipe, address: str, cache: CacheConfig | None, num_workers: int = 0) -> Recipe:
    data = replace(recipe.data, train=(SourceConfig(address, cache=cache),), num_workers=num_workers)
    return replace(recipe, data=data)


def test_samples_come_over_http(shards: str, drawn: Path) -> None:
    reader, records = open_records(shards), Reader(drawn / "train")
    assert [reader[index] for index in range(len(reader))] == [records[index] for index in range(len(records))]


@pytest.mark.usefixtures("shards")
def test_a_shard_that_ends_early_is_damaged_over_http(tmp_path: Path, web_server: Serve) -> None:
    index = (tmp_path / "shards" / "index.npz").read_bytes()
    address = web_server({"/index.npz": index, "/shard-000000.tar": ranges_of(b"short")})
    reader = open_records(address)
    with pytest.raises(DamagedRecordError, match="cut short"):
        reader[0]
    with pytest.raises(DamagedRecordError, match="cut short"):
        reader[1]
    with pytest.raises(DamagedRecordError, match=r"shard-00000\d\.tar: no such file"):
        reader[5]


@pytest.mark.slow
def test_weights_are_those_of_the_lmdb(
    tiny_run: tuple[Recipe, TrainingResult], tiny_recipe: Recipe, shards: str, tmp_path: Path
) -> None:
    """With worker processes and a cache of some samples; the run is stopped, the shards are moved, and it resumes."""
    _, from_lmdb = tiny_run
    cache = CacheConfig(str(tmp_path / "cache"), max_gb=12e-6)
    recipe = replace(from_shards(tiny_recipe, shards, cache, num_workers=2), run=str(tmp_path / "from_shards"))
    interrupt_after(5, recipe)
    train(from_shards(recipe, str(tmp_path / "shards"), None))
    weights, others = load_file(from_lmdb.weights), load_file(Path(recipe.run) / "last" / "model.safetensors")
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert any((tmp_path / "cache").rglob("0000000000"))


@pytest.mark.slow
@pytest.mark.usefixtures("shards")
def test_a_share_of_damaged_samples_ends_the_run(tiny_recipe: Recipe, tmp_path: Path) -> None:
    for shard in sorted((tmp_path / "shards").glob("*.tar"))[1:]:
        shard.unlink()
    recipe = from_shards(tiny_recipe, str(tmp_path / "shards"), None)
    with pytest.raises(ValueError, match=r"records were damaged, more than data\.max_damaged"):
        train(recipe)


def test_a_store_that_fails_in_a_worker_ends_the_run_in_words() -> None:
    def batches() -> Iterator[Batch]:
        raise StoreError("Caught StoreError in a worker\n  a traceback\nStoreError: s3://b: the store does not answer")
        yield

    with pytest.raises(ValueError, match=r"^StoreError: s3://b: the store does not answer$"):
        next_batch(batches())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SourceConfig("http://host/shards", draw=drawing(2, seed=1)), "renders an LMDB on this machine"),
        (SourceConfig(stream=None, path=None), "made of either"),
    ],
)
def test_sources_that_make_no_sense(source: SourceConfig, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DataConfig((source,), SourceConfig("validation"))
