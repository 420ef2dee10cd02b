"""The published methods, as combinations of smoothing and correction on one base rounding."""

from textspot.quant.affine import QuantizerConfig
from textspot.quant.correction import CorrectionConfig
from textspot.quant.layers import LayerConfig
from textspot.quant.smoothing import SmoothingConfig

METHODS: dict[str, tuple[SmoothingConfig, CorrectionConfig]] = {
    "rtn": (SmoothingConfig(), CorrectionConfig()),
    "smoothquant": (SmoothingConfig("smoothquant"), CorrectionConfig()),
    "lorc": (SmoothingConfig(), CorrectionConfig("unwhitened")),
    "l2qer": (SmoothingConfig(), CorrectionConfig("diagonal")),
    "aser": (SmoothingConfig("aser"), CorrectionConfig("whitened")),
}


def build_method(name: str, weight_bits: int = 8, activation_bits: int = 8) -> LayerConfig:
    """A method with symmetric weights per channel and asymmetric activations per tensor; `dataclasses.replace` changes
    one part. `rtn` is round to nearest."""
    if name not in METHODS:
        raise ValueError(f"no method is called {name}, expected one of {', '.join(METHODS)}")
    smoothing, correction = METHODS[name]
    weight = QuantizerConfig(weight_bits, symmetric=True, granularity="channel")
    return LayerConfig(weight, QuantizerConfig(activation_bits), smoothing, correction)
