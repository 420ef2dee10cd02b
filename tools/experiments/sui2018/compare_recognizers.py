"""Times the reading heads alone, FCR against CRNN, and in them the layers in which the two differ.

The claim of Sui et al. 2018 is that convolutions in place of LSTMs are dramatically faster.

    python tools/experiments/sui2018/compare_recognizers.py --device cpu --num_threads 1
    python tools/experiments/sui2018/compare_recognizers.py --heads fcr crnn crnn@0.5 --profile

`crnn` has as many parameters as `fcr`; `@0.5` behind a name halves the channels. Weights are random, and so is what is
read: neither takes part in the time. Prints milliseconds, medians of rounds in which the heads run in turn, so that
whatever else the machine does falls on all, and how many times as long as the first head the others take.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt
from recognizer_heads import (
    CONTEXT,
    HEAD,
    Reading,
    choose_reader,
    format_profiles,
    format_times,
    measure_readers,
    profile_reader,
)

from textspot.cli.command import run_command
from textspot.device import choose_device
from textspot.models.spotting_network import RECOGNIZERS, ModelConfig, build_network
from textspot.preprocess import PreprocessConfig
from textspot.quant.folding import fold_batchnorm
from textspot.recipe_parser import add_model, choose_kinds
from textspot.runtime.protocol import Precision
from textspot.runtime.torch_runtime import TorchRuntime


def compare(options: Namespace, model: ModelConfig) -> int:
    """Print the table, and the profiles if they are wanted."""
    if len(set(options.heads)) < len(options.heads):
        raise ValueError(f"heads: {' '.join(options.heads)} holds one twice")
    if model.recognizer.kind != ModelConfig().recognizer.kind:
        raise ValueError("--heads says which readers are timed: leave --model.recognizer.kind out")
    torch.set_num_threads(options.num_threads)
    device, pixels = choose_device(options.device), PreprocessConfig()
    runtimes = {}
    for name in options.heads:
        chosen = replace(model, recognizer=choose_reader(model.recognizer, name))
        network = build_network(chosen, options.num_classes, pixels.mean, pixels.std)
        runtimes[name] = TorchRuntime(fold_batchnorm(network), device, options.precision)
    counts = {
        name: f"{sum(parameter.numel() for parameter in runtime.network.recognizer.parameters()) / 1e6:.2f} M"
        for name, runtime in runtimes.items()
    }
    print(f"torch {torch.__version__} on {device}, {options.num_threads} threads, {options.precision}")
    print(f"parameters: {counts}; {model.roi.settings.width} columns\n")
    readings = [Reading(images, words) for images, words in product(options.images, options.words)]
    for part in (HEAD, CONTEXT):
        rows = {reading: measure_readers(runtimes, reading, part, options.rounds) for reading in readings}
        print(f"{part}:\n\n{format_times(rows)}\n")
    if options.profile:
        for reading in readings:
            print(f"images {reading.num_images}, words {reading.num_regions}:\n")
            profiles = {name: profile_reader(runtime, reading) for name, runtime in runtimes.items()}
            print(f"{format_profiles(profiles)}\n")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(description=__doc__.partition("\n\n    ")[0])
    parser.add_argument("--heads", nargs="+", default=list(RECOGNIZERS), help="fcr, crnn, crnn@0.5 and the like")
    parser.add_argument("--images", nargs="+", type=PositiveInt, default=[1, 8], help="of a batch")
    parser.add_argument("--words", nargs="+", type=PositiveInt, default=[1, 10, 50], help="in each image")
    parser.add_argument("--device", default="cpu", help="cpu, a GPU such as cuda:0, or auto")
    parser.add_argument("--precision", type=Precision, default="float32", help="of the convolutions and LSTMs")
    parser.add_argument("--num_threads", type=PositiveInt, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--num_classes", type=PositiveInt, default=95, help="characters and the blank")
    parser.add_argument("--rounds", type=PositiveInt, default=9, help="of the timing")
    parser.add_argument("--profile", action="store_true", help="say which operators take the time")
    add_model(parser)
    options = parser.parse_args(arguments)
    given = parser.parse_args(arguments, defaults=False).as_dict().get("model") or {}
    return run_command(lambda: compare(options, choose_kinds(parser.instantiate(options).as_dict()["model"], given)))


if __name__ == "__main__":
    sys.exit(main())
