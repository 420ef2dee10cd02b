"""The check before a long run: a sound recipe learns one batch by heart, a broken one does not, and either is said."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import drawing, overfit_recipe

from textspot.batch import Example
from textspot.cli import doctor as doctor_verb
from textspot.data.dataset import SourceConfig
from textspot.engine.overfit import check_up, describe_words
from textspot.models.ribbon_head import draw_targets
from textspot.recipe import Recipe
from textspot.text.charset import TextConfig


def view(read: int, dropped: dict[str, int]) -> Example:
    nothing = draw_targets([], np.zeros(0, dtype=bool), (32, 32))
    regions = np.zeros((read, 2, 4, 2), np.float32)
    return Example(np.zeros((32, 32, 3), np.uint8), nothing, regions, [[1]] * read, dropped, regions)


def test_words_are_counted_by_what_becomes_of_them(tiny_recipe: Recipe) -> None:
    recipe = replace(tiny_recipe, train=replace(tiny_recipe.train, steps=100, batch_size=4, accumulation=2))
    views = [
        view(5, {"no transcript": 1}),
        view(0, {"damaged record": 1}),
        view(1, {"no transcript": 2, "too long for the time steps": 1}),
    ]
    counted, planned, warning = describe_words(views, recipe)
    assert counted == (
        "3 training views hold 10 words, of which 6 train the recogniser too; not the others (no transcript: 30.0%, "
        "too long for the time steps: 10.0%)"
    )
    assert planned == "100 steps will show the recogniser about 1600 words"
    assert "from scratch, reading begins after some 60000" in warning
    tuned = replace(recipe, train=replace(recipe.train, init_from="runs/x"))
    assert len(describe_words(views, tuned)) == 2
    first = describe_words([view(0, {})], recipe)[0]
    assert first == "1 training views hold 0 words, of which 0 train the recogniser too"


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Callable[[Recipe, int], int]:
    """The tool's exit status on a recipe, with so many steps."""

    def run(recipe: Recipe, steps: int) -> int:
        monkeypatch.setattr("textspot.engine.overfit.STEPS", steps)
        monkeypatch.setattr(doctor_verb, "read_command_line", lambda *_: recipe)
        return doctor_verb.main()

    return run


def easy_recipe(folder: Path) -> Recipe:
    """Four words altogether, which 140 steps learn by heart."""
    recipe = overfit_recipe(folder, words_per_image=(2, 2))
    return replace(recipe, train=replace(recipe.train, learning_rate=6e-3))


@pytest.mark.slow
def test_a_sound_recipe_learns_and_leaves_no_run(
    doctor: Callable[[Recipe, int], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = easy_recipe(tmp_path)
    assert doctor(recipe, 140) == 0
    *_, learned, verdict = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"one batch of 2 images, 140 times: 0\.0% of the characters of its (\d) words are misread, \1 words are found "
        "and read in the images",
        learned,
    )
    assert verdict == "this recipe can learn to read"
    assert not Path(recipe.run).exists()


@pytest.mark.parametrize(
    ("change", "steps", "words"),
    [
        (lambda r: replace(r, train=replace(r.train, learning_rate=1e-7)), 20, "the recogniser does not learn even"),
        (lambda r: replace(r, loss={**r.loss, "det/score": 0.0}), 140, "the detector does not find the words"),
    ],
    ids=["recogniser", "detector"],
)
@pytest.mark.slow
def test_a_recipe_that_cannot_learn_is_told_apart(
    doctor: Callable[[Recipe, int], int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Recipe], Recipe],
    steps: int,
    words: str,
) -> None:
    assert doctor(change(easy_recipe(tmp_path)), steps) == 1
    *_, advice, verdict = capsys.readouterr().out.splitlines()
    assert words in advice
    assert verdict == "this recipe does not learn to read; see above"


def test_no_word_to_read_ends_the_check(tiny_recipe: Recipe, tmp_path: Path) -> None:
    empty = SourceConfig(str(tmp_path / "empty"), draw=drawing(3, seed=3, empty_share=1.0))
    checkup = check_up(replace(tiny_recipe, data=replace(tiny_recipe.data, train=(empty,))))
    assert not checkup.learns
    assert checkup.lines[-1] == "no word in them that detector and recogniser both learn from"


def test_words_that_one_head_alone_learns_from_are_no_check(tiny_recipe: Recipe) -> None:
    source = replace(tiny_recipe.data.train[0], trains="recognizer")
    checkup = check_up(replace(tiny_recipe, data=replace(tiny_recipe.data, train=(source,))))
    assert not checkup.learns
    assert checkup.lines[-1] == "no word in them that detector and recogniser both learn from"


def test_characters_outside_the_charset_are_named(
    doctor: Callable[[Recipe, int], int], tiny_recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    for unknown, told in (("error", "err"), ("skip", "out")):
        assert doctor(replace(tiny_recipe, text=TextConfig("ABCDEFGH", unknown=unknown)), 1) == 1
        assert re.search(r"the charset misses \d+ characters of the data: '", getattr(capsys.readouterr(), told))
