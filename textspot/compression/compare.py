"""One network at many precisions: each is quantised, saved, exported and judged, and nothing is done twice.

What was judged is kept beside the weights as JSON, so a comparison that was killed resumes where it was.
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
from textspot.compression.judge import Judgement, judge_spotter
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
    1280 pixels with 16 words; `judged_in` names runtime and precision; `judgements` are by data set, `reading` is
    `recognition/...` of annotated regions by data set, in PyTorch, and empty for what exists as a graph alone.
    """

    name: str
    bytes: Mapping[str, int]
    multiplications: int
    judged_in: str
    judgements: Mapping[str, Judgement]
    reading: Mapping[str, Mapping[str, float]]

    @property
    def num_mebibytes(self) -> float:
        """All parts together."""
        return sum(self.bytes.values()) / 2**20

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**vars(self), "judgements": {name: one.to_dict() for name, one in self.judgements.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Result":
        """Of the JSON form."""
        judgements = {name: Judgement.from_dict(one) for name, one in values["judgements"].items()}
        return cls(**{**values, "judgements": judgements})


@dataclass(frozen=True)
class Judges:
    """What variants are judged on and how.

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


def describe_judging(network: SpottingNetwork, card: ModelCard, judges: Judges, name: str) -> dict[str, Any]:
    """What the figures of a variant depend on, but how it was quantised."""
    return {
        "format": FORMAT,
        "weights": fingerprint(network),
        "threshold": card.threshold,
        "postprocess": repr(card.postprocess),
        "judged": {data: len(reader) for data, reader in judges.readers.items()},
        "runtime": [judges.runtime, judges.precision_of(name)],
    }


def read_beside(
    folder: Path, variants: Sequence[Variant], network: SpottingNetwork, card: ModelCard, judges: Judges
) -> dict[str, Result]:
    """What an earlier comparison found of the same variants, by name. A folder that has none of them, or judged them in
    another way, is a ValueError."""
    found = {}
    for variant in variants:
        file = folder / f"{variant.name}.json"
        if file.exists():
            kept = json.loads(file.read_text(encoding="utf-8"))
            expected = describe_judging(network, card.for_use(), judges, variant.name)
            other = [key for key, value in expected.items() if kept["settings"].get(key) != value]
            if other:
                raise ValueError(f"{file} cannot stand beside this: it was judged with other {', '.join(other)}")
            found[variant.name] = Result.from_dict(kept["result"])
    if not found:
        raise ValueError(f"{folder} holds none of {', '.join(variant.name for variant in variants)}")
    return found


class Comparison:
    """A float network and its quantised variants in one folder."""

    def __init__(
        self,
        network: SpottingNetwork,
        card: ModelCard,
        config: SpotterQuantConfig,
        images: Sequence[np.ndarray],
        judges: Judges,
        folder: Path,
        track: Track = untracked,
        say: Say = print,
    ):
        self.network, self.card, self.config = network, card.for_use(), resolve_float_layers(config, network)
        self.images, self.judges, self.folder = images, judges, folder
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
        if self.judges.precision != "float32" and self.judges.runtime != "openvino":
            raise ValueError(
                f"precision is {self.judges.precision!r}, expected float32 in {self.judges.runtime}: OpenVINO has bf16"
            )
        if toolkits and self.judges.runtime == "pytorch":
            raise ValueError(f"what {' and '.join(toolkits)} make does not run in PyTorch: choose another runtime")
        results = [self._keep(FLOAT, self.measure_float)]
        results += [self._keep(variant.name, partial(self.measure, variant)) for variant in variants]
        return results + [self._keep(f"{name}-w8a8", partial(self.measure_toolkit, name)) for name in toolkits]

    def measure_float(self) -> Result:
        """What the variants are compared with."""
        export_onnx(self.network, self.card, self.file(FLOAT, ".onnx"))
        bytes = {"float": sum(tensor.nbytes for tensor in self.network.state_dict().values())}
        return self._judge(FLOAT, bytes, self.network)

    def measure(self, variant: Variant) -> Result:
        """Quantise, save, export and judge."""
        config = replace(self.config, layer=variant.layer(self.config.layer))
        quantized = quantize_spotter(self.network, self.card, config, self.images, self.track)
        save_quantized(self.file(variant.name, ".safetensors"), quantized, self.card)
        export_onnx(quantized, self.card, self.file(variant.name, ".onnx"))
        return self._judge(variant.name, count_bytes(quantized), quantized)

    def measure_toolkit(self, toolkit: str) -> Result:
        """Let another quantiser have the float graph, and judge what it gives."""
        name = f"{toolkit}-w8a8"
        graph = self.file(name, ".onnx")
        run_toolkit(toolkit, self.file(FLOAT, ".onnx"), self.card, self.config.keep_float or (), self.images, graph)
        return self._judge(name, {"file": graph.stat().st_size})

    def _judge(self, name: str, bytes: Mapping[str, int], network: SpottingNetwork | None = None) -> Result:
        """Without a network only the graph is there, and annotated regions cannot be read."""
        simulated = Spotter(TorchRuntime(network or self.network, torch.device("cpu")), self.card)
        spotter, how = simulated, self.judges
        precision = self.judges.precision_of(name)
        if how.runtime != "pytorch":
            config = RuntimeConfig(how.runtime, precision=precision, num_threads=how.num_threads)
            spotter = load(self.file(name, ".onnx"), config)
        judgements = {}
        for data, reader in self.judges.readers.items():
            self.say(f"{name}: {data}")
            judgements[data] = judge_spotter(spotter, reader, self.track)
        reading = {
            data: score_reading(simulated, reader, track=self.track)
            for data, reader in list(self.judges.readers.items())[:1]
            if network is not None
        }
        multiplications = count_multiplications(network or self.network)
        judged_in = f"{spotter.runtime.name} ({precision})"
        return Result(name, bytes, multiplications, judged_in, judgements, reading)

    def _keep(self, name: str, measure: Callable[[], Result]) -> Result:
        """What was measured before, if it was of the same weights and settings; else it is measured and kept."""
        file, settings = self.file(name, ".json"), self._settings(name)
        if file.exists():
            kept = json.loads(file.read_text(encoding="utf-8"))
            if kept["settings"] == settings:
                self.say(f"{name}: measured before")
                return Result.from_dict(kept["result"])
        result = measure()
        page = json.dumps({"settings": settings, "result": result.to_dict()})
        write_text(file, page)
        return result

    def _settings(self, name: str) -> dict[str, Any]:
        """What a result depends on."""
        return {
            **describe_judging(self.network, self.card, self.judges, name),
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
