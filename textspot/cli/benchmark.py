"""Measure how long a user waits: per stage, in batches, by number of words, from a cold start, next to other programs.

  textspot benchmark --images photos/ --weights runs/quickstart --out benchmark
  textspot benchmark --data data/icdar2015/val --weights model.onnx --runtime onnxruntime openvino \\
      --peer "python docs/peers/rapidocr_peer.py --engine openvino"
  textspot benchmark --compare before/benchmark.json after/benchmark.json
  textspot benchmark --images photos/ --weights model.onnx --soak 2000

How to read the figures: docs/benchmark.md.
"""

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt
from PIL import Image

from textspot.benchmark.cells import CellConfig
from textspot.benchmark.images import ImageSet, find_images, unpack_images
from textspot.benchmark.measure import BenchmarkConfig, run_benchmark
from textspot.benchmark.peer import Peer
from textspot.benchmark.plot import draw_stages
from textspot.benchmark.report import compare, load_report, to_markdown
from textspot.benchmark.soak import soak
from textspot.benchmark.systems import load_systems
from textspot.cli.command import INTERRUPTED, run_command, say
from textspot.cli.options import Verb
from textspot.data.lmdb_records import Reader
from textspot.progress import track
from textspot.runtime.build import RuntimeConfig, RuntimeName
from textspot.runtime.protocol import Precision


@dataclass(frozen=True)
class BenchmarkOptions:
    """What is measured, on what, and beside what.

    Args:
        images: image files, and folders of them at any depth.
        data: folder of one LMDB, instead of images.
        gt: zip or folder of gt_<image>.txt of the images; adds hmean to the times.
        limit: number of images, evenly spread over those given.
        weights: weights, run folders, .onnx files.
        runtime: runtimes to measure; each skips the files that it cannot run.
        precision: precisions to measure; each runtime takes those that it has.
        device: cpu, cuda:0, or auto.
        compile: compile the network with torch.compile, in PyTorch.
        num_threads: number of CPU threads; 0 takes the CPUs that this process may use.
        peer: commands of other programs to measure in turn with these; see docs/benchmark.md.
        out: folder for benchmark.json, benchmark.md and stages.png.
        measure: numbers of rounds and of starts, and the batch sizes.
        cells: sizes of images and numbers of words to measure.
        soak: number of images, say 2000, over which memory is watched, instead of measuring times.
        compare: two reports to compare instead.
    """

    images: tuple[Path, ...] = ()
    data: Path | None = None
    gt: Path | None = None
    limit: PositiveInt | None = None
    weights: tuple[Path, ...] = ()
    runtime: tuple[RuntimeName, ...] = ("auto",)
    precision: tuple[Precision, ...] = ("float32",)
    device: str = "cpu"
    compile: bool = False
    num_threads: NonNegativeInt = 0
    peer: tuple[str, ...] = ()
    out: Path | None = None
    measure: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    cells: CellConfig = field(default_factory=CellConfig)
    soak: PositiveInt | None = None
    compare: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.compare and len(self.compare) != 2:
            raise ValueError(f"--compare takes two reports, found {len(self.compare)}")
        if not self.compare and (not self.weights or bool(self.images) == bool(self.data)):
            raise ValueError("give --weights, and either --images or --data; or --compare")
        if self.data and self.gt:
            raise ValueError("--data knows what is written in its images; --gt is for --images")


NO_USE = {"compare": ("*",), "soak": ("out", "measure", "cells", "peer", "gt")}
VERB = Verb("benchmark", BenchmarkOptions, __doc__, no_use=NO_USE)


def run(options: BenchmarkOptions) -> int:
    """Compare, soak or measure, as the options say."""
    if options.compare:
        print(compare(*map(load_report, options.compare)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        images = open_images(options, Path(folder))
        return soak_systems(options, images, options.soak) if options.soak else benchmark(options, images)


def open_images(options: BenchmarkOptions, folder: Path) -> ImageSet:
    """The images as files; those of an LMDB are written into `folder`, because other programs read files."""
    if options.data:
        return unpack_images(Reader(options.data), folder, options.limit)
    return find_images(options.images, options.gt, options.limit)


def open_systems(options: BenchmarkOptions):
    config = RuntimeConfig(device=options.device, compile=options.compile, num_threads=options.num_threads)
    return load_systems(options.weights, options.runtime, options.precision, config)


def soak_systems(options: BenchmarkOptions, images: ImageSet, num_images: int) -> int:
    """Print how much memory each system takes over many images."""
    for name, system in open_systems(options)[0].items():
        print(f"{name}: {soak(system.spotter, images.files, num_images, track=track)}")
    return 0


def benchmark(options: BenchmarkOptions, images: ImageSet) -> int:
    """Measure, print the tables, and write what is asked for, also when that was interrupted."""
    systems, left_out = open_systems(options)
    with ExitStack() as stack:
        peers = {command: stack.enter_context(Peer(command)) for command in options.peer}
        report = run_benchmark(systems, peers, images, options.measure, options.cells, say)
    interrupted = bool(report["left_out"])
    report["left_out"] = left_out + report["left_out"]
    page = to_markdown(report)
    print(page)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "benchmark.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (options.out / "benchmark.md").write_text(f"{page}\n![stages](stages.png)\n", encoding="utf-8")
        Image.fromarray(draw_stages(report)).save(options.out / "stages.png")
    return INTERRUPTED if interrupted else 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: run(options))
