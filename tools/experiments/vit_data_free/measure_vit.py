"""Measure data-free quantisation of a vision transformer.

    python tools/experiments/vit_data_free/measure_vit.py --out runs/vit_data_free

Renders words of two characters, trains a small ViT to tell them apart, makes calibration images from it by every
method, quantises it with each and with real images, and prints the accuracies as Markdown. Whatever is done lies in the
folder: run the same command again to continue. `--miniature` does all of it on a small scale, in minutes, to see that
it works.
"""

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from jsonargparse import ArgumentParser, Namespace
from vit_experiment import MINIATURE, Experiment, check_folder, format_table, measure

from textspot.benchmark.machine import memory_bytes
from textspot.cli.command import run_command
from textspot.device import choose_device
from textspot.progress import track


def run(options: Namespace, experiment: Experiment) -> int:
    """Do what is left to do, and print the table."""
    torch.set_num_threads(options.num_threads)
    cv2.setNumThreads(0)
    device = choose_device(options.device)
    check_folder(experiment, options.out)
    began = time.perf_counter()
    cells = measure(experiment, options.out, track, device)
    print(format_table(cells, experiment.bits))
    memory = (memory_bytes("VmHWM") or math.nan) / 2**30
    print(f"\nThis call: {(time.perf_counter() - began) / 60:.1f} minutes, at most {memory:.1f} GiB of memory.")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument("--device", default="cpu", help="cpu, a GPU such as cuda:0, or auto")
    parser.add_argument("--num_threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.add_argument("--miniature", action="store_true", help="on a small scale; other settings are not looked at")
    parser.add_class_arguments(Experiment, "experiment")
    options = parser.parse_args(arguments)
    experiment = MINIATURE if options.miniature else parser.instantiate(options).experiment
    return run_command(lambda: run(options, experiment), "interrupted: the same command continues")


if __name__ == "__main__":
    sys.exit(main())
