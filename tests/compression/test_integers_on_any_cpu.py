"""Without VNNI an engine adds products of 8 bits in pairs within 16 bits: weights of 7 bits keep that exact."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from textspot.compression.spotter import SpotterQuantConfig, _limit
from textspot.quant.affine import code_range
from textspot.quant.layers import LayerConfig

RUN = """
import json, sys, numpy as np
from textspot.runtime.openvino_runtime import open_core
settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
compiled = open_core().compile_model(sys.argv[1], "CPU", settings)
image = np.full((1, 64, 16, 16), 255, np.float32)
print(json.dumps(float(compiled(image)[0].mean())))
"""


def write_graph(path: Path, code: int) -> float:
    """A convolution of activations and weights that are all as large as their bits allow; what it gives exactly."""
    weights = np.full((32, 64, 3, 3), code, np.int8)
    one, zero, zero_i8 = np.array(1.0, np.float32), np.array(0, np.uint8), np.array(0, np.int8)
    arrays = {"w": weights, "one": one, "zero": zero, "zero_i8": zero_i8}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "one", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "one", "zero_i8"], ["dw"]),
        helper.make_node("Conv", ["d", "dw"], ["y"], kernel_shape=[3, 3]),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 64, 16, 16]), ("y", None)))
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return 255.0 * code * 64 * 9


def run_without_vnni(path: Path) -> float:
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    run = subprocess.run([sys.executable, "-c", RUN, path], capture_output=True, text=True, check=True, env=environment)
    return json.loads(run.stdout)


@pytest.mark.slow
def test_seven_bits_are_exact_without_vnni_and_eight_are_not(tmp_path: Path) -> None:
    highest = {bits: code_range(bits, symmetric=True)[1] for bits in (7, 8)}
    exact = {bits: write_graph(tmp_path / f"{bits}.onnx", code) for bits, code in highest.items()}
    found = {bits: run_without_vnni(tmp_path / f"{bits}.onnx") for bits in highest}
    assert found[7] == pytest.approx(exact[7], rel=1e-5)
    assert found[8] < 0.9 * exact[8]  # the reason for the option


@pytest.mark.parametrize("bits", [4, 7, 8])
def test_pairs_of_products_fit_into_16_bits_up_to_seven(bits: int) -> None:
    low, high = code_range(bits, symmetric=True)
    assert (2 * 255 * max(-low, high) <= 2**15 - 1) == (bits <= 7)


def test_the_option_limits_every_layer() -> None:
    """Low-rank factors included, unless they are float."""
    config = SpotterQuantConfig(most_weight_bits=7)
    limited, free = _limit(config.layer, config), _limit(config.layer, SpotterQuantConfig())
    assert (limited.weight.bits, limited.correction.bits) == (7, 7)
    assert (free.weight.bits, free.correction.bits) == (8, 8)
    assert _limit(LayerConfig(), config).correction.bits is None
    with pytest.raises(ValueError, match="most_weight_bits is 9, expected 2 to 8"):
        SpotterQuantConfig(most_weight_bits=9)
