"""Train a joint text spotter: `python tools/train.py --config configs/quickstart.yaml`. Any key of the recipe is an
option."""

import os
import shlex
import sys

from textspot.engine.train import train
from textspot.recipe import read_command_line

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def main() -> int:
    recipe = read_command_line()
    is_first = os.environ.get("RANK", "0") == "0"  # of the processes torchrun started
    try:
        result = train(recipe)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing that looks finished was left behind", file=sys.stderr)
        return INTERRUPTED
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


if __name__ == "__main__":
    sys.exit(main())
