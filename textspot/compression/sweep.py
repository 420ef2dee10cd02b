"""One network at many precisions: each is quantised, saved, exported and evaluated, and nothing is done twice.

Results are kept beside the weights as JSON, so a sweep that was killed resumes where it was.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from textspot.atomic_file import write_text
from textspot.checkpoint import save_quantized
from textspot.compression.accuracy import Accuracy, measure_accuracy
from textspot.compression.spotter import (
    SpotterQuantConfig,
    default_layer,
    fingerprint,
    quantize_spotter,
    resolve_float_layers,
)
from textspot.compression.toolkits import check_toolkits, run_toolkit
from textspot.data.lmdb_records import Reader
from textspot.engine.evaluate import score_reading
from textspot.inference.spotter import Spotter, load
from textspot.model_card import ModelCard
from textspot.models.spotting_network import SpottingNetwork
from textspot.progress import Track, untracked
from textspot.quant import count_bytes
from textspot.quant.affine import QuantizerConfig
from textspot.quant.layers import LayerConfig
from textspot.quant.methods import METHODS, build_method
from textspot.runtime.build import RuntimeConfig, RuntimeName
from textspot.runtime.export import export_onnx
from textspot.runtime.protocol import Precision
from textspot.runtime.torch_runtime import TorchRuntime

FLOAT = "float"
FORMAT = 6  # of what is kept; another one is measured again
# Keys of kept results as earlier versions wrote them, in the words of today.
OLDER_KEYS = {"judged": "evaluated_on", "judged_in": "measured_in", "judgements": "accuracies"}
COUNTED_SIZE, NUM_WORDS = (736, 1280), 16  # of an image whose multiplications are counted, and words read in it
Say = Callable[[str], object]


@dataclass(frozen=True)
class Variant:
    """A method at a precision.

    Args:
        method: one of `quant.methods.METHODS`.
        weight_bits: bits of the weights.
        activation_bits: bits of the activations.
    """

    method: str
    weight_bits: int
    activation_bits: int

    @property
    def name(self) -> str:
        """As files are called, such as `aser-w4a8`."""
        return f"{self.method}-w{self.weight_bits}a{self.activation_bits}"

    def layer(self, template: LayerConfig) -> LayerConfig:
        """The template with these bits and the method's smoothing and correction; how far these go, and how ranges are
        chosen, stays that of the template."""
        method = build_method(self.method)
        return replace(
            template,
            weight=replace(template.weight, bits=self.weight_bits),
            activation=replace(template.activation or QuantizerConfig(), bits=self.activation_bits),
            smoothing=replace(template.smoothing, kind=method.smoothing.kind),
            correction=replace(template.correction, kind=method.correction.kind),
        )


def check_template(template: LayerConfig) -> None:
    """A ValueError if a template of variants sets what each variant decides by itself."""
    usual, activation = default_layer(), template.activation
    decided = {
        "weight.bits": (template.weight.bits, usual.weight.bits),
        "activation": (activation is None, False),
        "activation.bits": (activation and activation.bits, activation and usual.weight.bits),
        "smoothing.kind": (template.smoothing.kind, usual.smoothing.kind),
        "correction.kind": (template.correction.kind, usual.correction.kind),
    }
    changed = [f"layer.{key}" for key, (found, expected) in decided.items() if found != expected]
    if changed:
        raise ValueError(f"{', '.join(changed)}: bits and methods say that, as in w4a8 and aser: leave it out")


def read_variants(methods: Sequence[str], bits: Sequence[str]) -> list[Variant]:
    """Every method at every precision, such as `w4a8`; a method or a precision that there is not is a ValueError."""
    variants = []
    for precision in bits:
        weight, _, activation = precision.lower().removeprefix("w").partition("a")
        if not (weight.isdigit() and activation.isdigit()):
            raise ValueError(f"bits is {precision!r}, expected the likes of w8a8 or w4a8")
        for method in methods:
            if method not in METHODS:
                raise ValueError(f"no method is called {method!r}, expected one of {', '.join(METHODS)}")
            variants.append(Variant(method, int(weight), int(activation)))
    return variants


@dataclass(frozen=True)
class Result:
    """What became of a network at one precision.

    `bytes` is by part as `quant.count_bytes` has it; `multiplications` is of the network alone on one image of 736 x
    1280 pixels with 16 words; `measured_in` names runtime and precision; `accuracies` are by data set, `reading` is
    `recognition/...` of annotated regions by data set, in PyTorch, and empty for what exists as a graph alone.
    """

    name: str
    bytes: Mapping[str, int]
    multiplications: int
    measured_in: str
    accuracies: Mapping[str, Accuracy]
    reading: Mapping[str, Mapping[str, float]]

    @property
    def num_mebibytes(self) -> float:
        """All parts together."""
        return sum(self.bytes.values()) / 2**20

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**vars(self), "accuracies": {name: one.to_dict() for name, one in self.accuracies.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Result":
        """Of the JSON form."""
        accuracies = {name: Accuracy.from_dict(one) for name, one in values["accuracies"].items()}
        return cls(**{**values, "accuracies": accuracies})


@dataclass(frozen=True)
class EvaluationSetup:
    """What variants are evaluated on and how.

    Args:
        readers: data sets by name; the first also says how annotated regions are read.
        runtime: program that reads the images: `onnxruntime` or `openvino`, in integers where they can, or `pytorch`,
            which simulates them.
        precision: precision of what stays float in a quantised network; the float one, which they stand beside, is
            read in float32.
        num_threads: CPU threads; 0 takes the CPUs that this process may use.
    """

    readers: Mapping[str, Reader]
    runtime: RuntimeName = "onnxruntime"
    precision: Precision = "float32"
    num_threads: int = 0

    def precision_of(self, name: str) -> Precision:
        """Of the network of that name."""
        return "float32" if name == FLOAT else self.precision


def describe_evaluation(
    network: SpottingNetwork, card: ModelCard, evaluation: EvaluationSetup, name: str
) -> dict[str, Any]:
    """What the figures of a variant depend on, but how it was quantised."""
    return {
        "format": FORMAT,
        "weights": fingerprint(network),
        "threshold": card.threshold,
        "postprocess": repr(card.postprocess),
        "evaluated_on": {data: len(reader) for data, reader in evaluation.readers.items()},
        "runtime": [evaluation.runtime, evaluation.precision_of(name)],
    }


def read_kept(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings and the result in a file of a sweep, of an earlier version too."""
    kept = json.loads(file.read_text(encoding="utf-8"))
    settings, result = (
        {OLDER_KEYS.get(key, key): value for key, value in kept[part].items()} for part in ("settings", "result")
    )
    return settings, result


