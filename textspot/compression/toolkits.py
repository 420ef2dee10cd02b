"""The quantisers that ship with the engines, on the same float graph and the same images: what ours stands beside.

Both quantise to 8 bits, with a scale per channel of the weights and ranges from the images. Told which layers stay
float, they take all other convolutions and the sums and resizes between them.
"""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from textspot import file_checksum
from textspot.model_card import ModelCard
from textspot.runtime.protocol import graph_inputs

BETWEEN = ("Add", "Resize")  # of maps; coordinates are added too, and 8 bits are too few for them
Graph = Any  # onnx.ModelProto


def run_toolkit(
    name: str, float_file: Path, card: ModelCard, keep_float: Sequence[str], images: Sequence[np.ndarray], out: Path
) -> None:
    """Quantise an exported float graph with the toolkit of that name, one of `TOOLKITS`, on images (H, W, 3) uint8."""
    inputs = [graph_inputs(image[None], card.threshold, card.postprocess.max_regions) for image in images]
    TOOLKITS[name](float_file, keep_float, inputs, out)
    file_checksum.seal(out)  # it has the metadata of the float file, and so its checksum


def check_toolkits(names: Sequence[str]) -> None:
    """What is not installed is a ValueError."""
    for name in names:
        package = {"quantize_static": "onnxruntime", "nncf": "nncf"}[name]
        try:
            import_module(package)
        except ImportError as error:
            raise ValueError(f"{name} is not installed: pip install {package}") from error


def _quantize_static(
    float_file: Path, keep_float: Sequence[str], inputs: list[dict[str, np.ndarray]], out: Path
) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Inputs(CalibrationDataReader):
        def __init__(self) -> None:
            self.remaining: Iterator[dict[str, np.ndarray]] = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.remaining, None)

    quantize_static(
        float_file,
        out,
        Inputs(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=_quantized_nodes(onnx.load(float_file), keep_float),
    )


def _nncf(float_file: Path, keep_float: Sequence[str], inputs: list[dict[str, np.ndarray]], out: Path) -> None:
    import nncf
    import onnx

    graph = onnx.load(float_file)
    wanted = set(_quantized_nodes(graph, keep_float))
    left = nncf.IgnoredScope(names=[node.name for node in graph.graph.node if node.name not in wanted], validate=False)
    quantized = nncf.quantize(
        graph,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
        ignored_scope=left,
    )
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(graph.metadata_props)
    onnx.save(quantized, out)


def _quantized_nodes(graph: Graph, keep_float: Sequence[str]) -> list[str]:
    """The names of the convolutions that are to be quantised, and of the sums and resizes of their outputs."""
    producers = {output: node for node in graph.graph.node for output in node.output}
    chosen: dict[str, Any] = {}
    found: set[str] = set()  # of the patterns

    def holds_map(tensor: str) -> bool:
        node = producers.get(tensor)
        if node is not None and node.op_type == "Relu":
            return holds_map(node.input[0])
        return node is not None and node.name in chosen

    for node in graph.graph.node:
        if node.op_type == "Conv":
            layer = node.input[1].removeprefix("network.").removesuffix(".weight")
            kept = [pattern for pattern in keep_float if fnmatchcase(layer, pattern)]
            found.update(kept)
            if kept:
                continue
        elif node.op_type not in BETWEEN or not any(map(holds_map, node.input)):
            continue
        chosen[node.name] = node
    if set(keep_float) - found:
        raise ValueError(f"no convolution of the graph is called {' or '.join(sorted(set(keep_float) - found))}")
    return list(chosen)


TOOLKITS: dict[str, Callable[[Path, Sequence[str], list[dict[str, np.ndarray]], Path], None]] = {
    "quantize_static": _quantize_static,
    "nncf": _nncf,
}
