"""A vision transformer, quantised as SARDFQ quantises one (arXiv 2412.16553): uniform weights per channel, uniform
activations per layer, attention probabilities on the log2 grid, then block-wise reconstruction."""

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from textspot.quant.attention import attention_blocks, expose_attention
from textspot.quant.calibration import calibrate, freeze
from textspot.quant.layers import LayerConfig
from textspot.quant.methods import build_method
from textspot.quant.network import QuantConfig, quantizable, quantize
from textspot.quant.reconstruction import ReconstructionConfig, reconstruct


@dataclass(frozen=True)
class TransformerConfig:
    """How a vision transformer is quantised.

    Args:
        weight_bits: bits of the weights of every linear layer and convolution.
        activation_bits: bits of their inputs, and of the operands of attention's matrix products.
        end_bits: bits of the first and the last layer, weights and inputs. Null: as everywhere else, as in the public
            code of PSAQ-ViT (arXiv 2203.02250) and RepQ-ViT (arXiv 2212.08254), and SARDFQ names no exception. 8 spares
            the image and the decision, which suffer most, at little cost (BRECQ, Li et al. 2021).
        observer: how the range of an activation is found (SARDFQ does not say; ours: of 4 bits, a range that reaches
            to every outlier leaves hardly a step to the rest).
        probabilities: grid of the attention probabilities.
        reconstruction: settings of block reconstruction; null leaves it out.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    end_bits: int | None = None
    observer: Literal["minmax", "percentile", "mse"] = "mse"
    probabilities: Literal["log2", "uniform"] = "log2"
    reconstruction: ReconstructionConfig | None = ReconstructionConfig()  # noqa: RUF009  it is frozen

    def layer(self, weight_bits: int, activation_bits: int) -> LayerConfig:
        """The config of a layer at these bits."""
        method = build_method("rtn", weight_bits, activation_bits)
        activation = replace(method.activation, observer=self.observer) if method.activation else None
        weight = replace(method.weight, observer=self.observer)
        return replace(method, weight=weight, activation=activation, probabilities=self.probabilities)

    def resolve(self, exposed: nn.Module) -> QuantConfig:
        """For a network from `expose_attention`."""
        body = self.layer(self.weight_bits, self.activation_bits)
        if self.end_bits is None:
            return QuantConfig(body)
        weighted = [
            name for name in quantizable(exposed) if isinstance(exposed.get_submodule(name), nn.Linear | nn.Conv2d)
        ]
        end = self.layer(self.end_bits, self.end_bits)
        return QuantConfig(body, {weighted[0]: end, weighted[-1]: end})


def quantize_transformer(network: nn.Module, images: Tensor, config: TransformerConfig | None = None) -> nn.Module:
    """A frozen quantised copy of a transformer that `expose_attention` knows, calibrated on images (B, 3, H, W),
    normalised; a network without attention is a `ValueError`. Loading what `save` writes of it takes
    `expose_attention(network)`."""
    config = config or TransformerConfig()
    if not len(images):
        raise ValueError("no images to calibrate with: expected at least one")
    exposed = expose_attention(network)
    blocks = attention_blocks(exposed)
    quantized = quantize(exposed, config.resolve(exposed))
    calibrate(quantized, [images])
    if config.reconstruction is not None:
        reconstruct(quantized, exposed, blocks, [images], config.reconstruction)
    freeze(quantized)
    return quantized
