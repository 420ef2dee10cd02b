"""Export a trained network as one file that runs without the training code.

  textspot export --weights runs/quickstart --out spotter.onnx

The suffix of --out chooses the format. `.onnx` runs in ONNX Runtime and OpenVINO; textspot runs it without PyTorch.
`.pt2` holds an ExportedProgram for torch.export.load. `.safetensors` holds the weights, without training state.
The mean of several --weights is exported. Use this for runs that each continued from the previous one. --push uploads
the file to the Hugging Face hub, from where --weights hf://owner/name loads it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse.typing import ClosedUnitInterval

from textspot.cli.command import how_to_read, run_command
from textspot.cli.options import Verb
from textspot.inference.views import COMPLETE, PARTIAL, QUALITIES

if TYPE_CHECKING:
    from textspot.model_card import ModelCard
    from textspot.models.spotting_network import SpottingNetwork
    from textspot.runtime.stored_weights import Storage

SUFFIXES = (".onnx", ".pt2", ".safetensors")


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and to where.

    Args:
        weights: a model.safetensors, a run's folder, or the name of bundled weights; or several of them.
        out: file to write; its suffix is .onnx, .pt2 or .safetensors.
        half: store the weights of a .safetensors or an .onnx in float16; they are converted to float32 when loaded.
        pack: store the weights of an .onnx in 12 bits, with a scale for each output channel; they are converted to
            float32 when loaded.
        threshold: score threshold to store; the default is the one in the weights.
        thresholds: score thresholds by `--quality` and lexicon, as {name: value}. Names are fast, default and best,
            alone or followed by ", lexicon" or ", complete lexicon", as in {"best, lexicon": 0.4}.
        push: repository of the Hugging Face hub, as owner/name, that receives the file and its checksum. It is created
            if needed, with a page that says how to use the file. The access token is HF_TOKEN, or that of `hf auth
            login`.
        private: create the repository as a private one.
    """

    weights: tuple[Path, ...]
    out: Path
    half: bool = False
    pack: bool = False
    threshold: ClosedUnitInterval | None = None
    thresholds: dict[str, ClosedUnitInterval] | None = None
    push: str | None = None
    private: bool = False

    def __post_init__(self) -> None:
        if self.out.suffix not in SUFFIXES:
            raise ValueError(f"--out is {self.out}, expected a name that ends in {', '.join(SUFFIXES)}")
        if unknown := sorted(set(self.thresholds or {}) - set(WAYS)):
            raise ValueError(f"--thresholds names {', '.join(map(repr, unknown))}, expected some of: {'; '.join(WAYS)}")
        if self.half and self.out.suffix == ".pt2":
            raise ValueError(f"--half is for a .safetensors or an .onnx, --out is {self.out}")
        if self.pack and (self.half or self.out.suffix != ".onnx"):
            raise ValueError(f"--pack is for an .onnx and excludes --half, --out is {self.out}")
        if self.push and self.out.suffix == ".pt2":
            raise ValueError(f"--push is for a .safetensors or an .onnx, which textspot loads, --out is {self.out}")


WAYS = [way for quality in QUALITIES for way in (quality, f"{quality}, {PARTIAL}", f"{quality}, {COMPLETE}")]
VERB = Verb("export", ExportOptions, __doc__, only_with={"private": ("push",)})


def export(options: ExportOptions) -> int:
    """Write the network of a weights file in the format of the suffix, and say how to use it."""
    from textspot.checkpoint import load_mean
    from textspot.inference.spotter import find_weights

    out, weights = options.out, options.weights
    network, card = load_mean([find_weights(path) for path in weights])
    card = replace(
        card.for_use(),
        threshold=card.threshold if options.threshold is None else options.threshold,
        thresholds=card.thresholds | (options.thresholds or {}),
    )
    write_network(network, card, out, "12 bits" if options.pack else "float16" if options.half else "float32")
    if len(weights) > 1 and options.threshold is None:
        print(
            f"the score threshold, {card.threshold:.3f}, is that of {weights[-1]}, not of the mean: choose one with "
            "textspot evaluate --two_fold, and store it with --threshold"
        )
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")
    if out.suffix != ".pt2":
        print(f"read a photograph with it:\n{how_to_read(out)}")
    if options.push:
        from textspot.hub.transfer import push

        url = push(out, card, options.push, options.private)
        print(f"{url} has it:\n{how_to_read(f'hf://{options.push}')}")
    return 0


def write_network(network: "SpottingNetwork", card: "ModelCard", out: Path, storage: "Storage") -> None:
    """Write a network and its card in the format of the file's suffix, its float weights stored as said."""
    from textspot.checkpoint import save_model, save_quantized
    from textspot.quant.layers import quantized_layers
    from textspot.runtime.export import export_onnx, export_program

    if out.suffix == ".onnx":
        export_onnx(network, card, out, storage)
    elif out.suffix == ".pt2":
        export_program(network, card, out)
    elif quantized_layers(network):
        save_quantized(out, network, card)
    else:
        save_model(out, network.state_dict(), card, storage == "float16")


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: export(options))
