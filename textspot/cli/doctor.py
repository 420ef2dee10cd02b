"""Check before a long run whether its recipe can learn to read: `textspot doctor --config YOUR_RECIPE.yaml`.

Counts the words that train the recogniser in the first 100 training views. Then it trains on two views for some
minutes, with the recipe's learning rate. Takes the options of `textspot train`; exit status 1 means that it does not
learn.
"""

from collections.abc import Sequence

from textspot.cli.command import run_command
from textspot.engine.overfit import check_up
from textspot.progress import track
from textspot.recipe import Recipe, read_command_line


def doctor(recipe: Recipe) -> int:
    """Look at the recipe's data, train on a little of it, and say what came of it."""
    checkup = check_up(recipe, track)
    for line in checkup.lines:
        print(line)
    print("this recipe can learn to read" if checkup.learns else "this recipe does not learn to read; see above")
    return 0 if checkup.learns else 1


def main(arguments: Sequence[str] | None = None) -> int:
    recipe = read_command_line(arguments, "textspot doctor", __doc__ or "")
    return run_command(lambda: doctor(recipe))
