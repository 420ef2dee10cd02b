"""Export a trained network as one file that runs without the training code.

python tools/export.py --weights runs/quickstart --out spotter.onnx

The suffix of --out says what is written: `.onnx` runs in ONNX Runtime and OpenVINO, in textspot without PyTorch;
`.pt2` is a program of torch.export; `.safetensors` holds the weights without what was needed for training only.
Of several --weights, the ends of runs that went on from one another, the mean is written.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import ClosedUnitInterval

from textspot.checkpoint import load_mean, save_model, save_quantized
from textspot.command_line import run_command
from textspot.inference.spotter import find_weights
from textspot.quant.layers import quantized_layers
from textspot.runtime.export import export_onnx, export_program

SUFFIXES = (".onnx", ".pt2", ".safetensors")


def read_command_line(arguments: Sequence[str] | None) -> Namespace:
    """The options; a combination that makes no sense ends the program."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument(
        "--weights", type=Path, nargs="+", required=True, help="a model.safetensors, or a run's folder; or several"
    )
    parser.add_argument("--out", type=Path, required=True, help=f"the file to write: {', '.join(SUFFIXES)}")
    parser.add_argument(
        "--half", action="store_true", help="store the weights of a .safetensors in float16; they load as float32"
    )
    parser.add_argument(
        "--threshold", type=ClosedUnitInterval, help="the score threshold to store instead of the one there"
    )
    options = parser.parse_args(arguments)
    if options.out.suffix not in SUFFIXES:
        parser.error(f"--out is {options.out}, expected a name that ends in {', '.join(SUFFIXES)}")
    if options.half and options.out.suffix != ".safetensors":
        parser.error(f"--half is for a .safetensors, --out is {options.out}")
    return options


def export(weights: Sequence[Path], out: Path, half: bool, threshold: float | None) -> int:
    """Write the network of a weights file in the format of the suffix, and say how to use it."""
    network, card = load_mean([find_weights(path) for path in weights])
    card = card.for_use() if threshold is None else replace(card.for_use(), threshold=threshold)
    if out.suffix == ".onnx":
        export_onnx(network, card, out)
    elif out.suffix == ".pt2":
        export_program(network, card, out)
    elif quantized_layers(network):
        save_quantized(out, network, card)
    else:
        save_model(out, network.state_dict(), card, half)
    if len(weights) > 1 and threshold is None:
        print(
            f"the score threshold, {card.threshold:.3f}, is that of {weights[-1]}, not of the mean: choose one with "
            "tools/evaluate.py --two_fold, and store it with --threshold"
        )
    print(f"{out}: {out.stat().st_size / 2**20:.1f} MiB")
    if out.suffix != ".pt2":
        print(f"read a photograph with it:\n  python tools/infer.py --weights {out} YOUR_PHOTO.jpg")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_command_line(arguments)
    return run_command(lambda: export(options.weights, options.out, options.half, options.threshold))


if __name__ == "__main__":
    sys.exit(main())
