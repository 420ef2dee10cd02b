"""Measure ASER and its rivals on a causal language model.

    cd tools/experiments/aser_language_model
    python measure_language_model.py --network runs/plain --corpus.folder TEXTS --out runs/aser

Quantises a network of `train_language_model.py`, or any causal model that Hugging Face's `save_pretrained` wrote, by
every method and prints perplexities of held-out text as Markdown. Run the same command again to continue.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from hugging_face import linear_share, load_language_model
from jsonargparse import ArgumentParser, Namespace
from layer_observations import format_observations, observe, plot_observations
from perplexities import Measurement, Results, measure
from perplexity_tables import format_leads, format_table
from text_corpus import Corpus, random_windows, spread_windows, tokenize, tokenize_some
from torch import Tensor

from textspot.atomic_file import write_text
from textspot.cli.command import run_command, say
from textspot.progress import track


def run(options: Namespace, measurement: Measurement, corpus: Corpus) -> int:
    """Do what is left to do, and print the tables."""
    torch.set_num_threads(options.num_threads)
    options.out.mkdir(parents=True, exist_ok=True)
    network, tokenizer = load_language_model(options.network)
    say(f"{linear_share(network):.0%} of the parameters are in layers that are quantised")
    held_out = tokenize(corpus.documents(held_out=True), tokenizer)
    test = spread_windows(held_out, measurement.context, measurement.test_windows)
    calibration = {seed: draw_calibration(corpus, tokenizer, measurement, seed) for seed in measurement.seeds}
    results = Results(options.out / "cells.jsonl")
    cells = list(measurement.cells())
    sweep = list(measurement.sweep()) if options.sweep else []
    measure(network, cells + sweep, calibration, test, measurement.batch, results, track)
    layers = observe(network, measurement.sweep_bits, calibration[measurement.seeds[0]])
    page = "\n\n".join([format_table(results, cells), format_leads(results, cells), format_observations(layers)])
    write_text(options.out / "aser.md", page + "\n")
    plot_observations(layers, measurement, results, options.out / "aser_observations.png")
    print(page)
    return 0


def draw_calibration(corpus: Corpus, tokenizer: Any, measurement: Measurement, seed: int) -> Tensor:
    """Windows of documents that are not held out, four times as many tokens as are wanted."""
    count = 4 * measurement.calibration_windows * measurement.context
    tokens = tokenize_some(corpus.documents(held_out=False), tokenizer, count, seed)
    return random_windows(tokens, measurement.context, measurement.calibration_windows, seed)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", type=Path, required=True, help="folder of a causal language model")
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--sweep", type=bool, default=True, help="vary rank and number of outliers too, for the plots")
    parser.add_argument("--num_threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_class_arguments(Corpus, "corpus")
    parser.add_class_arguments(Measurement, "measurement")
    options = parser.parse_args(arguments)
    built = parser.instantiate(options)
    return run_command(lambda: run(options, built.measurement, built.corpus), "interrupted: the same command continues")


if __name__ == "__main__":
    sys.exit(main())
