"""Quantised networks as QDQ ONNX in ONNX Runtime: the simulation is what the engine computes."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_networks import BUILDERS, build_toy, relative_error

from textspot.quant.calibration import calibrate, freeze
from textspot.quant.layers import LayerConfig, quantized_layers
from textspot.quant.methods import METHODS, build_method
from textspot.quant.network import QuantConfig, quantize
from textspot.runtime.openvino_runtime import open_core

onnx = pytest.importorskip("onnx", reason="export needs the extra: pip install textspot[onnx]")
onnxruntime = pytest.importorskip("onnxruntime", reason="export needs the extra: pip install textspot[onnx]")
pytest.importorskip("onnxscript", reason="export needs the extra: pip install textspot[onnx]")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the exporter's own

# Weights, inputs, and factors: None leaves these float.
BITS = {
    "rtn": (8, 8, None),
    "smoothquant": (8, 8, None),
    "lorc": (4, 8, 8),
    "l2qer": (4, 4, None),
    "aser": (4, 8, 8),
}
LEVELS = onnxruntime.GraphOptimizationLevel
OUTPUTS = ("stem.2", "grouped", "relu", "head")  # of the convolutional toy: all that an engine has to have quantised


class InEngine(torch.nn.Module):
    """A frozen network exported and run by ONNX Runtime; `nodes` are those left by its optimiser."""

    def __init__(self, network: torch.nn.Module, example: torch.Tensor, folder: Path, level: LEVELS):
        super().__init__()
        batch = torch.export.Dim("batch", min=1, max=64)
        program = torch.onnx.export(
            network, (example,), dynamo=True, opset_version=20, dynamic_shapes=({0: batch},), verbose=False
        )
        program.save(folder / "network.onnx")
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level, options.intra_op_num_threads = level, 1
        options.optimized_model_filepath, options.log_severity_level = str(folder / "optimized.onnx"), 3
        self.session = onnxruntime.InferenceSession(str(folder / "network.onnx"), options, ["CPUExecutionProvider"])
        self.nodes = Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.session.run(None, {self.session.get_inputs()[0].name: x.numpy()})[0])


def build_frozen(name: str, config: QuantConfig) -> tuple[torch.nn.Module, torch.nn.Module, list[torch.Tensor]]:
    network, inputs = build_toy(name)
    quantized = quantize(network, config)
    calibrate(quantized, inputs)
    freeze(quantized)
    return quantized, network, inputs


def build_layer(method: str, weight_bits: int, input_bits: int, factor_bits: int | None) -> LayerConfig:
    layer = build_method(method, weight_bits, input_bits)
    return replace(layer, correction=replace(layer.correction, bits=factor_bits))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BUILDERS)
def test_the_engine_computes_what_is_simulated(tmp_path, name, method):
    """Up to single values that fall on the edge between two codes."""
    quantized, _, inputs = build_frozen(name, QuantConfig(build_layer(method, *BITS[method])))
    engine = InEngine(quantized, inputs[0], tmp_path, LEVELS.ORT_DISABLE_ALL)
    assert engine.nodes["DequantizeLinear"] >= engine.nodes["QuantizeLinear"] > 0  # one more for each other reader
    for x in (*inputs, inputs[0][:2]):
        given, wanted = engine(x).numpy(), quantized(x).numpy()
        close = np.isclose(given, wanted, atol=1e-4 * np.abs(wanted).max())
        assert close.mean() > 0.99
        assert np.abs(given - wanted).max() < 0.05 * np.abs(wanted).max()


def test_eight_bits_run_on_integer_kernels_where_outputs_are_quantised(tmp_path):
    """Residual join included: in float every convolution would be computed in float between two conversions."""
    quantized, network, inputs = build_frozen("convolutions", QuantConfig(build_method("rtn"), outputs=OUTPUTS))
    engine = InEngine(quantized, inputs[0], tmp_path, LEVELS.ORT_ENABLE_ALL)
    assert engine.nodes["QLinearConv"] == 3
    assert engine.nodes["QLinearAdd"] == 1
    assert not engine.nodes["Conv"]
    assert relative_error(engine, quantized, inputs) < 0.01
    assert relative_error(engine, network, inputs) < 0.03


def test_a_corrected_layer_runs_on_integer_kernels(tmp_path):
    """In both engines. OpenVINO adds the correction in the kernel of the layer, whose output it does not round then."""
    layer = build_layer("lorc", 8, 8, 8)
    quantized, _, inputs = build_frozen("convolutions", QuantConfig(layer, outputs=OUTPUTS))
    engine = InEngine(quantized, inputs[0], tmp_path, LEVELS.ORT_ENABLE_ALL)
    assert engine.nodes["QLinearConv"] == 3 * 3
    assert engine.nodes["QLinearAdd"] == 3 + 1
    assert not engine.nodes["Conv"]
    assert relative_error(engine, quantized, inputs) < 0.01

    pytest.importorskip("openvino", reason="needs the extra: pip install textspot[openvino]")
    compiled = open_core().compile_model(tmp_path / "network.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    kinds = [operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops()]
    layers = Counter((kind["layerType"].astype(str), kind["runtimePrecision"].astype(str)) for kind in kinds)
    assert layers["Convolution", "u8"] == 3 * 3
    assert layers["Eltwise", "u8"] == 1  # the residual join
    for twin in quantized_layers(quantized).values():
        twin.integer_correction.main.phase = "float"
    outputs = [torch.from_numpy(compiled(x.numpy())[0].copy()) for x in inputs]
    assert all((y - quantized(x)).norm() < 0.01 * y.norm() for x, y in zip(inputs, outputs, strict=True))


def test_the_basic_optimiser_leaves_a_file_with_integer_weights(tmp_path):
    quantized, _, inputs = build_frozen("transformer", QuantConfig(build_method("rtn")))
    InEngine(quantized, inputs[0], tmp_path, LEVELS.ORT_ENABLE_BASIC)
    weights = [i for i in onnx.load(tmp_path / "optimized.onnx").graph.initializer if len(i.dims) == 2]
    assert {tensor.data_type for tensor in weights} == {onnx.TensorProto.INT8}
    assert sum(np.prod(tensor.dims) for tensor in weights) == 16 * 16 * (3 + 1 + 2 + 2)
