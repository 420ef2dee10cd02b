"""Make a trained network smaller and faster, and see what that costs.

python tools/quantize.py --weights spotter-s --calibration data/icdar2015/train --out quantized
python tools/quantize.py --weights spotter-s --calibration data/icdar2015/train --judge data/icdar2015/val \\
    --methods rtn smoothquant lorc l2qer aser --bits w8a8 w4a8 w4a4 --engines --out quantized
python tools/quantize.py --weights spotter-s --calibration data/icdar2015/train --judge data/icdar2015/val \\
    --bits w4a8 w8a8 --sensitivity layers --max_drop 0.5 --out quantized
python tools/quantize.py --weights spotter-s --data_free network --judge data/icdar2015/val --beside quantized \\
    --out quantized_without_data

Every method at every precision becomes a `.safetensors`, whose weights are packed at their bits, and an `.onnx` that
ONNX Runtime and OpenVINO compute in integers. Which to choose: docs/quantisation.md.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from textspot.atomic_file import write_text
from textspot.benchmark.machine import memory_bytes
from textspot.checkpoint import load_model
from textspot.command_line import run_command
from textspot.compression.calibration_images import DataFreeConfig, make_calibration_images
from textspot.compression.compare import Comparison, Judges, Result, read_beside, read_variants
from textspot.compression.engine import Timings, time_engines
from textspot.compression.report import compare_folders, compare_methods, to_markdown
from textspot.compression.spotter import SpotterQuantConfig, read_calibration_images
from textspot.compression.toolkits import TOOLKITS
from textspot.data.lmdb_records import Reader
from textspot.inference.spotter import find_weights
from textspot.progress import track
from textspot.quant.attention import expose_attention
from textspot.quant.methods import METHODS
from textspot.runtime.build import RuntimeName

NUM_TIMED = 8  # images that the engines are timed on


def build_parser() -> ArgumentParser:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", action="config", help="YAML file of these options")
    parser.add_argument("--weights", type=Path, required=True, help="weights, a run's folder, or a name that ships")
    parser.add_argument(
        "--calibration",
        type=Path,
        help="the folder of one LMDB: ranges are chosen on its images, its transcripts are not looked at",
    )
    parser.add_argument(
        "--data_free",
        type=Literal["network", "noise"],
        help="instead of --calibration: images made from the network (docs/datafree.md), or noise",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the networks, their figures, quantized.md")
    parser.add_argument("--images", type=PositiveInt, default=64, help="how many, spread evenly, for the calibration")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=["rtn"], help="rtn: round to nearest")
    parser.add_argument("--bits", nargs="+", default=["w8a8"], help="of weights and activations, such as w8a8 w4a8")
    parser.add_argument(
        "--toolkits", nargs="+", choices=list(TOOLKITS), default=[], help="quantisers of others to stand beside"
    )
    parser.add_argument("--judge", nargs="+", type=Path, default=[], help="LMDBs that every network is to read")
    parser.add_argument(
        "--beside",
        nargs="+",
        type=Path,
        default=[],
        help="--out of earlier calls: each network beside its namesake there",
    )
    parser.add_argument(
        "--runtime", type=RuntimeName, default="onnxruntime", help="what reads them; pytorch simulates integers"
    )
    parser.add_argument(
        "--precision",
        type=Literal["float32", "bf16"],
        default="float32",
        help="of what stays float in a quantised network that is read; bf16 is for --runtime openvino",
    )
    parser.add_argument(
        "--engines", action="store_true", help="time each network beside the float one, in float32, in each engine"
    )
    parser.add_argument("--sensitivity", type=Literal["stages", "layers"], help="where the first network loses")
    parser.add_argument(
        "--max_drop",
        type=float,
        help="mix all precisions of --bits, cheapest first, so that at most so many points of hmean are lost",
    )
    parser.add_argument("--rounds", type=PositiveInt, default=5, help="of that timing")
    parser.add_argument("--threads", type=NonNegativeInt, default=0, help="0: the CPUs that this process may use")
    parser.add_class_arguments(SpotterQuantConfig, "quant")
    parser.add_class_arguments(DataFreeConfig, "datafree")
    return parser


def quantize(options: Namespace) -> int:
    """Make every network, judge it, and write the table."""
    variants = read_variants(options.methods, options.bits)
    network, card = load_model(find_weights(options.weights))
    network = expose_attention(network)  # the float network has layers of the same names as the quantised ones
    readers = {str(path): Reader(path) for path in options.judge}
    judges = Judges(readers, options.runtime, options.precision, options.threads)
    beside = {str(folder): read_beside(folder, variants, network, card, judges) for folder in options.beside}
    made = ""
    if options.data_free:
        began = time.perf_counter()
        images, terms = make_calibration_images(network, card, options.data_free, options.datafree, options.out, track)
        if terms:
            made = f"Images made from the network: {', '.join(f'{name} {value:.3g}' for name, value in terms.items())}."
            made += f" This call took {(time.perf_counter() - began) / 60:.1f} minutes for them"
            peak = memory_bytes("VmHWM")
            made += f" and {peak / 2**30:.1f} GiB of memory." if peak else "."
    else:
        images = read_calibration_images(Reader(options.calibration), options.images, card, track)
    comparison = Comparison(network, card, options.quant, images, judges, options.out, track, say)
    results = comparison.run(variants, options.toolkits)
    timings: Timings = {}
    left_out: list[str] = []
    if options.engines:
        float_file, *files = (comparison.file(result.name, ".onnx") for result in results)
        timings, left_out = time_engines(
            float_file, {file.stem: file for file in files}, images[:NUM_TIMED], options.rounds, options.threads
        )
    parts = [to_markdown(results, timings), compare_methods(results)]
    parts += [compare_folders(results, folder, others) for folder, others in beside.items()]
    parts += [made, *left_out]
    if options.judge and len(results) > 1:
        parts.append(plot(results, options.out / "quantized.png"))
    if options.sensitivity or options.max_drop is not None:
        from textspot.compression.sensitivity import examine  # matplotlib is an extra

        max_drop = None if options.max_drop is None else options.max_drop / 100
        reader = Reader(options.judge[0])
        parts.append(
            "\n".join(f"- {line}" for line in examine(comparison, variants, reader, options.sensitivity, max_drop))
        )
    page = "\n\n".join(filter(None, parts))
    print(page)
    write_text(options.out / "quantized.md", page + "\n")
    last = comparison.file(variants[-1].name, ".onnx")
    print(f"\nread a photograph with it:\n  python tools/infer.py --weights {last} YOUR_PHOTO.jpg")
    return 0


def plot(results: Sequence[Result], path: Path) -> str:
    """Draw the table, and say in Markdown where."""
    try:
        from textspot.compression.plot import plot_changes
    except ImportError as error:
        return f"No plot: {error}."
    plot_changes(results, path)
    return f"![what each network loses, and takes]({path.name})"


def say(words: str) -> None:
    print(words, file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if (options.calibration is None) == (options.data_free is None):
        parser.error("give either --calibration or --data_free")
    if not options.judge and (options.sensitivity or options.max_drop is not None or options.beside):
        parser.error("--sensitivity, --max_drop and --beside want --judge: images that are read")
    return run_command(lambda: quantize(parser.instantiate(options)))


if __name__ == "__main__":
    sys.exit(main())
