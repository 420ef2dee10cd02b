"""Causal language models of Hugging Face, made ready to be quantised. Legend: W windows, T tokens of a window."""

from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from textspot.extras import MissingExtraError


def import_transformers() -> ModuleType:
    """The package, or an error that says how to install it."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers is not installed: pip install transformers") from error
    transformers.logging.set_verbosity_error()
    return transformers


def load_language_model(folder: Path) -> tuple[Any, Any]:
    """The network in float32 and evaluation mode, all its matrices as `nn.Linear`, and its tokenizer: of a folder that
    `save_pretrained` wrote."""
    transformers = import_transformers()
    if not (folder / "config.json").exists():
        raise ValueError(f"{folder}: holds no config.json: expected the folder of a causal language model")
    network = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return linearize(network).eval().requires_grad_(False), tokenizer


def linearize(network: Any) -> Any:
    """Replace GPT-2's `Conv1D`, a linear layer whose weights lie transposed, by `nn.Linear`, in place."""
    from transformers.pytorch_utils import Conv1D

    for name, module in list(network.named_modules()):
        if isinstance(module, Conv1D):
            num_inputs, num_outputs = module.weight.shape
            linear = nn.Linear(num_inputs, num_outputs, device="meta")
            linear.weight, linear.bias = nn.Parameter(module.weight.T.contiguous()), module.bias
            network.set_submodule(name, linear)
    return network


def float_layers(network: Any) -> tuple[str, ...]:
    """The names of the layers that stay float: what turns channels into logits, which ASER does not quantise either."""
    head = network.get_output_embeddings()
    return tuple(name for name, module in network.named_modules() if module is head)


def linear_share(network: Any) -> float:
    """The share of all parameters that is in linear layers, the head left out: mixtures of experts may hold theirs
    elsewhere."""
    kept = float_layers(network)
    linear = sum(
        module.weight.numel()
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name not in kept
    )
    return linear / sum(parameter.numel() for parameter in network.parameters())


def as_inputs(windows_WT: Tensor) -> dict[str, Any]:
    """What a model takes."""
    return {"input_ids": windows_WT, "use_cache": False}


@torch.inference_mode()
def window_losses(network: Any, windows_WT: Tensor, batch: int) -> Tensor:
    """The mean negative log-likelihood (W,) of the tokens of each window but its first, in nats."""
    losses = []
    for windows in windows_WT.split(batch):
        logits = network(**as_inputs(windows)).logits[:, :-1].float()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten(), reduction="none")
        losses.append(loss.reshape(len(windows), -1).mean(dim=1))
    return torch.cat(losses)
