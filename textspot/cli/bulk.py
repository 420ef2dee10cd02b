"""Read millions of images into Parquet files, on this machine or on a Ray cluster.

  textspot bulk --source photos/ --out read/
  textspot bulk --source s3://bucket/photos --out s3://bucket/read --address auto
  textspot bulk --source addresses.parquet --column url --out read/

Each image gives one row: its name, the SHA-256 of its bytes, its size, the words with their polygons and scores, the
lines, and an error if it could not be read. The list of images is fixed when the run begins. Run the same command
again after any interruption: it reads what is missing, and the rows are those of a run that nothing interrupted. A
folder that was begun with other weights or other settings is refused.

Credentials and end points come from the environment, as the client of the store reads them: AWS_ACCESS_KEY_ID,
AWS_ENDPOINT_URL and so on. The exit status is 0 if all images were read, 1 if an image has an error or
the run failed, and 2 if the options are wrong.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields

from jsonargparse.typing import PositiveFloat, PositiveInt

from textspot.bulk.folder import Run, begin_run, find_run, look_at_parts, refuse_other
from textspot.bulk.manifest import Source, build_manifest
from textspot.bulk.run import ClusterConfig, Progress, read_parts
from textspot.bulk.settings import BulkSettings
from textspot.cli.command import run_command, say
from textspot.cli.options import Verb
from textspot.stores import is_remote


@dataclass(frozen=True, kw_only=True)
class BulkOptions(BulkSettings, ClusterConfig):
    """What is read, how, where, and where the rows go.

    Args:
        source: folder, prefix in S3 or another store, or Parquet file with a column of URLs.
        out: folder, or prefix in a store, that receives the Parquet files.
        column: column of the URLs, if the source is a Parquet file.
        images_per_part: images of one Parquet file; an actor that is killed loses at most so many.
        progress_s: seconds between two lines of progress.
    """

    source: str
    out: str
    column: str = "url"
    images_per_part: PositiveInt = 256
    progress_s: PositiveFloat = 10.0

    def __post_init__(self) -> None:
        if self.num_gpus < 0 or (self.num_gpus > 0) != self.device.startswith("cuda"):
            raise ValueError("--device cuda and --num_gpus above 0 go together: give both, or neither")


PARTS = {"how images are read": BulkSettings, "where they are read": ClusterConfig}
GROUPS = {title: [one.name for one in fields(part)] for title, part in PARTS.items()}
VERB = Verb("bulk", BulkOptions, __doc__, groups=GROUPS)


def bulk(options: BulkOptions) -> int:
    """Begin the run or go on with it; the exit status says whether every image was read."""
    settings = choose(BulkSettings, options).with_absolute_paths()
    run = open_run(options, settings)
    done = look_at_parts(run)
    before = run.num_images - sum(run.size_of(number) for number in done.missing)
    progress = Progress(run.num_images, before, done.num_errors)
    if before:
        say(f"{run.out}: {before} of {run.num_images} images were read before")
    told = time.perf_counter()
    for part in read_parts(run, done.missing, settings, choose(ClusterConfig, options)):
        progress.add(part, now := time.perf_counter())
        if now - told >= options.progress_s:
            told = now
            say(progress.describe())
    print(f"{run.out}: {progress.describe()}")
    return 1 if progress.errors else 0


def choose(config, options: BulkOptions):
    """The part of the options that a dataclass has fields for."""
    return config(**{one.name: getattr(options, one.name) for one in fields(config)})


def open_run(options: BulkOptions, settings: BulkSettings) -> Run:
    """The run in --out, if it is the one that the options say; a new one if there is none."""
    out, source = absolute(options.out), absolute(options.source)
    identity = settings.identify() | {"source": source}
    if run := find_run(out):
        refuse_other(run, identity, options.images_per_part)
        return run
    images = Source(source, options.column)
    manifest = build_manifest(images.entries(), options.images_per_part)
    if images.passed_over:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(images.passed_over.items()))
        say(f"passed over, as no images by their names: {counts}")
    return begin_run(out, identity, manifest, options.images_per_part)


def absolute(address: str) -> str:
    """An address that means the same in every process of this machine."""
    return address if is_remote(address) else os.path.abspath(address.removeprefix("file://"))


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: bulk(options), "interrupted: run the same command again to go on")
