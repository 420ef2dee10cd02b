"""Ask before a long run whether its recipe can learn to read: `python tools/doctor.py --config YOUR_RECIPE.yaml`.

Counts what the training images give the reader, then trains on two of them again and again, some minutes, with the
learning rate of the recipe. Takes the options of tools/train.py; exit status 1 means that it does not learn.
"""

import sys

from textspot.engine.overfit import check_up
from textspot.progress import track
from textspot.recipe import read_command_line

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def main() -> int:
    recipe = read_command_line()
    try:
        checkup = check_up(recipe, track)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED
    for line in checkup.lines:
        print(line)
    print("this recipe can learn to read" if checkup.learns else "this recipe does not learn to read; see above")
    return 0 if checkup.learns else 1


if __name__ == "__main__":
    sys.exit(main())
