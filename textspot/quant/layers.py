"""The quantised twins: modules that are what they replace, and compute on the grids of their quantisers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from textspot.quant.affine import (
    QuantizerConfig,
    fake_quantize,
    fake_quantize_channels,
    fake_quantize_log2,
    fake_quantize_tokens,
)
from textspot.quant.correction import CorrectionConfig
from textspot.quant.observers import Observer
from textspot.quant.smoothing import SmoothingConfig

CONVOLUTION_SHAPE = (
    *("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"),
)
NEVER_RAN = "never ran on a value: give calibration inputs that reach it or list it in keep_float"
Phase = Literal["quantized", "float", "observing"]


@dataclass(frozen=True)
class LayerConfig:
    """How a layer is quantised: base rounding (weight, activation), smoothing and correction, freely combined.

    Args:
        weight: quantiser of a layer's weights.
        activation: quantiser of a layer's inputs; null leaves them float.
        smoothing: smoothing of its inputs, before they are quantised.
        correction: correction of its weight error.
        probabilities: grid of the output of a softmax: `log2` or `uniform`, at the bits of `activation`.
    """

    weight: QuantizerConfig = field(default_factory=lambda: QuantizerConfig(symmetric=True, granularity="channel"))
    activation: QuantizerConfig | None = field(default_factory=QuantizerConfig)
    smoothing: SmoothingConfig = field(default_factory=SmoothingConfig)
    correction: CorrectionConfig = field(default_factory=CorrectionConfig)
    probabilities: Literal["log2", "uniform"] = "log2"

    def __post_init__(self) -> None:
        if self.weight.granularity == "token":
            raise ValueError("weight.granularity is token, expected tensor or channel: weights have no tokens")
        if self.activation and self.activation.granularity == "channel":
            raise ValueError(
                "activation.granularity is channel, expected tensor or token: a sum over channels of different scales "
                "is no integer sum"
            )
        if self.smoothing.kind == "aser" and self.correction.kind == "none":
            raise ValueError("smoothing.kind is aser, whose outlier weights need a correction: set correction.kind")
        if self.correction.kind != "none" and self.correction.bits is not None and self.activation is None:
            raise ValueError(
                "correction.bits is set and activation is null: integer factors need integer inputs; set "
                "correction.bits to null"
            )


class NotCalibratedError(RuntimeError):
    """A quantised module is used before `calibrate`; the message names it."""

    def __init__(self, name: str):
        super().__init__(f"{name} is not calibrated: call calibrate(network, inputs) first")


class ActivationQuantizer(nn.Module):
    """Quantises what passes, on one grid per call of a forward pass: a module that is called twice sees two
    distributions.

    `grids` are scale and zero point of each call, none before the calibration: plain numbers, see `fake_quantize`.
    Calls are counted modulo their number, so every pass has to make as many as those of the calibration.
    """

    def __init__(self, config: QuantizerConfig, name: str, axis: int = -1, log2: bool = False):
        super().__init__()
        self.config, self.name, self.axis, self.log2 = config, name, axis, log2
        self.grids: list[tuple[float, int]] = []
        self.phase: Phase = "quantized"
        self.calls = 0  # made in this pass
        self.learned: Any = None  # what quantises instead while a reconstruction runs: see `learned_grids`
        self.forget()

    @property
    def dynamic(self) -> bool:
        """Whether the grids come from the values themselves, so that there is nothing to calibrate."""
        return self.config.granularity == "token" and not self.log2

    def forward(self, x: Tensor) -> Tensor:
        if self.phase == "float":
            return x
        if self.phase == "observing":
            return self._observe(x)
        if self.dynamic:
            return fake_quantize_tokens(x, self.config, self.axis)
        if self.learned is not None:
            return self.learned(x)
        scale, zero_point = self.calibrated_grids()[self._count_call()]
        if self.log2:
            return fake_quantize_log2(x, scale, self.config.bits)
        return fake_quantize(x, scale, zero_point, self.config)

    def calibrated_grids(self) -> list[tuple[float, int]]:
        """Scale and zero point of each call; a `NotCalibratedError` before the calibration."""
        if not self.grids:
            raise NotCalibratedError(self.name)
        return self.grids

    def _count_call(self) -> int:
        if len(self.grids) == 1:
            return 0  # no state to change: a module called once is a pure function
        call = self.calls
        self.calls = (call + 1) % len(self.grids)
        return call

    def _observe(self, x: Tensor) -> Tensor:
        if self.calls == len(self.observers):
            self.observers.append(Observer())
        try:
            self.observers[self.calls].update(x)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error} in call {self.calls + 1} of a calibration pass") from error
        self.calls += 1
        return x

    def forget(self) -> None:
        """Drop what was observed."""
        self.observers: list[Observer] = []
        self.calls_of_passes: set[int] = set()

    def start_pass(self) -> None:
        """The next call is the first of a forward pass."""
        if self.observers and self.calls:
            self.calls_of_passes.add(self.calls)
        self.calls = 0

    def fit(self) -> None:
        """Choose the grids from what was observed, and forget that. A quantiser that saw nothing, or a varying number
        of calls, is a `ValueError`."""
        self.start_pass()
        if not self.observers or any(observer.empty for observer in self.observers):
            raise ValueError(f"{self.name} {NEVER_RAN}")
        if len(self.calls_of_passes) > 1:
            raise ValueError(
                f"{self.name} ran {' or '.join(map(str, sorted(self.calls_of_passes)))} times in a pass, depending on "
                "the input: its calls cannot be told apart. List it in keep_float"
            )
        if not self.dynamic:
            self.grids = [o.fit_log2() if self.log2 else o.fit(self.config) for o in self.observers]
        self.forget()

    def extra_repr(self) -> str:
        return f"bits={self.config.bits}, {'log2' if self.log2 else self.config.granularity}"


class QuantizedLayer(nn.Module):
    """What QuantLinear and QuantConv2d share: y = W_q Q(x / m) + b + L_A (L_B Q(x / m)); with factors in integers see
    `factors`.

    weight_scale and weight_zero_point (R,), R the output channels or 1, are unset before the calibration; until then
    `weight` is the float layer's. smoothing m (C,) and the factors L_B (`factor_in`) and L_A (`factor_out`) are unset
    where the method has none. The correction reads the quantised input, as an integer engine would (the paper does not
    say).
    """

    weight: Tensor
    bias: Any
    weight_scale: Tensor | None
    weight_zero_point: Tensor | None
    smoothing: Tensor | None
    factor_in: Tensor | None
    factor_out: Tensor | None
    integer_correction: Any  # what adds the correction where its factors are integers: see `factors`
    learned: Any  # what gives the weights instead while a reconstruction runs: see `learned_grids`
    channel_axis: int

    def adopt(self, layer: nn.Linear | nn.Conv2d, config: LayerConfig, name: str) -> None:
        """Take over a float layer's parameters; they are shared until the calibration."""
        self.config, self.name = config, name
        self.phase: Phase = "quantized"
        self.frozen = False
        self.weight, self.bias = layer.weight, layer.bias
        for buffer in ("weight_scale", "weight_zero_point", "smoothing"):
            self.register_buffer(buffer, None)
        self.register_parameter("factor_in", None)
        self.register_parameter("factor_out", None)
        self.register_module("integer_correction", None)
        self.learned = None
        self.input_quantizer = (
            ActivationQuantizer(config.activation, name, self.channel_axis) if config.activation else None
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.prepare_input(x)
        y = self.transform(x, self.quantized_weight(), self.bias)
        if self.factor_in is None or self.factor_out is None:
            return y
        if self.integer_correction is not None:
            return self.integer_correction(self, x, y)
        return y + self.widen(self.narrow(x, self.factor_in), self.factor_out)

    def prepare_input(self, x: Tensor) -> Tensor:
        """Smoothed, then quantised."""
        if self.smoothing is not None:
            x = x / self.smoothing.reshape(-1, *[1] * (-1 - self.channel_axis))
        return x if self.input_quantizer is None else self.input_quantizer(x)

    def quantized_weight(self) -> Tensor:
        """The weights on their grid."""
        if self.weight_scale is None and self.phase != "quantized":
            return self.weight
        if self.learned is not None:
            return self.learned()
        scale, zero_point = (values.expand(len(self.weight)) for values in self.weight_grid())
        return fake_quantize_channels(self.weight, scale, zero_point, self.config.weight)

    def weight_grid(self) -> tuple[Tensor, Tensor]:
        """Scales (R,) and zero points (R,); a `NotCalibratedError` before the calibration."""
        if self.weight_scale is None or self.weight_zero_point is None:
            raise NotCalibratedError(self.name)
        return self.weight_scale, self.weight_zero_point

    def transform(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The float layer with other weights."""
        raise NotImplementedError

    def narrow(self, x: Tensor, factor_in: Tensor) -> Tensor:
        """L_B x."""
        return self.transform(x, factor_in, None)

    def widen(self, x: Tensor, factor_out: Tensor) -> Tensor:
        """L_A x."""
        raise NotImplementedError


class QuantLinear(QuantizedLayer, nn.Linear):
    """The twin of `nn.Linear`."""

    channel_axis = -1

    def __init__(self, layer: nn.Linear, config: LayerConfig, name: str):
        nn.Linear.__init__(self, layer.in_features, layer.out_features, layer.bias is not None, device="meta")
        self.adopt(layer, config, name)

    def transform(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    def widen(self, x: Tensor, factor_out: Tensor) -> Tensor:
        return F.linear(x, factor_out)


class QuantConv2d(QuantizedLayer, nn.Conv2d):
    """The twin of `nn.Conv2d`. L_B is a convolution of the layer's own kernel, stride, padding and groups with r output
    channels per group, L_A a 1x1 convolution of the same groups."""

    channel_axis = -3

    def __init__(self, layer: nn.Conv2d, config: LayerConfig, name: str):
        shape = {key: getattr(layer, key) for key in CONVOLUTION_SHAPE}
        nn.Conv2d.__init__(self, **shape, bias=layer.bias is not None, device="meta")
        self.adopt(layer, config, name)

    def transform(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._conv_forward(x, weight, bias)

    def widen(self, x: Tensor, factor_out: Tensor) -> Tensor:
        return F.conv2d(x, factor_out, groups=self.groups)


class MatMul(nn.Module):
    """A matrix product of two activations, as attention has them: a module, so that it can have a quantised twin.

    `after_softmax`: the left operand comes from an `nn.Softmax`, whose twin quantises it.
    """

    def __init__(self, after_softmax: bool = False):
        super().__init__()
        self.after_softmax = after_softmax

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right


class QuantMatMul(MatMul):
    """The twin of `MatMul`; a token is a row of the left operand, a column of the right one."""

    def __init__(self, matmul: MatMul, config: LayerConfig, name: str):
        super().__init__(matmul.after_softmax)
        self.config = config
        activation = _activation(config, name)
        self.left_quantizer = (
            nn.Identity() if matmul.after_softmax else ActivationQuantizer(activation, f"{name} (left)", -1)
        )
        self.right_quantizer = ActivationQuantizer(activation, f"{name} (right)", -2)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.left_quantizer(left) @ self.right_quantizer(right)


class QuantSoftmax(nn.Softmax):
    """The twin of `nn.Softmax`: the probabilities are quantised, on the log2 grid or a uniform one."""

    def __init__(self, softmax: nn.Softmax, config: LayerConfig, name: str):
        super().__init__(softmax.dim)
        self.config = config
        log2 = config.probabilities == "log2"
        axis = -1 if softmax.dim is None else softmax.dim
        self.probability_quantizer = ActivationQuantizer(_activation(config, name), name, axis, log2)

    def forward(self, input: Tensor) -> Tensor:
        return self.probability_quantizer(super().forward(input))


def _activation(config: LayerConfig, name: str) -> QuantizerConfig:
    if config.activation is None:
        raise ValueError(f"{name} multiplies activations only and activation is null: list it in keep_float")
    return config.activation


TWINS: dict[type[nn.Module], Any] = {
    nn.Linear: QuantLinear,
    nn.Conv2d: QuantConv2d,
    MatMul: QuantMatMul,
    nn.Softmax: QuantSoftmax,
}


def quantized_layers(network: nn.Module) -> dict[str, QuantLinear | QuantConv2d]:
    """The twins with weights, by name."""
    return {name: module for name, module in network.named_modules() if isinstance(module, QuantizedLayer)}  # type: ignore[misc]


def activation_quantizers(network: nn.Module) -> list[ActivationQuantizer]:
    """All of a network, in order of registration."""
    return [module for module in network.modules() if isinstance(module, ActivationQuantizer)]


def start_pass(network: nn.Module) -> None:
    """A forward pass begins: calls are counted from its start, also after one that was broken off."""
    for quantizer in activation_quantizers(network):
        quantizer.start_pass()


@contextmanager
def phase(network: nn.Module, name: Phase) -> Iterator[None]:
    """The quantised modules compute in float, or observe, for a while."""
    modules = [*quantized_layers(network).values(), *activation_quantizers(network)]
    for module in modules:
        module.phase = name
    try:
        yield
    finally:
        for module in modules:
            module.phase = "quantized"
