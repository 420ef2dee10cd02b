"""How the large float32 weights of an ONNX file are stored: smaller, behind nodes that make them float32 again.

The engines run these nodes once, when they load the file. Legend: N values of a weight, O its output channels.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

Storage = Literal["float32", "float16", "12 bits"]
FEWEST = 1024  # values of a weight; shorter ones, biases among them, stay as they are
LARGEST_CODE, MIDDLE, STEPS = 2047, 2048.0, 16.0  # a code of 12 bits is 16 times a byte, and four bits


def store(file: Path, storage: Storage) -> None:
    """Store the large float32 weights of an ONNX file another way, in place."""
    if storage == "float32":
        return
    import onnx
    from onnx import numpy_helper

    model = onnx.load(file)
    graph = model.graph
    nodes: list[Any] = []
    for weight in list(_large_weights(graph)):
        arrays, unpacking = STORED[storage](weight.name, numpy_helper.to_array(weight))
        graph.initializer.remove(weight)
        graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
        nodes += unpacking
    for number, node in enumerate(nodes):
        graph.node.insert(number, node)
    onnx.save(model, file)


def _large_weights(graph: Any) -> Iterator[Any]:
    from onnx import TensorProto

    for one in graph.initializer:
        if one.data_type == TensorProto.FLOAT and math.prod(one.dims) >= FEWEST:
            yield one


def _as_half(name: str, weight: np.ndarray) -> tuple[dict[str, np.ndarray], list[Any]]:
    """The arrays that stand for a weight, by name, and the nodes that make it of them."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)]
    return {f"{name}.half": weight.astype(np.float16)}, nodes


def _as_12_bits(name: str, weight: np.ndarray) -> tuple[dict[str, np.ndarray], list[Any]]:
    """The same, for codes of 12 bits with a scale per output channel. The high bytes lie beside each other; the low
    four bits of the first half of the values share bytes with those of the second half."""
    from onnx import TensorProto, helper

    scale_O = np.abs(weight.reshape(len(weight), -1)).max(axis=1).clip(min=1e-30) / LARGEST_CODE
    scale = scale_O.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1))
    codes_N = (np.round(weight / scale) + MIDDLE).astype(np.uint16).ravel()
    low_N = np.resize(codes_N & 15, len(codes_N) + len(codes_N) % 2).astype(np.uint8)
    first, second = np.split(low_N, 2)
    arrays = {
        "high": (codes_N >> 4).astype(np.uint8),
        "low": first | second << 4,
        "scale": scale,
        "steps": np.float32(STEPS),
        "middle": np.float32(MIDDLE),
        "shape": np.array(weight.shape),
        "start": np.array([0]),
        "stop": np.array([len(codes_N)]),
    }

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
        named = [f"{name}.{one}" for one in inputs.split()]
        return helper.make_node(kind, named, [f"{name}.{output}" if output else name], **attributes)

    nodes = [
        node("Cast", "low", "pairs", to=TensorProto.FLOAT),
        node("Div", "pairs steps", "sixteenths"),
        node("Floor", "sixteenths", "second"),
        node("Mul", "second steps", "second_sixteenfold"),
        node("Sub", "pairs second_sixteenfold", "first"),
        node("Concat", "first second", "all_low", axis=0),
        node("Slice", "all_low start stop", "low_codes"),
        node("Cast", "high", "high_codes", to=TensorProto.FLOAT),
        node("Mul", "high_codes steps", "high_sixteenfold"),
        node("Add", "high_sixteenfold low_codes", "flat_codes"),
        node("Reshape", "flat_codes shape", "codes"),
        node("Sub", "codes middle", "centred"),
        node("Mul", "centred scale", ""),
    ]
    return {f"{name}.{part}": array for part, array in arrays.items()}, nodes


STORED: dict[str, Callable[[str, np.ndarray], tuple[dict[str, np.ndarray], list[Any]]]] = {
    "float16": _as_half,
    "12 bits": _as_12_bits,
}
