"""One network that finds text and reads it: the frame both systems of this project share."""

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from textspot.models.backbone import BACKBONES, BackboneConfig, Normalize
from textspot.models.fcr import COLUMNS_PER_STEP, PATCH_HEIGHT, FullyConvolutionalRecognizer, RecognizerConfig
from textspot.models.neck import NeckConfig, TopDownNeck
from textspot.models.ribbon_head import DetectionMaps, RibbonHead
from textspot.models.text_pooling import RoiConfig, TextPooling


class TrainingOutput(NamedTuple):
    """What the losses see: the detection maps, and text_logits (R, T, C) of the regions that were asked for."""

    maps: DetectionMaps
    text_logits: Tensor


class Spots(NamedTuple):
    """What was found: ribbons (B, K, 2, 4, 2) in pixels, scores (B, K) in [0, 1], text_logits (B, K, T, C)."""

    ribbons: Tensor
    scores: Tensor
    text_logits: Tensor


class SpottingNetwork(nn.Module):
    """Shared convolutions feed a detection head and, through the region pooling, a recogniser."""

    def __init__(
        self,
        normalize: nn.Module,
        backbone: nn.Module,
        neck: nn.Module,
        detector: RibbonHead,
        roi: TextPooling,
        recognizer: FullyConvolutionalRecognizer,
    ):
        super().__init__()
        self.normalize, self.backbone, self.neck = normalize, backbone, neck
        self.detector, self.roi, self.recognizer = detector, roi, recognizer

    def forward(self, image: Tensor, ribbons: Tensor, region_slot: Tensor) -> TrainingOutput:
        """Detect in images (B, 3, H, W) and read the given regions: those of ribbons (B, K, 2, 4, 2) in `region_slot`
        (R,)."""
        features, maps = self.detect(image)
        patches = self.roi(features, ribbons).index_select(0, region_slot)
        return TrainingOutput(maps, self.recognizer(patches))

    def spot(self, image: Tensor, slots: Tensor) -> Spots:
        """Detect and read the K = len(slots) best regions of each image in one pass, without a host round trip."""
        features, maps = self.detect(image)
        ribbons, scores = self.detector.peaks(maps, slots)
        return Spots(ribbons, scores, self.read(features, ribbons))

    def detect(self, image: Tensor) -> tuple[Tensor, DetectionMaps]:
        """Images (B, 3, H, W) RGB in 0..255, H and W divisible by 32, to the shared features and the detection maps."""
        features = self.encode(image)
        return features, self.detector(features)

    def encode(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) RGB in 0..255 to the features (B, D, h, w) that both heads share."""
        return self.neck(self.backbone(self.normalize(image)))

    def read(self, features: Tensor, ribbons: Tensor) -> Tensor:
        """text_logits (B, K, T, C) of ribbons (B, K, 2, 4, 2)."""
        logits = self.recognizer(self.roi(features, ribbons))
        return logits.unflatten(0, ribbons.shape[:2])


@dataclass(frozen=True)
class ModelConfig:
    """The spotting network, part by part.

    Args:
        backbone: shared convolutions.
        neck: how their maps are merged.
        roi: how a region becomes a patch.
        recognizer: how a patch becomes text.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    neck: NeckConfig = field(default_factory=NeckConfig)
    roi: RoiConfig = field(default_factory=RoiConfig)
    recognizer: RecognizerConfig = field(default_factory=RecognizerConfig)

    def __post_init__(self) -> None:
        if self.roi.height != PATCH_HEIGHT:
            raise ValueError(f"model.roi.height is {self.roi.height}, the recogniser takes {PATCH_HEIGHT} rows")
        if self.roi.width < 1 or self.roi.width % COLUMNS_PER_STEP:
            raise ValueError(f"model.roi.width is {self.roi.width}, expected a multiple of {COLUMNS_PER_STEP}")

    @property
    def time_steps(self) -> int:
        """T, the length of the recogniser's time axis."""
        return self.roi.width // COLUMNS_PER_STEP


def build_network(
    config: ModelConfig,
    num_classes: int,
    stride: int,
    offset_unit: float,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> SpottingNetwork:
    """Compose the network of the config; `stride` and `offset_unit` are those the detection targets are drawn with."""
    backbone = BACKBONES[config.backbone.kind](config.backbone)
    neck = TopDownNeck(backbone.channels, config.neck.channels)
    return SpottingNetwork(
        Normalize(mean, std),
        backbone,
        neck,
        RibbonHead(neck.channels, stride, offset_unit),
        TextPooling(config.roi, stride),
        FullyConvolutionalRecognizer(config.recognizer, neck.channels, num_classes),
    )
