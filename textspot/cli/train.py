"""Train a text spotter: `textspot train --config quickstart`. Any key of the recipe is an option."""

import os
from collections.abc import Sequence

from textspot.cli.command import INTERRUPTED, how_to_read, run_command
from textspot.engine.train import train as train_recipe
from textspot.recipe import Recipe, read_command_line


def train(recipe: Recipe) -> int:
    """Train, and say what came of it."""
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes torchrun started
    result = train_recipe(recipe)
    if not is_first:
        return 0
    if not result.finished:
        print("stopped, and a checkpoint was saved: rerun the command to resume")
        return INTERRUPTED
    for name, value in sorted(result.figures.items()):
        print(f"{name:40} {value:.3f}")
    print(f"\npictures: {result.weights.parent.parent / 'pictures'}")
    print(f"read your own photograph with:\n{how_to_read(result.weights)}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    recipe = read_command_line(arguments, "textspot train", __doc__ or "")
    return run_command(lambda: train(recipe), "stopped; nothing that looks finished was left behind")
