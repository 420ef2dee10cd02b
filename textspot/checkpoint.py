"""What is kept of a network: `model.safetensors`, complete by itself, written so that a kill never leaves half of it.

The metadata of the file is a `ModelCard`; the tensors are the weights as they are to be used.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from textspot import file_checksum
from textspot.atomic_file import write_atomically
from textspot.model_card import ANOTHER_VERSION, MODEL_FILE, CheckpointError, ModelCard
from textspot.models.spotting_network import SpottingNetwork
from textspot.quant import storage as quant_storage
from textspot.quant.attention import expose_attention
from textspot.quant.layers import quantized_layers
from textspot.quant.storage import FORMAT as QUANTIZED
from textspot.recipe import build_spotting_network, network_recipe_from_dict

MOST_WIDTH, MOST_VALUES = 16384, 64  # numbers in the description of a network, and how many stand in one list
MOST_COMPLAINTS = 10  # shown of tensors that do not fit; another backbone would name hundreds


def save_model(path: Path, tensors: dict[str, torch.Tensor], card: ModelCard, half: bool = False) -> None:
    """Write weights and card as a safetensors file.

    `half` keeps the weights of convolutions and linear layers in float16, which halves the file; everything else, the
    statistics of BatchNorm among it, stays as it is.
    """
    kept = {name: tensor.half() if half and _is_weight(name, tensor) else tensor for name, tensor in tensors.items()}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}

    def write(temporary: Path) -> None:
        save_file(contiguous, temporary, card.to_metadata())
        file_checksum.seal(temporary)

    write_atomically(path, write)


def _is_weight(name: str, tensor: torch.Tensor) -> bool:
    return name.endswith("weight") and tensor.ndim > 1


def load_model(path: Path) -> tuple[SpottingNetwork, ModelCard]:
    """The network of a safetensors file, in evaluation mode on the CPU in float32, and its card; a quantised network
    computes in float32 what an integer engine would.

    Of the recipe in the file only what the network is built from and used by is read. A file that is missing, cut
    short, of another program or of another network is a `CheckpointError`.
    """
    tensors, metadata = _read_safetensors(path)
    card = ModelCard.from_metadata(metadata, str(path))
    try:
        refuse_absurd(card.recipe.get("model"), len(tensors))
        network = build_spotting_network(network_recipe_from_dict(card.recipe, "recipe"))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: its metadata cannot be used ({error}): {ANOTHER_VERSION}") from error
    if QUANTIZED in metadata:
        return _load_quantized(path, network), card
    load_weights(network, {name: _to_float32(tensor) for name, tensor in tensors.items()}, str(path))
    return network.eval(), card


def refuse_absurd(values: Any, num_tensors: int, key: str = "model") -> None:
    """A ValueError that names the key of a network's description that asks for more than a file of so many tensors can
    hold: to build it would take all memory, or for ever."""
    if isinstance(values, dict):
        for name, value in values.items():
            refuse_absurd(value, num_tensors, f"{key}.{name}")
    elif isinstance(values, list):
        if len(values) > MOST_VALUES:
            raise ValueError(f"{key} holds {len(values)} values, expected at most {MOST_VALUES}")
        for value in values:
            refuse_absurd(value, num_tensors, key)
    elif isinstance(values, int | float) and not isinstance(values, bool):
        counts_layers = any(word in key.rpartition(".")[2] for word in ("blocks", "layers", "depth"))
        most = min(num_tensors, MOST_WIDTH) if counts_layers else MOST_WIDTH
        if not abs(values) <= most:
            raise ValueError(f"{key} is {values}, expected at most {most}")


def load_mean(paths: Sequence[Path]) -> tuple[SpottingNetwork, ModelCard]:
    """The network whose weights are the mean of those of several files, and the last one's card without its figures,
    which are of another network; of one file what `load_model` gives.

    The ends of runs that went on from one another lie in one valley, and the middle of it generalises better (Izmailov
    et al. 2018, "Averaging weights leads to wider optima"; Wortsman et al. 2022, "Model soups"). The statistics of
    BatchNorm are averaged too, not measured again (ours): of such neighbours they differ little. Networks of other
    parts or characters, and quantised ones, are a `CheckpointError`.
    """
    loaded = [load_model(path) for path in paths]
    network, card = loaded[-1]
    if len(loaded) == 1:
        return network, card
    recipes = [network_recipe_from_dict(its_card.recipe, "recipe") for _, its_card in loaded]
    for path, (other, _), recipe in zip(paths, loaded, recipes, strict=True):
        if quantized_layers(other):
            raise CheckpointError(f"{path}: quantised, and its weights lie on a grid: average before quantising")
        if recipe != recipes[0]:
            raise CheckpointError(f"{path}: not the network of {paths[0]}, so that they have no mean")
    states = [other.state_dict() for other, _ in loaded]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if value.is_floating_point() else value
        for name, value in states[-1].items()
    }
    load_weights(network, mean, ", ".join(map(str, paths)))
    return network, replace(card, metrics={}, threshold_protocol="", thresholds={})


def save_quantized(path: Path, network: nn.Module, card: ModelCard) -> None:
    """Write a frozen quantised spotting network, its weights packed at their bits, and its card."""

    def write(temporary: Path) -> None:
        quant_storage.save(network, temporary, card.to_metadata())
        file_checksum.seal(temporary)

    write_atomically(path, write)


def _load_quantized(path: Path, network: SpottingNetwork) -> SpottingNetwork:
    try:
        return cast(SpottingNetwork, quant_storage.load(path, expose_attention(network)))
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def _to_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, or no regular one; expected the {MODEL_FILE} of a training run")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            file_checksum.check(path, sealed="checksum" in metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}: copy it again, or take an earlier one") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: cut short, or not a safetensors file ({error}); expected the {MODEL_FILE} of a training run, "
            "copied completely"
        ) from error
    if broken := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise CheckpointError(
            f"{path}: {broken[0]} and {len(broken) - 1} more tensors hold values that are not finite: such weights "
            "find nothing; take an earlier checkpoint, and train with a lower learning rate"
        )
    return tensors, metadata


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
