"""The missing parts of a run, read by actors of Ray Data that each hold one spotter and write what they read."""

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from jsonargparse.typing import NonNegativeInt

from textspot.bulk.folder import MANIFEST, OtherRunError, Run
from textspot.bulk.manifest import read_part_entries
from textspot.bulk.reading import read_part
from textspot.bulk.rows import count_errors, encode_part
from textspot.bulk.settings import BulkSettings
from textspot.downloads import DownloadLimits
from textspot.runtime.protocol import count_cpus
from textspot.stores import join, open_file, write_file

OBJECT_STORE_BYTES = 128 << 20  # of Ray, on this machine: only numbers of parts go through it


@dataclass(frozen=True)
class ClusterConfig:
    """Where the actors run.

    Args:
        address: address of a Ray cluster, such as auto or ray://host:10001; without it, Ray starts on this machine.
        actors: number of actors, each with one spotter; 0 takes as many as the CPUs or GPUs have room for.
        num_gpus: GPUs that one actor takes; 0.25 puts four actors on a GPU.
    """

    address: str | None = None
    actors: NonNegativeInt = 0
    num_gpus: float = 0.0


@dataclass(frozen=True)
class PartDone:
    """A part that was written: its number, its images, how many of them could not be read, and how long it took."""

    number: int
    num_images: int
    num_errors: int
    seconds: float


class PartReader:
    """The actor: reads parts by their numbers and writes them. Ray starts a new one where one was killed."""

    def __init__(self, run: Run, settings: BulkSettings):
        os.environ["OMP_NUM_THREADS"] = str(settings.num_threads)  # of libraries that would count those of the machine
        identity = settings.identify()
        if others := sorted(name for name in identity if identity[name] != run.settings.get(name)):
            found = "; ".join(f"{name} was {run.settings.get(name)}, is {identity[name]} here" for name in others)
            raise OtherRunError(f"this machine would read otherwise than the run began: {found}")
        self.run, self.settings = run, settings
        self.limits = DownloadLimits(private=settings.private_urls)
        self.spotter = settings.load()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[float]]:
        """The part whose number is in the batch, read and written."""
        done = [self.read(int(number)) for number in batch["part"]]
        return {name: [getattr(one, name) for one in done] for name in PartDone.__dataclass_fields__}

    def read(self, number: int) -> PartDone:
        """Read and write one part."""
        import pyarrow.parquet as parquet

        started = time.perf_counter()
        with open_file(join(self.run.out, MANIFEST)) as file:
            entries = read_part_entries(parquet.ParquetFile(file), number)
        rows = read_part(self.spotter, entries, self.settings.batch_size, self.limits)
        write_file(self.run.part(number), encode_part(rows, self.run.key))
        return PartDone(number, len(rows), count_errors(rows), time.perf_counter() - started)


def read_parts(run: Run, missing: list[int], settings: BulkSettings, cluster: ClusterConfig) -> Iterator[PartDone]:
    """Read the missing parts on the cluster; each comes when it is written, in any order.

    What is wrong with the store or the settings is raised as it was there; a part that an actor was killed over is read
    again by another.
    """
    if not missing:
        return
    import ray

    start_ray(cluster, settings.num_threads)
    try:
        parts = ray.data.from_items([{"part": number} for number in missing], override_num_blocks=len(missing))
        done = parts.map_batches(
            PartReader,
            fn_constructor_args=(run, settings),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(count_actors(cluster, settings), len(missing))),
            num_cpus=settings.num_threads if not cluster.num_gpus else 1,
            num_gpus=cluster.num_gpus or None,
        )
        for row in done.iter_rows():
            yield PartDone(**row)
    except Exception as error:
        raise _own_error(error) from error
    finally:
        ray.shutdown()


class ClusterError(OSError):
    """Ray that does not start, or a cluster that cannot be joined."""


def start_ray(cluster: ClusterConfig, num_threads: int) -> None:
    """Join the cluster, or start Ray on this machine with the CPUs that this process may use, or with as many as the
    actors want that were asked for. What fails twice is a `ClusterError`: Ray gives itself 30 s to start, which a busy
    machine may exceed."""
    import ray

    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data._internal").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        _init_ray(cluster, num_threads)
    except Exception:  # Ray raises whatever its parts do
        ray.shutdown()
        try:
            _init_ray(cluster, num_threads)
        except Exception as error:
            where = (
                f"the cluster at {cluster.address} cannot be joined" if cluster.address else "Ray does not start here"
            )
            raise ClusterError(f"{where} ({error}): is the machine busy? Run the same command again") from error


def _init_ray(cluster: ClusterConfig, num_threads: int) -> None:
    import ray

    init = partial(ray.init, logging_level=logging.ERROR, log_to_driver=False)
    if cluster.address:
        init(cluster.address)
        return
    num_cpus = max(count_cpus(), cluster.actors * num_threads)
    init("local", num_cpus=num_cpus, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False)


def count_actors(cluster: ClusterConfig, settings: BulkSettings) -> int:
    """As many as asked for, else as many as the cluster's GPUs or CPUs have room for."""
    import ray

    resources = ray.cluster_resources()
    share = resources.get("GPU", 0) / cluster.num_gpus if cluster.num_gpus else resources["CPU"] / settings.num_threads
    return cluster.actors or max(1, int(share))


def _own_error(error: BaseException) -> BaseException:
    """The error of this package among those that Ray wraps it in; itself if there is none."""
    inner: BaseException | None = error
    while inner is not None:
        cause = getattr(inner, "cause", None)
        for one in (inner, cause):
            if one is not None and type(one).__module__.startswith("textspot."):
                return one
        inner = inner.__cause__ or cause
    return error


@dataclass
class Progress:
    """How far a run is: images in all, those done before this start and since, those that could not be read.

    Its rate begins with the first part, not with the start of Ray and of the spotters.
    """

    num_images: int
    before: int
    errors: int = 0
    since: int = 0
    started: float = 0.0
    last: float = 0.0

    def add(self, done: PartDone, now: float) -> None:
        """Count a part that was done at a time, in seconds."""
        self.started, self.last = self.started or now - done.seconds, now
        self.since += done.num_images
        self.errors += done.num_errors

    def describe(self) -> str:
        """In words: how many images are done, how many a second, and how long the rest takes at this rate."""
        done = self.before + self.since
        words = [f"{done} of {self.num_images} images"] + ([f"{self.errors} not read"] if self.errors else [])
        if self.since:
            rate = self.since / max(self.last - self.started, 1e-9)
            words += [f"{rate:.2f} images/s", f"{describe_seconds((self.num_images - done) / rate)} to go"]
        return ", ".join(words)


def describe_seconds(seconds: float) -> str:
    """A time as 2 d 3 h, 3 h 5 min, 5 min 7 s or 7 s."""
    parts = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    rest, words = round(seconds), list[str]()
    for unit, length in parts:
        count, rest = divmod(rest, length)
        if count or (unit == "s" and not words):
            words.append(f"{count} {unit}")
    return " ".join(words[:2])
