"""Make a trained network smaller and faster, and see what that costs.

  textspot quantize --weights spotter-s --calibration data/icdar2015/train --out quantized
  textspot quantize --weights spotter-s --calibration data/icdar2015/train --evaluate_on data/icdar2015/val \\
      --methods rtn smoothquant lorc l2qer aser --bits w8a8 w4a8 w4a4 --engines --out quantized
  textspot quantize --weights spotter-s --calibration data/icdar2015/train --evaluate_on data/icdar2015/val \\
      --bits w4a8 w8a8 --sensitivity layers --max_drop 0.5 --out quantized
  textspot quantize --weights spotter-s --data_free network --evaluate_on data/icdar2015/val --beside quantized \\
      --out quantized_without_data

Every method and precision gives two files: a `.safetensors` with packed weights, and an `.onnx` that ONNX Runtime and
OpenVINO run in integers. Which to choose: docs/quantise.md.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jsonargparse.typing import NonNegativeInt, PositiveInt

from textspot.atomic_file import write_text
from textspot.benchmark.machine import memory_bytes
from textspot.checkpoint import load_model
from textspot.cli.command import how_to_read, run_command, say
from textspot.cli.options import Verb
from textspot.compression.calibration_images import DataFreeConfig, make_calibration_images
from textspot.compression.engine import Timings, time_engines
from textspot.compression.report import compare_folders, compare_methods, to_markdown
from textspot.compression.spotter import SpotterQuantConfig, read_calibration_images
from textspot.compression.sweep import EvaluationSetup, Result, Sweep, Variant, read_beside, read_variants
from textspot.compression.toolkits import TOOLKITS
from textspot.data.lmdb_records import Reader
from textspot.inference.spotter import find_weights
from textspot.model_card import ModelCard
from textspot.models.spotting_network import SpottingNetwork
from textspot.progress import track
from textspot.quant.attention import expose_attention
from textspot.quant.methods import METHODS
from textspot.runtime.build import RuntimeName

NUM_TIMED = 8  # images that the engines are timed on


@dataclass(frozen=True)
class QuantizeOptions:
    """What is quantised and how, and what it is evaluated on.

    Args:
        weights: a model.safetensors, a run's folder, or the name of bundled weights.
        out: folder for the networks, their figures and quantized.md.
        calibration: folder of one LMDB; ranges are chosen on its images, its transcripts are not looked at.
        data_free: images to use instead of --calibration: made from the network (docs/data_free.md), or noise.
        num_images: number of calibration images, evenly spread over the LMDB.
        methods: quantisation methods: rtn (round to nearest), smoothquant, lorc, l2qer or aser.
        bits: bits of weights and activations, such as w8a8 w4a8.
        toolkits: other quantisers to compare with: quantize_static (ONNX Runtime) or nncf (OpenVINO).
        evaluate_on: LMDBs on which every network is scored.
        beside: --out folders of earlier calls; each network is compared with its namesake there.
        runtime: runtime of the networks on --evaluate_on; pytorch simulates integers.
        precision: precision of the layers that stay float; bf16 needs --runtime openvino.
        engines: time each network in ONNX Runtime and OpenVINO, in turn with the float32 network.
        sensitivity: quantise one stage or layer at a time and measure what it loses, with the first method and bits.
        max_drop: points of hmean that a mixed network may lose. Its layers have the first precision of --bits, or a
            later one, or stay float; as few as possible are raised.
        rounds: number of rounds of the timing.
        num_threads: number of CPU threads; 0 takes the CPUs that this process may use.
        quant: settings of the quantisation.
        datafree: settings of the images made from the network.
    """

    weights: Path
    out: Path
    calibration: Path | None = None
    data_free: Literal["network", "noise"] | None = None
    num_images: PositiveInt = 64
    methods: tuple[str, ...] = ("rtn",)
    bits: tuple[str, ...] = ("w8a8",)
    toolkits: tuple[str, ...] = ()
    evaluate_on: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    runtime: RuntimeName = "onnxruntime"
    precision: Literal["float32", "bf16"] = "float32"
    engines: bool = False
    sensitivity: Literal["stages", "layers"] | None = None
    max_drop: float | None = None
    rounds: PositiveInt = 5
    num_threads: NonNegativeInt = 0
    quant: SpotterQuantConfig = field(default_factory=SpotterQuantConfig)
    datafree: DataFreeConfig = field(default_factory=DataFreeConfig)

    def __post_init__(self) -> None:
        for option, names, known in (("methods", self.methods, METHODS), ("toolkits", self.toolkits, TOOLKITS)):
            if unknown := sorted(set(names) - set(known)):
                raise ValueError(f"--{option} holds {', '.join(unknown)}, expected some of {', '.join(known)}")
        if (self.calibration is None) == (self.data_free is None):
            raise ValueError("give either --calibration or --data_free")


ONLY_WITH = {
    "num_images": ("calibration",),
    "datafree": ("data_free",),
    **{f"datafree.{setting}": ("data_free=network",) for setting in ("steps", "precision", "soft", "words")},
    "rounds": ("engines",),
    "num_threads": ("evaluate_on", "engines"),
    **dict.fromkeys(("beside", "runtime", "precision", "sensitivity", "max_drop"), ("evaluate_on",)),
}
NO_USE = {
    "bits": ("quant.layer.weight.bits", "quant.layer.activation.bits"),
    "methods": ("quant.layer.smoothing.kind", "quant.layer.correction.kind"),
}
OLDER = {"judge": "evaluate_on"}
VERB = Verb("quantize", QuantizeOptions, __doc__, from_file=True, only_with=ONLY_WITH, no_use=NO_USE, older=OLDER)


def quantize(options: QuantizeOptions) -> int:
    """Make every network, evaluate it, and write the table."""
    variants = read_variants(options.methods, options.bits)
    network, card = load_model(find_weights(options.weights))
    network = expose_attention(network)  # the float network has layers of the same names as the quantised ones
    readers = {str(path): Reader(path) for path in options.evaluate_on}
    evaluation = EvaluationSetup(readers, options.runtime, options.precision, options.num_threads)
    beside = {str(folder): read_beside(folder, variants, network, card, evaluation) for folder in options.beside}
    images, how_made = gather_images(options, network, card)
    sweep = Sweep(network, card, options.quant, images, evaluation, options.out, track, say)
    results = sweep.run(variants, options.toolkits)
    timings, left_out = time_results(options, sweep, results, images)
    parts = [to_markdown(results, timings), compare_methods(results)]
    parts += [compare_folders(results, folder, others) for folder, others in beside.items()]
    parts += [how_made, *left_out]
    if options.evaluate_on and len(results) > 1:
        parts.append(plot(results, options.out / "quantized.png"))
    parts.append(examine_losses(options, sweep, variants))
    page = "\n\n".join(filter(None, parts))
    print(page)
    write_text(options.out / "quantized.md", page + "\n")
    last = sweep.file(variants[-1].name, ".onnx")
    print(f"\nread a photograph with it:\n{how_to_read(last)}")
    return 0


def gather_images(
    options: QuantizeOptions, network: SpottingNetwork, card: ModelCard
) -> tuple[Sequence[np.ndarray], str]:
    """The calibration images, and a sentence about what it took to make them, where they were made."""
    if not options.data_free:
        assert options.calibration is not None  # as the options say
        return read_calibration_images(Reader(options.calibration), options.num_images, card, track), ""
    began = time.perf_counter()
    images, terms = make_calibration_images(network, card, options.data_free, options.datafree, options.out, track)
    if not terms:
        return images, ""
    figures = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
    minutes, peak = (time.perf_counter() - began) / 60, memory_bytes("VmHWM")
    memory = f" and {peak / 2**30:.1f} GiB of memory" if peak else ""
    return images, f"Images made from the network: {figures}. This call took {minutes:.1f} minutes for them{memory}."


def time_results(
    options: QuantizeOptions, sweep: Sweep, results: Sequence[Result], images: Sequence[np.ndarray]
) -> tuple[Timings, list[str]]:
    """The times of all networks in each engine, if asked for, and what could not be timed."""
    if not options.engines:
        return {}, []
    float_file, *files = (sweep.file(result.name, ".onnx") for result in results)
    named = {file.stem: file for file in files}
    return time_engines(float_file, named, images[:NUM_TIMED], options.rounds, options.num_threads)


def examine_losses(options: QuantizeOptions, sweep: Sweep, variants: Sequence[Variant]) -> str:
    """Where networks lose accuracy, and which mixture of precisions loses little, as far as asked for, as a list."""
    if not options.sensitivity and options.max_drop is None:
        return ""
    from textspot.compression.sensitivity import examine  # matplotlib is an extra

    max_drop = None if options.max_drop is None else options.max_drop / 100
    lines = examine(sweep, variants, Reader(options.evaluate_on[0]), options.sensitivity, max_drop)
    return "\n".join(f"- {line}" for line in lines)


def plot(results: Sequence[Result], path: Path) -> str:
    """Draw the table, and say in Markdown where."""
    try:
        from textspot.compression.plot import plot_changes
    except ImportError as error:
        return f"No plot: {error}."
    plot_changes(results, path)
    return f"![what each network loses, and takes]({path.name})"


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: quantize(options))
