"""Train a joint text spotter: `python tools/train.py --config configs/quickstart.yaml`. Any key of the recipe is an
option."""

import sys

from textspot.engine.train import train
from textspot.recipe import read_command_line

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def main() -> int:
    recipe = read_command_line()
    command = f"python tools/train.py {' '.join(sys.argv[1:])}"
    try:
        result = train(recipe)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; nothing that looks finished was left behind", file=sys.stderr)
        return INTERRUPTED
    if not result.finished:
        print(f"stopped and saved; go on with: {command}")
        return INTERRUPTED
    for name, value in sorted(result.figures.items()):
        print(f"{name:40} {value:.3f}")
    print(f"\npictures: {result.weights.parent.parent / 'pictures'}")
    print(f"read your own photograph with:\n  python tools/infer.py --weights {result.weights} YOUR_PHOTO.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
