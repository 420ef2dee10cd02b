"""Measure what a user waits for: stage by stage, in batches, by number of words, from a cold start, beside others.

python tools/benchmark.py --images photos/ --weights runs/quickstart --out benchmark
python tools/benchmark.py --data data/icdar2015/val --weights model.onnx --runtime onnxruntime openvino \\
    --peer "python docs/peers/rapidocr_peer.py --engine openvino"
python tools/benchmark.py --compare before/benchmark.json after/benchmark.json
python tools/benchmark.py --images photos/ --weights model.onnx --soak 2000

How to read the figures: docs/benchmark.md.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
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
from textspot.command_line import INTERRUPTED, run_command
from textspot.data.lmdb_records import Reader
from textspot.progress import track
from textspot.runtime.build import RuntimeConfig, RuntimeName
from textspot.runtime.protocol import Precision


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", type=Path, default=[], help="files, and folders of them at any depth")
    parser.add_argument("--data", type=Path, help="the folder of one LMDB, instead of images")
    parser.add_argument("--gt", type=Path, help="zip or folder of gt_<image>.txt of the images: hmean beside the times")
    parser.add_argument("--limit", type=PositiveInt, help="so many of the images, evenly spread")
    parser.add_argument("--weights", nargs="+", type=Path, default=[], help="weights, run folders, .onnx files")
    parser.add_argument("--runtime", nargs="+", type=RuntimeName, default=["auto"], help="each that runs the file")
    parser.add_argument("--precision", nargs="+", type=Precision, default=["float32"], help="each that the runtime has")
    parser.add_argument("--device", type=str, default="cpu", help="cpu, cuda:0, or auto")
    parser.add_argument("--compile", action="store_true", help="torch.compile, in PyTorch")
    parser.add_argument("--threads", type=NonNegativeInt, default=0, help="0: the CPUs that this process may use")
    parser.add_argument("--peer", nargs="+", type=str, default=[], help="commands of other programs, docs/benchmark.md")
    parser.add_argument("--out", type=Path, help="folder for benchmark.json, benchmark.md and stages.png")
    parser.add_class_arguments(BenchmarkConfig, "measure")
    parser.add_class_arguments(CellConfig, "cells")
    parser.add_argument("--soak", type=PositiveInt, help="see whether memory stays flat over so many images, say 2000")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="JSON", help="hold two reports against each other")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if not options.compare and (not options.weights or bool(options.images) == bool(options.data)):
        parser.error("give --weights, and either --images or --data; or --compare")
    if options.data and options.gt:
        parser.error("--data knows what is written in its images; --gt is for --images")
    return run_command(lambda: run(parser.instantiate(options)))


def run(options: Namespace) -> int:
    """Compare, soak or measure, as the options say."""
    if options.compare:
        print(compare(*map(load_report, options.compare)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        images = open_images(options, Path(folder))
        return soak_systems(options, images) if options.soak else benchmark(options, images)


def open_images(options: Namespace, folder: Path) -> ImageSet:
    """The images as files; those of an LMDB are written into `folder`, because other programs read files."""
    if options.data:
        return unpack_images(Reader(options.data), folder, options.limit)
    return find_images(options.images, options.gt, options.limit)


def open_systems(options: Namespace):
    config = RuntimeConfig(device=options.device, compile=options.compile, num_threads=options.threads)
    return load_systems(options.weights, options.runtime, options.precision, config)


def soak_systems(options: Namespace, images: ImageSet) -> int:
    """Print how much memory each system takes over many images."""
    for name, system in open_systems(options)[0].items():
        print(f"{name}: {soak(system.spotter, images.files, options.soak, track=track)}")
    return 0


def benchmark(options: Namespace, images: ImageSet) -> int:
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


def say(words: str) -> None:
    print(words, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
