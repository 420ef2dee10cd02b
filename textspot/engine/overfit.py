"""Before a long run: what its data gives the recogniser, and whether its recipe learns one batch by heart."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import torch
from rapidfuzz.distance import Levenshtein

from textspot.batch import Batch, Example, collate
from textspot.engine.distributed import join_world
from textspot.engine.evaluate import Further
from textspot.engine.sources import OpenSource, check_charset, open_sources
from textspot.engine.train import Trainer
from textspot.inference.spotter import Spotter
from textspot.model_card import ModelCard
from textspot.progress import Track, untracked
from textspot.recipe import Recipe
from textspot.runtime.torch_runtime import TorchRuntime
from textspot.text.charset import TextConfig
from textspot.text.ctc import decode_best_path

NUM_VIEWS = 100  # training views that are counted
NUM_IMAGES = 2  # of the batch that is learned by heart
STEPS = 300
WARMUP_STEPS = 20
MOST_ERRORS = 0.05  # of the characters, in the regions that were learned
FEWEST_FOUND = 0.8  # of the words, by detector and recogniser together
FIRST_WORDS = 60_000  # by which a recogniser that starts from scratch has begun to read


@dataclass(frozen=True)
class Checkup:
    """What was seen, line by line, and whether the recipe learned its batch."""

    lines: list[str]
    learns: bool


def check_up(recipe: Recipe, track: Track = untracked) -> Checkup:
    """Look at the first training views of a recipe, and train it on a batch of two of them, with its own learning rate.

    Nothing is written to the run's folder; data sets that the recipe renders are rendered. Errors are those of `train`.
    """
    with join_world(recipe.train.device) as world, tempfile.TemporaryDirectory() as folder:
        if recipe.train.num_threads:
            torch.set_num_threads(recipe.train.num_threads)
        sources, validation = open_sources(recipe.data, world)
        unknown = _describe_charset([*sources, validation], recipe.text)
        settings = replace(recipe.train, steps=STEPS, warmup_steps=WARMUP_STEPS, batch_size=NUM_IMAGES, accumulation=1)
        trainer = Trainer(replace(recipe, run=folder, train=settings), world, sources, validation, Further())
        views = [trainer.stream[position] for position in track(range(NUM_VIEWS), "looking at the data")]
        lines = [*trainer.report, *unknown, *describe_words(views, recipe)]
        readable = [n for n, view in enumerate(views) if len(view.ribbons) and trainer.stream.trains(n) == "both"]
        if not readable:
            return Checkup([*lines, "no word in them that detector and recogniser both learn from"], False)
        learned = learn_by_heart(trainer, collate([views[number] for number in readable[:NUM_IMAGES]]), track)
        return Checkup([*lines, *learned.lines], learned.learns)


def _describe_charset(sources: Sequence[OpenSource], text: TextConfig) -> list[str]:
    """What `check_charset` finds, as a remark where the recipe does not make an error of it."""
    try:
        check_charset(sources, replace(text, unknown="error"))
    except ValueError as error:
        if text.unknown == "error":
            raise
        return [str(error)]
    return []


def describe_words(views: Sequence[Example], recipe: Recipe) -> list[str]:
    """How many of the words in training views train the recogniser, why the others do not, and how many that makes in
    the whole run."""
    dropped: Counter[str] = Counter()
    for view in views:
        dropped.update(view.dropped)
    del dropped["damaged record"]  # no word, and a warning of its own has named it
    read = sum(len(view.ribbons) for view in views)
    total = read + dropped.total()
    reasons = ", ".join(f"{reason}: {count / total:.1%}" for reason, count in dropped.most_common())
    planned = read * recipe.train.batch_size * recipe.train.accumulation * recipe.train.steps // len(views)
    lines = [
        f"{len(views)} training views hold {total} words, of which {read} train the recogniser too"
        + (f"; not the others ({reasons})" if reasons else ""),
        f"{recipe.train.steps} steps will show the recogniser about {planned} words",
    ]
    if planned < FIRST_WORDS and recipe.train.init_from is None:
        lines.append(
            f"that is few: from scratch, reading begins after some {FIRST_WORDS}. More steps, larger batches, a source "
            "with draw.renderer.layout: sheet, or train.init_from"
        )
    return lines


def learn_by_heart(trainer: Trainer, batch: Batch, track: Track = untracked) -> Checkup:
    """Train on the same batch (R at least 1) again and again; how its regions are read then, and how much of it is
    found and read in the images."""
    for _ in track(range(STEPS), "learning one batch by heart"):
        _, output = trainer.step(repeat(batch))
    words = [
        trainer.charset.decode(tokens[:length].tolist())
        for tokens, length in zip(batch.tokens, batch.token_lengths, strict=True)
    ]
    read = decode_best_path(output.text_logits.detach().cpu().numpy(), trainer.charset)
    wrong = sum(Levenshtein.distance(text, word) for (text, _), word in zip(read, words, strict=True))
    errors = wrong / sum(map(len, words))
    found = _count_found(trainer, batch, words)
    learns = errors <= MOST_ERRORS and found >= FEWEST_FOUND * len(words)
    lines = [
        f"one batch of {len(batch.image)} images, {STEPS} times: {errors:.1%} of the characters of its {len(words)} "
        f"words are misread, {found} words are found and read in the images"
    ]
    if errors > MOST_ERRORS:
        lines.append(
            "the recogniser does not learn even that. Try train.learning_rate around 2e-3; is loss.rec/ctc above 0, "
            "and are the words large enough to be read?"
        )
    elif not learns:
        lines.append("the recogniser learns it, the detector does not find the words: try another train.learning_rate")
    return Checkup(lines, learns)


def _count_found(trainer: Trainer, batch: Batch, words: Sequence[str]) -> int:
    """How many of the words the network as it is now finds and reads exactly."""
    spotter = Spotter(TorchRuntime(trainer.state.network, trainer.world.device), ModelCard(trainer.recipe.to_dict()))
    predictions = spotter.predict(list(batch.image.permute(0, 2, 3, 1).contiguous().numpy()))
    image_of_word = (batch.region_slot // batch.ribbons.shape[1]).tolist()
    wanted = Counter(zip(image_of_word, words, strict=True))
    got = Counter((number, instance.text) for number, found in enumerate(predictions) for instance in found)
    return (wanted & got).total()
