"""A whole benchmark: spotters, and other programs, on the same images in turn, as one report that JSON keeps.

    {"format": "textspot-benchmark-1",
     "machine": see `record_machine`, "busy_cpus": [before, after],   other work on the machine
     "images": {"count", "sizes": [[height, width], ...]}, "rounds": 5,
     "systems": {name: {"weights", "file_bytes", "num_threads", "warm_up": [runs, stable],
                        "total": timing, "stages": {stage: timing}, "throughput": {batch size: timing of an image},
                        "regions": median number of regions found, "hmean": {protocol: value},
                        "cold_starts": [see `ColdStart`, ...], "parameters": PyTorch only,
                        "cells": [{"size", "batch_size", "regions", "network": timing, "multiplications": {stage: n}, ...}]}},
     "peers": {command: {"total": timing, "hmean", "peak_bytes", "ratios": {system: [value, low, high]}}},
     "left_out": what could not be run, and why}

A timing is a `Timing` as a dict.
"""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle, islice, product
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from textspot.benchmark.cold_start import measure_cold_start
from textspot.benchmark.images import ImageSet
from textspot.benchmark.machine import busy_cpus, record_machine
from textspot.benchmark.peer import Peer
from textspot.benchmark.stages import Stopwatch, decode_texts, run_network, synchronizer, time_stages
from textspot.benchmark.timing import Timing, measure_in_turn, ratio_in_turn, time_call, warm_up
from textspot.image_files import read_image
from textspot.inference import Spotter, load
from textspot.model_card import CheckpointError
from textspot.preprocess import preprocess
from textspot.runtime.build import RuntimeConfig
