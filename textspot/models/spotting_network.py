"""One network that finds text and reads it: the frame both systems of this project share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from textspot.models.backbone import BACKBONES, Backbone, BackboneConfig, Normalize
from textspot.models.crnn import RecurrentRecognizer
from textspot.models.detector import Detector, DetectorConfig
from textspot.models.fcr import FullyConvolutionalRecognizer
from textspot.models.neck import NeckConfig, TopDownNeck
from textspot.models.predicted_regions import NUM_PREDICTED, exchange_regions
from textspot.models.recognizer import COLUMNS_PER_STEP, PATCH_HEIGHT, ReaderKind, Recognizer, RecognizerConfig
from textspot.models.rfcn_head import RfcnHead
from textspot.models.ribbon_head import RibbonHead
from textspot.models.text_pooling import POOLINGS, RoiConfig, TextPooling


class Features(NamedTuple):
    """What the detector looks at and what is read from, (B, D, h, w) each, one and the same map if they share it; and
    the finer maps that are read from too, as `model.roi.taps` lists them: the backbone's at stride 2, (B, D', 2 h,
    2 w), and the normalised image, (B, 3, 4 h, 4 w)."""

    detection: Tensor
    reading: Tensor
    finer: tuple[Tensor, ...]


class TrainingOutput(NamedTuple):
    """What the losses see: the detector's maps, and text_logits (R, T, C) of the regions that were asked for; and
    ribbons (B, K, 2, 4, 2), where those were read."""

    maps: Any
    text_logits: Tensor
    ribbons: Tensor


class Spots(NamedTuple):
    """What was found: ribbons (B, K, 2, 4, 2) in pixels, scores (B, K) in [0, 1], text_logits (B, K, T, C)."""

    ribbons: Tensor
    scores: Tensor
    text_logits: Tensor


class SpottingNetwork(nn.Module):
    """Shared convolutions feed a detection head and, through the region pooling, a recogniser.

    `taps` cut the patches of finer maps, by the stride of these. With a `reading_trunk` of its own the recogniser
    shares nothing with the detector: the two systems that Sui et al. 2018 compare theirs with.
    """

    def __init__(
        self,
        normalize: nn.Module,
        backbone: nn.Module,
        neck: nn.Module,
        detector: Detector,
        roi: TextPooling,
        recognizer: Recognizer,
        taps: Mapping[int, TextPooling],
        reading_trunk: nn.Sequential | None = None,
    ):
        super().__init__()
        self.normalize, self.backbone, self.neck = normalize, backbone, neck
        self.detector, self.roi, self.recognizer = detector, roi, recognizer
        self.tap_strides, self.tap_rois = tuple(taps), nn.ModuleList(taps.values())
        self.reading_trunk = reading_trunk

    @property
    def backbones(self) -> list[nn.Module]:
        """One, or two if the recogniser has its own."""
        return [self.backbone] if self.reading_trunk is None else [self.backbone, self.reading_trunk[0]]

    def compile_parts(self) -> None:
        """Have torch.compile make kernels of all that has weights, in place. What lies between stays eager: there the
        number of regions changes from image to image."""
        for part in (self.backbone, self.neck, self.detector, self.recognizer, self.reading_trunk):
            if part is not None:
                part.compile(dynamic=True)

    def forward(
        self, image: Tensor, ribbons: Tensor, region_slot: Tensor, predicted: Tensor | None = None
    ) -> TrainingOutput:
        """Detect in images (B, 3, H, W) and read the given regions: those of ribbons (B, K, 2, 4, 2) in `region_slot`
        (R,). Where `predicted` (B, K) is set, a word is read where it was detected instead, if it was."""
        features, maps = self.detect(image)
        if predicted is not None:
            ribbons = exchange_regions(ribbons, self.predict_regions(maps), predicted)
        patches = [patch.index_select(0, region_slot) for patch in self.pool(features, ribbons)]
        regions = ribbons.flatten(0, 1).index_select(0, region_slot)
        return TrainingOutput(maps, self.roi.blank_padding(self.recognizer(*patches), regions), ribbons)

    @torch.no_grad()
    def predict_regions(self, maps: Any) -> Tensor:
        """The best ribbons (B, P, 2, 4, 2) of the detector's maps; no gradient flows through them."""
        return self.detector.peaks(maps, maps[0].new_empty(NUM_PREDICTED))[0]

    def spot(self, image: Tensor, slots: Tensor) -> Spots:
        """Detect and read the K = len(slots) best regions of each image in one pass, without a host round trip."""
        features, maps = self.detect(image)
        ribbons, scores = self.detector.peaks(maps, slots)
        return Spots(ribbons, scores, self.read(features, ribbons))

    def detect(self, image: Tensor) -> tuple[Features, Any]:
        """Images (B, 3, H, W) RGB in 0..255, H and W divisible by 32, to the features of both heads, and the detector's
        maps."""
        features = self.encode(image)
        return features, self.detector(features.detection)

    def encode(self, image: Tensor) -> Features:
        """Images (B, 3, H, W) RGB in 0..255 to the features of both heads."""
        image = self.normalize(image)
        fine, *maps = self.backbone(image)
        detection = reading = self.neck(maps)
        if self.reading_trunk is not None:
            backbone, neck = self.reading_trunk
            fine, *maps = backbone(image)
            reading = neck(maps)
        finer = {1: image, 2: fine}
        return Features(detection, reading, tuple(finer[stride] for stride in self.tap_strides))

    def pool(self, features: Features, ribbons: Tensor) -> list[Tensor]:
        """The patches (B * K, ...) of ribbons (B, K, 2, 4, 2) that the recogniser takes: those of the shared map and
        those of every finer one."""
        finer = [roi(map, ribbons) for roi, map in zip(self.tap_rois, features.finer, strict=True)]
        return [self.roi(features.reading, ribbons), *finer]

    def read(self, features: Features, ribbons: Tensor) -> Tensor:
        """text_logits (B, K, T, C) of ribbons (B, K, 2, 4, 2)."""
        logits = self.roi.blank_padding(self.recognizer(*self.pool(features, ribbons)), ribbons.flatten(0, 1))
        return logits.unflatten(0, ribbons.shape[:2])


