"""A network as one file that other programs run: ONNX, or a program of torch.export.

Both hold the whole way from images to ribbons, scores and text logits. How many regions are read is counted inside, so
that nothing is read in vain and nobody has to guess. Legend: B images, K regions, T time, C classes.
"""

import io
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim
from torch.fx import GraphModule

from textspot import file_checksum
from textspot.checkpoint import write_atomically
from textspot.model_card import ModelCard
from textspot.models.spotting_network import SpottingNetwork
from textspot.preprocess import MULTIPLE
from textspot.quant.folding import fold_batchnorm
from textspot.quant.layers import quantized_layers
from textspot.runtime.protocol import INPUTS, OUTPUTS
from textspot.runtime.stored_weights import Storage, store

OPSET = 20  # the first with GridSample as the exporter writes it
MOST_IMAGES, MOST_SIDE = 1024, 16384  # bounds that the exporter wants of a batch and of a side in pixels


class SpottingGraph(nn.Module):
    """The network as an exporter wants it: tensors in, tensors out, and no number known to the host."""

    def __init__(self, network: SpottingNetwork):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, threshold: Tensor, max_regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image (B, 3, H, W) uint8 RGB, threshold () float32 and max_regions () int64, at least 1, to ribbons (B, K, 2,
        4, 2) in pixels, scores (B, K) and text_logits (B, K, T, C). K is the number of peaks at or above the threshold
        in the image that has most, from 1 to max_regions."""
        spots = self.network.spot(image, threshold, max_regions, min_regions=1)
        return spots.ribbons, spots.scores, spots.text_logits  # torch.export saves no named tuple


def trace(network: SpottingNetwork) -> torch.export.ExportedProgram:
    """The network as a program whose batch, image size and number of regions are dynamic.

    A detector that cannot be exported is a ValueError.
    """
    if network.detector.why_not_exported:
        raise ValueError(
            f"this network runs in PyTorch only: {network.detector.why_not_exported}. Export it as .safetensors, or "
            "train with model.detector.kind: ribbon"
        )
    example = (torch.zeros(2, 3, 96, 224, dtype=torch.uint8), torch.tensor(0.5), torch.tensor(50))
    rows, columns = Dim("rows", min=2, max=MOST_SIDE // MULTIPLE), Dim("columns", min=2, max=MOST_SIDE // MULTIPLE)
    shape = {0: Dim("images", max=MOST_IMAGES), 2: MULTIPLE * rows, 3: MULTIPLE * columns}
    graph = SpottingGraph(fold_batchnorm(network).cpu()).eval().requires_grad_(False)
    program = torch.export.export(graph, example, dynamic_shapes=(shape, {}, {}))
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, GraphModule) else ():
            node.meta.pop("stack_trace", None)  # it names the folders of this machine
    return program


def export_program(network: SpottingNetwork, card: ModelCard, path: Path) -> None:
    """Write what `torch.export.load` reads, a `.pt2`; the card is its extra file `metadata.json`."""
    archive = io.BytesIO()  # given a path, torch insists on its suffix
    metadata = {key: value for key, value in card.to_metadata().items() if key != "checksum"}  # its zip has its own
    torch.export.save(trace(network), archive, extra_files={"metadata.json": json.dumps(metadata)})
    write_atomically(path, lambda temporary: temporary.write_bytes(archive.getvalue()))


def export_onnx(network: SpottingNetwork, card: ModelCard, path: Path, storage: Storage = "float32") -> None:
    """Write one ONNX file with the weights inside, those of quantised layers as integers, and the card as its
    metadata. `storage` is that of the large float ones: the graph makes them float32 again when it is loaded."""
    program = torch.onnx.export(
        trace(network), dynamo=True, opset_version=OPSET, input_names=INPUTS, output_names=OUTPUTS, verbose=False
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    program.model.metadata_props.update(card.to_metadata())
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where in the source it comes from, which is half a megabyte

    def write(temporary: Path) -> None:
        program.save(temporary, external_data=False)
        if quantized_layers(network):
            store_integers(temporary)
        store(temporary, storage)
        file_checksum.seal(temporary)

    write_atomically(path, write)


def store_integers(file: Path) -> None:
    """Replace the float weights of an ONNX file that are quantised whenever it runs by their codes, in place."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    options.log_severity_level = 3  # it warns of operators that only some machines have: the basic level has none
    onnxruntime.InferenceSession(file.read_bytes(), options, ["CPUExecutionProvider"])
