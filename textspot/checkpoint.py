"""What is kept of a network: `model.safetensors`, complete by itself, written so that a kill never leaves half of it.

The metadata of the file holds the recipe (charset, preprocessing, network), the score threshold and the figures with
their protocols; the tensors are the weights as they are to be used.
"""

import glob
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from textspot.models.spotting_network import SpottingNetwork
from textspot.recipe import Recipe, build_spotting_network, recipe_from_dict

FORMAT = "textspot-1"
MODEL_FILE = "model.safetensors"
ANOTHER_VERSION = "was it written by another version of this program?"
CARD_KEYS = ("threshold", "step", "metrics", "threshold_protocol")  # of a ModelCard, behind its recipe
MOST_COMPLAINTS = 10  # shown of tensors that do not fit; another backbone would name hundreds


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or written; the message names the file and the remedy."""


@dataclass(frozen=True)
class ModelCard:
    """What a network needs to be used: its recipe, the score threshold, and where figures come from.

    `metrics` holds figures by protocol; `threshold` was chosen on the same validation images, as the best one by
    `threshold_protocol`, which is empty before any evaluation; `step` says when.
    """

    recipe: Recipe
    threshold: float = 0.5
    step: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    threshold_protocol: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"the score threshold is {self.threshold}, expected a value in [0, 1]")


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, bring it to the disk and rename it: a kill leaves the old file or the
    new one. What a kill left unfinished is removed by the next write. Any failure is a `CheckpointError`."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
            left_over.unlink()
        try:
            write(temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except Exception as error:
        raise CheckpointError(
            f"{path}: could not be written ({error}). What stood there before is untouched: make room or choose "
            "another folder, then run the same command again to continue"
        ) from error


def save_model(path: Path, tensors: dict[str, torch.Tensor], card: ModelCard) -> None:
    """Write weights and card as a safetensors file."""
    metadata = {
        "format": FORMAT,
        "recipe": json.dumps(card.recipe.to_dict()),
        "threshold": json.dumps(card.threshold),
        "step": json.dumps(card.step),
        "metrics": json.dumps(card.metrics),
        "threshold_protocol": json.dumps(card.threshold_protocol),
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, lambda temporary: save_file(contiguous, temporary, metadata))


def load_model(path: Path) -> tuple[SpottingNetwork, ModelCard]:
    """The network of a safetensors file, in evaluation mode on the CPU, and its card.

    A file that is missing, cut short, of another program or of another network is a `CheckpointError`.
    """
    tensors, metadata = _read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: not a model of this program: its metadata says format {metadata.get('format')!r}, "
            f"expected {FORMAT!r}"
        )
    try:
        recipe = recipe_from_dict(json.loads(metadata["recipe"]), "recipe")
        card = ModelCard(recipe, *(json.loads(metadata[key]) for key in CARD_KEYS))
        network = build_spotting_network(recipe)
    except KeyError as error:
        raise CheckpointError(f"{path}: its metadata lacks {error}: {ANOTHER_VERSION}") from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be used ({error}): {ANOTHER_VERSION}") from error
    load_weights(network, tensors, str(path))
    return network.eval(), card


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected the {MODEL_FILE} of a training run")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: cut short, or not a safetensors file ({error}); expected the {MODEL_FILE} of a training run, "
            "copied completely"
        ) from error


def load_weights(network: SpottingNetwork, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Put tensors into a network. Those that do not fit are named, all in one `CheckpointError`, and none is loaded."""
    expected = network.state_dict()
    complaints = [f"{name} is missing" for name in expected.keys() - tensors.keys()]
    complaints += [f"{name} has no place in the network" for name in tensors.keys() - expected.keys()]
    complaints += [
        f"{name} has shape {tuple(tensors[name].shape)}, the network wants {tuple(expected[name].shape)}"
        for name in expected.keys() & tensors.keys()
        if tensors[name].shape != expected[name].shape
    ]
    if complaints:
        shown = sorted(complaints)[:MOST_COMPLAINTS]
        more = [f"and {len(complaints) - len(shown)} more"] if len(complaints) > len(shown) else []
        raise CheckpointError(
            f"{source}: does not fit the recipe's network (another charset, other widths?): {'; '.join(shown + more)}"
        )
    network.load_state_dict(tensors)
