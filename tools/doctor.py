"""Ask before a long run whether its recipe can learn to read: `python tools/doctor.py --config YOUR_RECIPE.yaml`.

Counts what the training images give the reader, then trains on two of them again and again, some minutes, with the
learning rate of the recipe. Takes the options of tools/train.py; exit status 1 means that it does not learn.
"""

import sys

from textspot.command_line import run_command
from textspot.engine.overfit import check_up
from textspot.progress import track
from textspot.recipe import Recipe, read_command_line


def run(recipe: Recipe) -> int:
    """Look at the recipe's data, train on a little of it, and say what came of it."""
    checkup = check_up(recipe, track)
    for line in checkup.lines:
        print(line)
    print("this recipe can learn to read" if checkup.learns else "this recipe does not learn to read; see above")
    return 0 if checkup.learns else 1


def main() -> int:
    recipe = read_command_line()
    return run_command(lambda: run(recipe))


if __name__ == "__main__":
    sys.exit(main())
