"""Fine-tuning: a network starts from the weights of another one, and what was taken over is said in words."""

from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from textspot.checkpoint import load_model, load_weights
from textspot.inference.spotter import find_weights
from textspot.model_card import CheckpointError
from textspot.models.convolution import AddedBranch, BasicBlock
from textspot.models.spotting_network import SpottingNetwork
from textspot.preprocess import PreprocessConfig
from textspot.recipe import Recipe, build_charset
from textspot.text.charset import Charset
from textspot.text.spelling import look_alike

NATS_BEHIND = 3.0  # of a new character's bias, at its start


def take_over(network: SpottingNetwork, recipe: Recipe, path: str) -> list[str]:
    """Put the weights at `path`, a file or a run's folder, into a new network of the recipe; what was done, in words.

    Parts that the recipe re-initialises stay as they are. The classifier's rows of characters that both know are taken
    over, wherever they stand. A new character that looks like a known one, as é does like e, starts with the row of
    that one and a lower bias; any other with zeros and a low bias. So at first everything is read as before. Parts that
    change nothing until they are trained may be new: the network then starts as what the weights are. Anything else
    that does not fit is a `CheckpointError` that names it, and nothing is taken over then.
    """
    given, card = load_model(find_weights(Path(path)))
    anew = recipe.train.reinitialize
    _check_normalization(recipe.preprocess, card.preprocess, path)
    charset, theirs = build_charset(recipe), card.charset
    classes, alike = shared_classes(charset, theirs), similar_classes(charset, theirs)
    fresh, tensors = network.state_dict(), given.state_dict()
    if "recognizer" not in anew:
        for name in (f"recognizer.{row}" for row in network.recognizer.class_rows if f"recognizer.{row}" in tensors):
            tensors[name] = take_rows(fresh[name], tensors[name], classes, alike)
    new = tuple(prefix for prefix in new_parts(network, tensors) if prefix.split(".")[0] not in anew)
    if recipe.train.freeze_statistics and any(prefix.startswith("backbone.") for prefix in new):
        raise CheckpointError(
            f"{path}: lacks {', '.join(new)} and train.freeze_statistics would keep what no image was measured by"
        )
    kept = {name: tensor for name, tensor in tensors.items() if name.split(".")[0] not in anew}
    begin = {name: tensor for name, tensor in fresh.items() if name.split(".")[0] in anew or name.startswith(new)}
    try:
        load_weights(network, kept | begin, path)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. Give the recipe the model of these weights, or list under train.reinitialize the parts that "
            "shall begin anew"
        ) from error
    report = [f"{path}: the weights of its step {card.step} are where this run starts"]
    if anew:
        report.append(f"begin anew, as train.reinitialize says: {', '.join(anew)}")
    if new:
        report.append(f"parts the weights lack, which change nothing until they are trained: {', '.join(new)}")
    if "recognizer" not in anew:
        report += _compare_charsets(charset, theirs)
    before, now = card.postprocess.language or "no language", recipe.postprocess.language or "no language"
    if before != now:
        report.append(f"the language was {before} and is {now} here: see postprocess.language")
    return report


def shared_classes(charset: Charset, theirs: Charset) -> list[tuple[int, int]]:
    """(class here, class there) of the blank and of every character that both charsets hold."""
    shared = [c for c in charset.characters if theirs.knows(c)]
    return [(0, 0), *zip(charset.encode("".join(shared)), theirs.encode("".join(shared)), strict=True)]


def similar_classes(charset: Charset, theirs: Charset) -> list[tuple[int, int]]:
    """(class here, class there) of every character that only the charset here holds, and of the one it looks like."""
    pairs = [(c, look_alike(c)) for c in charset.characters if not theirs.knows(c) and theirs.knows(look_alike(c))]
    return [(charset.encode(new)[0], theirs.encode(known)[0]) for new, known in pairs]


def new_parts(network: nn.Module, tensors: Collection[str]) -> tuple[str, ...]:
    """The prefixes of those residual blocks and added branches of a new network of which the named tensors hold nothing
    and which change nothing until they are trained."""
    modules = network.named_modules()
    parts = [f"{name}." for name, part in modules if isinstance(part, AddedBranch | BasicBlock) and part.is_neutral]
    return tuple(prefix for prefix in parts if not any(name.startswith(prefix) for name in tensors))


def take_rows(
    fresh: Tensor, given: Tensor, classes: Sequence[tuple[int, int]], alike: Sequence[tuple[int, int]] = ()
) -> Tensor:
    """Rows of the shape of `fresh` (C, ...): those of `given` (C', ...) at the (C, C') pairs, zeros elsewhere; `given`
    itself if its rows have another shape. Of a bias (C,) only the classes of the first pairs keep their height: the
    others are never read until they are trained."""
    if fresh.shape[1:] != given.shape[1:]:
        return given
    rows = torch.zeros_like(fresh)
    for here, there in (*classes, *alike):
        rows[here] = given[there]
    if rows.ndim == 1:
        new = torch.ones_like(rows)
        new[[here for here, _ in classes]] = 0
        rows -= NATS_BEHIND * new
    return rows


def _check_normalization(ours: PreprocessConfig, theirs: PreprocessConfig, path: str) -> None:
    """The weights have seen images of one normalisation; nothing but bad figures would tell of another."""
    if (ours.mean, ours.std) != (theirs.mean, theirs.std):
        raise CheckpointError(
            f"{path}: was trained with preprocess.mean {theirs.mean} and preprocess.std {theirs.std}, the recipe says "
            f"{ours.mean} and {ours.std}: say the same"
        )


def _compare_charsets(charset: Charset, theirs: Charset) -> list[str]:
    new = [c for c in charset.characters if not theirs.knows(c)]
    alike = "".join(c for c in new if theirs.knows(look_alike(c)))
    anew = "".join(c for c in new if c not in alike)
    left = "".join(c for c in theirs.characters if not charset.knows(c))
    lines = [
        f"characters whose classes are taken over: {len(charset.characters) - len(new)} of {len(charset.characters)}"
    ]
    if alike:
        lines.append(f"characters the weights do not know, which begin as those they look like: {alike}")
    if anew:
        lines.append(f"characters the weights do not know, which begin anew: {anew}")
    if left:
        lines.append(f"characters the weights know and the recipe leaves out: {left}")
    return lines
