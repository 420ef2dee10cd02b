"""How long a training step of the quickstart waits for its images: from LMDBs, and from shards in an S3 server.

  python tools/experiments/scale/measure_waiting.py --steps 200

Renders some images of the quickstart's, stores them as shards in a server on this machine, trains from both, and prints
the share of a step that is spent waiting, the first steps left out. The weights of both runs must be equal.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from s3_server import s3_server
from safetensors.torch import load_file

from textspot.data.dataset import SourceConfig
from textspot.data.lmdb_records import Reader
from textspot.data.shards import write_shards
from textspot.data.synthetic.draw import DrawConfig, draw_dataset
from textspot.engine.train import train
from textspot.recipe import Recipe, read_command_line

LINES_LEFT_OUT = 2  # of the log: workers start, caches fill


def draw_small(source: SourceConfig, folder: Path, num_images: int) -> SourceConfig:
    """A source of the recipe with fewer images, rendered into a folder."""
    path = folder / Path(str(source.path)).name
    draw_dataset(path, replace(source.draw or DrawConfig(), num_images=num_images))
    return SourceConfig(str(path))


def with_sources(recipe: Recipe, sources: Sequence[SourceConfig], run: Path) -> Recipe:
    return replace(recipe, data=replace(recipe.data, train=tuple(sources)), run=str(run))


def waiting(run: Path) -> tuple[float, float]:
    """Milliseconds of a step, and the share of them that is spent waiting for images."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if line["event"] == "train"][LINES_LEFT_OUT:]
    step_s, wait_s = (sum(line[f"time/{name}"] for line in steps) / len(steps) for name in ("step_s", "wait_s"))
    return 1000 * step_s, wait_s / step_s


def measure(steps: int, num_images: int) -> bool:
    """Print both; whether the weights are equal."""
    recipe = read_command_line(["--config", "quickstart"])
    settings = replace(recipe.train, steps=steps, evaluate_every=steps, save_every=steps, picture_every=steps)
    with tempfile.TemporaryDirectory() as name, s3_server() as bucket:
        folder = Path(name)
        validation = draw_small(recipe.data.validation, folder, 2)
        recipe = replace(recipe, train=settings, data=replace(recipe.data, validation=validation))
        local = [draw_small(source, folder, num_images) for source in recipe.data.train]
        remote = [SourceConfig(f"{bucket}/{Path(str(source.path)).name}") for source in local]
        for source, stored in zip(local, remote, strict=True):
            write_shards(Reader(str(source.path)), str(stored.path))
        weights = []
        for where, sources in (("LMDB", local), ("shards in S3", remote)):
            weights.append(load_file(train(with_sources(recipe, sources, folder / where)).weights))
            step_ms, share = waiting(folder / where)
            print(f"{where}: a step takes {step_ms:.0f} ms, {share:.1%} of it waiting", flush=True)
    equal = all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    print(f"the weights are {'equal' if equal else 'not equal'}")
    return equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--num_images", type=int, default=400, help="images of each of the two sources")
    given = parser.parse_args()
    sys.exit(0 if measure(given.steps, given.num_images) else 1)


if __name__ == "__main__":
    main()