def read_beside(
    folder: Path, variants: Sequence[Variant], network: SpottingNetwork, card: ModelCard, evaluation: EvaluationSetup
) -> dict[str, Result]:
    """What an earlier sweep found of the same variants, by name. A folder that has none of them, or evaluated them in
    another way, is a ValueError."""
    found = {}
    for variant in variants:
        file = folder / f"{variant.name}.json"
        if file.exists():
            settings, kept = read_kept(file)
            expected = describe_evaluation(network, card.for_use(), evaluation, variant.name)
            other = [key for key, value in expected.items() if settings.get(key) != value]
            if other:
                raise ValueError(f"{file} cannot stand beside this: it was evaluated with other {', '.join(other)}")
            found[variant.name] = Result.from_dict(kept)
    if not found:
        raise ValueError(f"{folder} holds none of {', '.join(variant.name for variant in variants)}")
    return found


class Sweep:
    """A float network and its quantised variants in one folder."""

    def __init__(
        self,
        network: SpottingNetwork,
        card: ModelCard,
        config: SpotterQuantConfig,
        images: Sequence[np.ndarray],
        evaluation: EvaluationSetup,
        folder: Path,
        track: Track = untracked,
        say: Say = print,
    ):
        self.network, self.card, self.config = network, card.for_use(), resolve_float_layers(config, network)
        self.images, self.evaluation, self.folder = images, evaluation, folder
        self.track, self.say = track, say
        folder.mkdir(parents=True, exist_ok=True)

    def file(self, name: str, suffix: str) -> Path:
        """Where a variant's weights, graph or figures lie."""
        return self.folder / f"{name}{suffix}"

    def run(self, variants: Sequence[Variant], toolkits: Sequence[str] = ()) -> list[Result]:
        """The results of the float network, of every variant and of other quantisers by name, in this order.

        A quantiser that is not installed, or a runtime in which its graphs do not run, is a ValueError at once.
        """
        check_toolkits(toolkits)
        check_template(self.config.layer)
        precision, runtime = self.evaluation.precision, self.evaluation.runtime
        if precision != "float32" and runtime != "openvino":
            raise ValueError(f"precision is {precision!r}, expected float32 in {runtime}: OpenVINO has bf16")
        if toolkits and runtime == "pytorch":
            raise ValueError(f"what {' and '.join(toolkits)} make does not run in PyTorch: choose another runtime")
        results = [self._keep(FLOAT, self.measure_float)]
        results += [self._keep(variant.name, partial(self.measure, variant)) for variant in variants]
        return results + [self._keep(f"{name}-w8a8", partial(self.measure_toolkit, name)) for name in toolkits]

    def measure_float(self) -> Result:
        """What the variants are compared with."""
        export_onnx(self.network, self.card, self.file(FLOAT, ".onnx"))
        bytes = {"float": sum(tensor.nbytes for tensor in self.network.state_dict().values())}
        return self._evaluate(FLOAT, bytes, self.network)

    def measure(self, variant: Variant) -> Result:
        """Quantise, save, export and evaluate."""
        config = replace(self.config, layer=variant.layer(self.config.layer))
        quantized = quantize_spotter(self.network, self.card, config, self.images, self.track)
        save_quantized(self.file(variant.name, ".safetensors"), quantized, self.card)
        export_onnx(quantized, self.card, self.file(variant.name, ".onnx"))
        return self._evaluate(variant.name, count_bytes(quantized), quantized)

    def measure_toolkit(self, toolkit: str) -> Result:
        """Let another quantiser have the float graph, and evaluate what it gives."""
        name = f"{toolkit}-w8a8"
        graph = self.file(name, ".onnx")
        run_toolkit(toolkit, self.file(FLOAT, ".onnx"), self.card, self.config.keep_float or (), self.images, graph)
        return self._evaluate(name, {"file": graph.stat().st_size})

    def _evaluate(self, name: str, bytes: Mapping[str, int], network: SpottingNetwork | None = None) -> Result:
        """Without a network only the graph is there, and annotated regions cannot be read."""
        simulated = Spotter(TorchRuntime(network or self.network, torch.device("cpu")), self.card)
        spotter, how = simulated, self.evaluation
        precision = self.evaluation.precision_of(name)
        if how.readers and how.runtime != "pytorch":
            config = RuntimeConfig(how.runtime, precision=precision, num_threads=how.num_threads)
            spotter = load(self.file(name, ".onnx"), config)
        accuracies = {}
        for data, reader in self.evaluation.readers.items():
            self.say(f"{name}: {data}")
            accuracies[data] = measure_accuracy(spotter, reader, self.track)
        reading = {
            data: score_reading(simulated, reader, track=self.track)
            for data, reader in list(self.evaluation.readers.items())[:1]
            if network is not None
        }
        multiplications = count_multiplications(network or self.network)
        measured_in = f"{spotter.runtime.name} ({precision})"
        return Result(name, bytes, multiplications, measured_in, accuracies, reading)

    def _keep(self, name: str, measure: Callable[[], Result]) -> Result:
        """What was measured before, if it was of the same weights and settings; else it is measured and kept."""
        file, settings = self.file(name, ".json"), self._settings(name)
        if file.exists():
            before, kept = read_kept(file)
            if before == settings:
                self.say(f"{name}: measured before")
                return Result.from_dict(kept)
        result = measure()
        page = json.dumps({"settings": settings, "result": result.to_dict()})
        write_text(file, page)
        return result

    def _settings(self, name: str) -> dict[str, Any]:
        """What a result depends on."""
        return {
            **describe_evaluation(self.network, self.card, self.evaluation, name),
            "config": repr(self.config),
            "calibration": [int(image.sum()) for image in self.images],
        }


@torch.inference_mode()
def count_multiplications(network: SpottingNetwork) -> int:
    """Multiplications of convolutions and matrices in an image of 736 x 1280 pixels with 16 words."""
    with FlopCounterMode(display=False) as flops:
        image = torch.zeros(1, 3, *COUNTED_SIZE, dtype=torch.uint8)
        network.spot(image, threshold=1.0, max_regions=NUM_WORDS, min_regions=NUM_WORDS)
    return flops.get_total_flops() // 2