@dataclass(frozen=True)
class ModelConfig:
    """The spotting network, part by part.

    Args:
        backbone: shared convolutions.
        neck: part that merges their maps.
        roi: part that makes a patch of a region.
        recognizer: part that reads a patch.
        detector: part that finds regions.
        shared: detector and recogniser share backbone and neck; if not, each has its own, as two networks trained side
            by side.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    neck: NeckConfig = field(default_factory=NeckConfig)
    roi: RoiConfig = field(default_factory=RoiConfig)
    recognizer: RecognizerConfig = field(default_factory=RecognizerConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    shared: bool = True

    def __post_init__(self) -> None:
        if self.roi.height != PATCH_HEIGHT:
            raise ValueError(f"model.roi.height is {self.roi.height}, the recogniser takes {PATCH_HEIGHT} rows")
        if self.roi.width < 1 or self.roi.width % COLUMNS_PER_STEP:
            raise ValueError(f"model.roi.width is {self.roi.width}, expected a multiple of {COLUMNS_PER_STEP}")

    def count_time_steps(self, ribbon: np.ndarray) -> int:
        """How many steps of the recogniser's time axis a ribbon (2, 4, 2) fills."""
        return -(-int(self.roi.count_columns(torch.from_numpy(ribbon))) // COLUMNS_PER_STEP)


DETECTORS: dict[str, Callable[[DetectorConfig, int, int, float], Detector]] = {
    "ribbon": lambda _, channels, stride, offset_unit: RibbonHead(channels, stride, offset_unit),
    "rfcn": lambda config, channels, stride, _: RfcnHead(config, channels, stride),
}
RECOGNIZERS: dict[ReaderKind, type[Recognizer]] = {
    "fcr": FullyConvolutionalRecognizer,
    "crnn": RecurrentRecognizer,
}


def build_network(
    config: ModelConfig,
    num_classes: int,
    stride: int,
    offset_unit: float,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    pretrained: bool = False,
) -> SpottingNetwork:
    """Compose the network of the config; `stride` and `offset_unit` are those the detection targets are drawn with.

    Only if `pretrained` are the ImageNet weights fetched that the config may ask for: not where others are loaded next.
    """
    channels, pooling = config.neck.channels, POOLINGS[config.roi.kind]
    backbone, neck = _build_trunk(config, pretrained)
    finer_channels = {1: len(mean), 2: backbone.channels[0]}
    return SpottingNetwork(
        Normalize(mean, std),
        backbone,
        neck,
        DETECTORS[config.detector.kind](config.detector, channels, stride, offset_unit),
        pooling(config.roi, stride),
        RECOGNIZERS[config.recognizer.kind](
            config.recognizer, channels, num_classes, {tap: finer_channels[tap] for tap in config.roi.taps}
        ),
        {tap: pooling(config.roi, stride, scale=stride // tap) for tap in config.roi.taps},
        None if config.shared else nn.Sequential(*_build_trunk(config, pretrained)),
    )


def _build_trunk(config: ModelConfig, pretrained: bool) -> tuple[Backbone, nn.Module]:
    wanted = replace(config.backbone, pretrained=pretrained and config.backbone.pretrained)
    backbone = BACKBONES[wanted.kind](wanted)
    return backbone, TopDownNeck(backbone.channels[1:], config.neck.channels)
