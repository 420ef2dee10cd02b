"""Train a joint text spotter: `python tools/train.py --config configs/quickstart.yaml`. Any key of the recipe is an
option."""

import os
import shlex
import sys

from textspot.command_line import INTERRUPTED, run_command
from textspot.engine.train import train
from textspot.recipe import Recipe, read_command_line


def run(recipe: Recipe) -> int:
    """Train, and say what came of it."""
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes torchrun started
    result = train(recipe)
    if not is_first:
        return 0
    if not result.finished:
        print("stopped and saved; the same command goes on")
        return INTERRUPTED
    for name, value in sorted(result.figures.items()):
        print(f"{name:40} {value:.3f}")
    print(f"\npictures: {result.weights.parent.parent / 'pictures'}")
    weights = shlex.quote(str(result.weights))
    print(f"read your own photograph with:\n  python tools/infer.py --weights {weights} YOUR_PHOTO.jpg")
    return 0


def main() -> int:
    recipe = read_command_line()
    return run_command(lambda: run(recipe), "stopped; nothing that looks finished was left behind")


if __name__ == "__main__":
    sys.exit(main())
