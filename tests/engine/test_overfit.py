"""The most telling test there is: two drawn images are learned until they are detected and read exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import CHARACTERS, drawing

from textspot.data.dataset import DataConfig, SourceConfig
from textspot.data.lmdb_records import Reader
from textspot.engine.train import TrainingResult, train
from textspot.inference import load
from textspot.models.backbone import BackboneConfig
from textspot.models.detector import DetectorConfig
from textspot.models.fcr import RecognizerConfig
from textspot.models.neck import NeckConfig
from textspot.models.spotting_network import ModelConfig, SpottingNetwork
from textspot.models.text_pooling import RoiConfig
from textspot.recipe import Recipe, TrainConfig
from textspot.text.charset import TextConfig

BACKBONE = BackboneConfig(widths=(16, 32, 48, 64), blocks=(1, 1, 1, 1))
RECOGNIZER = RecognizerConfig(widths=(32, 48, 64, 96), context_layers=1)


def overfit(folder: Path, model: ModelConfig, **drawn: float) -> tuple[TrainingResult, Path]:
    """A run on two images, by the very code users call, and the two images."""
    images = SourceConfig(str(folder / "images"), draw=drawing(2, seed=5, **drawn))
    recipe = Recipe(
        run=str(folder / "run"),
        text=TextConfig(CHARACTERS),
        model=model,
        data=DataConfig(train=(images,), validation=replace(images, draw=None), image_size=(128, 160), num_workers=0),
        train=TrainConfig(
            steps=200, batch_size=2, learning_rate=4e-3, warmup_steps=20, evaluate_every=200, ema_decay=0.9
        ),
    )
    return train(recipe), folder / "images"


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Path]:
    """The default system."""
    model = ModelConfig(BACKBONE, NeckConfig(32), RoiConfig(width=32), RECOGNIZER)
    return overfit(tmp_path_factory.mktemp("overfit"), model)


def assert_learned(result: TrainingResult, images: Path) -> None:
    spotter, reader = load(result.weights), Reader(images)
    for index in range(2):
        sample = reader.sample(index)
        found = sorted(instance.text for instance in spotter(sample.image))
        assert found == sorted(sample.transcripts)
    assert result.figures["icdar2015/end_to_end/hmean"] == 1.0
    assert result.figures["icdar2015/detection_iou/hmean"] == 1.0


def test_two_images_are_detected_and_read_exactly(overfitted: tuple[TrainingResult, Path]) -> None:
    assert_learned(*overfitted)


@pytest.mark.parametrize("shared", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_so_they_are_by_the_system_of_the_paper(tmp_path: Path, shared: bool) -> None:
    """R-FCN and text pooling for horizontal boxes, joint and separate; the trunk is a slim one."""
    roi = RoiConfig(width=64, kind="proportional", min_width=16)
    detector = DetectorConfig("rfcn", anchor_sizes=(16.0, 32.0), max_proposals=100)
    model = ModelConfig(BACKBONE, NeckConfig(32), roi, RECOGNIZER, detector, shared)
    assert_learned(*overfit(tmp_path, model, max_rotation=0.0, max_tilt=0.0))


class _Spot(torch.nn.Module):
    """The whole forward as an exporter wants it: tensors in, a tuple of tensors out."""

    def __init__(self, network: SpottingNetwork):
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor, slots: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.network.spot(image, slots))


@pytest.mark.slow
def test_one_onnx_graph_finds_and_reads_as_pytorch_does(
    overfitted: tuple[TrainingResult, Path], tmp_path: Path
) -> None:
    import onnxruntime

    result, images = overfitted
    network = load(result.weights).network
    rows, columns = torch.export.Dim("rows", min=2, max=128), torch.export.Dim("columns", min=2, max=128)
    program = torch.onnx.export(
        _Spot(network).eval(),
        (torch.zeros(2, 3, 96, 224, dtype=torch.uint8), torch.zeros(5)),
        dynamo=True,
        opset_version=20,
        input_names=["image", "slots"],
        output_names=["ribbons", "scores", "text_logits"],
        dynamic_shapes=(
            {0: torch.export.Dim("images", max=64), 2: 32 * rows, 3: 32 * columns},
            {0: torch.export.Dim("regions", max=1000)},
        ),
    )
    program.save(str(tmp_path / "spotter.onnx"))
    session = onnxruntime.InferenceSession(str(tmp_path / "spotter.onnx"))
    image = torch.from_numpy(Reader(images).sample(0).image).permute(2, 0, 1)[None]
    wider = torch.nn.functional.pad(image, (0, 96, 0, 32), value=128)
    for picture in (image, wider):
        for num_regions in (0, 1, 16):
            with torch.inference_mode():
                expected = network.spot(picture, torch.zeros(num_regions))
            slots = np.zeros(num_regions, dtype=np.float32)
            got = session.run(None, {"image": picture.numpy(), "slots": slots})
            certain = expected.scores[0].numpy() > 0  # slots beyond the last peak hold any cell
            assert num_regions == 0 or certain.any()
            for name, theirs, ours in zip(expected._fields, got, expected, strict=True):
                assert theirs.shape == ours.shape, name
                np.testing.assert_allclose(theirs[0, certain], ours[0, certain].numpy(), atol=1e-3, err_msg=name)
