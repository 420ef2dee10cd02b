"""One network that finds text and reads it: the frame both systems of this project share."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from textspot.batch import Batch
from textspot.models.backbone import Backbone, Normalize
from textspot.models.choice import Choice
from textspot.models.crnn import RecurrentRecognizer
from textspot.models.detector import Detector, Terms
from textspot.models.fcr import FullyConvolutionalRecognizer
from textspot.models.neck import STRIDE, NeckConfig, TopDownNeck
from textspot.models.predicted_regions import NUM_PREDICTED, exchange_regions
from textspot.models.recognizer import COLUMNS_PER_STEP, PATCH_HEIGHT, Recognizer, RecognizerConfig
from textspot.models.refinement import PatchRefinement, Refinement
from textspot.models.rfcn_head import RfcnHead
from textspot.models.ribbon_head import RibbonConfig, RibbonHead
from textspot.models.slim_resnet import SlimResNet, SlimResNetConfig
from textspot.models.text_pooling import ProportionalTextPooling, RoiConfig, TextPooling
from textspot.models.torchvision_backbones import ResNet18, ResNet34, ResNet50, TorchvisionVgg
from textspot.models.vit import VisionTransformerTrunk

Stage = Callable[[str], AbstractContextManager[object]]  # what is done with a named stage: it is timed, or counted


class Features(NamedTuple):
    """What the detector looks at and what is read from, (B, D, h, w) each, one and the same map if they share it; and
    the finer maps that are read from too, as the taps of `model.roi` list them: the backbone's at stride 2, (B, D', 2
    h, 2 w), and the normalised image, (B, 3, 4 h, 4 w)."""

    detection: Tensor
    reading: Tensor
    finer: tuple[Tensor, ...]


class TrainingOutput(NamedTuple):
    """What the losses see: the detector's maps; of the regions that were asked for text_logits (R, T, C), and where the
    refinement moves them, (R, 2, 4, 2); and ribbons (B, K, 2, 4, 2), where they were read."""

    maps: Any
    text_logits: Tensor
    refined: Tensor
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
        normalize: Normalize,
        backbone: Backbone,
        neck: TopDownNeck,
        detector: Detector,
        refinement: Refinement,
        roi: TextPooling,
        recognizer: Recognizer,
        taps: Mapping[int, TextPooling],
        reading_trunk: nn.Sequential | None = None,
    ):
        super().__init__()
        self.normalize, self.backbone, self.neck = normalize, backbone, neck
        self.detector, self.refinement, self.roi, self.recognizer = detector, refinement, roi, recognizer
        self.tap_strides, self.tap_rois = tuple(taps), nn.ModuleList(taps.values())
        self.reading_trunk = reading_trunk

    @property
    def backbones(self) -> list[nn.Module]:
        """One, or two if the recogniser has its own."""
        return [self.backbone] if self.reading_trunk is None else [self.backbone, self.reading_trunk[0]]

    def compile_parts(self) -> None:
        """Have torch.compile make kernels of all that has weights, in place. What lies between stays eager: there the
        number of regions changes from image to image."""
        for part in (self.backbone, self.neck, self.detector, self.refinement, self.recognizer, self.reading_trunk):
            if part is not None:
                part.compile(dynamic=True)

    def forward(
        self,
        image: Tensor,
        ribbons: Tensor,
        region_slot: Tensor,
        predicted: Tensor | None = None,
        unrefined: Tensor | None = None,
    ) -> TrainingOutput:
        """Detect in images (B, 3, H, W) and read the given regions: those of ribbons (B, K, 2, 4, 2) in `region_slot`
        (R,). Where `predicted` (B, K) is set, a word is read where it was detected instead, if it was; where
        `unrefined` (B, K) is set, without a refinement."""
        features, maps = self.detect(image)
        if predicted is not None:
            ribbons = exchange_regions(ribbons, self.predict_regions(maps), predicted)
        moved = self.refinement(features.reading, ribbons)
        refined = moved.flatten(0, 1).index_select(0, region_slot)
        ribbons = moved.detach() if unrefined is None else torch.where(unrefined[..., None, None, None], ribbons, moved)
        ribbons = ribbons.detach()
        patches = [patch.index_select(0, region_slot) for patch in self.pool(features, ribbons)]
        regions = ribbons.flatten(0, 1).index_select(0, region_slot)
        text_logits = self.roi.blank_padding(self.recognizer(*patches), regions)
        return TrainingOutput(maps, text_logits, refined, ribbons)

    def loss_terms(self, output: TrainingOutput, batch: Batch) -> Terms:
        """The terms of detector and refinement by name, each a sum and its denominator."""
        return {
            **self.detector.loss_terms(output.maps, batch.targets),
            **self.refinement.loss_terms(output.refined, batch.outlines, batch.outline_weight),
        }

    @torch.no_grad()
    def predict_regions(self, maps: Any) -> Tensor:
        """The best ribbons (B, P, 2, 4, 2) of the detector's maps; no gradient flows through them."""
        return self.detector.peaks(maps, NUM_PREDICTED)[0]

    def spot(
        self,
        image: Tensor,
        threshold: float | Tensor,
        max_regions: int | Tensor,
        min_regions: int = 0,
        stage: Stage = nullcontext,
    ) -> Spots:
        """Find and read, in images as `detect` takes them: the one way to use the network, whatever runs it.

        K is the number of regions at or above the threshold in the image that has most, from `min_regions` to
        `max_regions`. Each stage of the way runs inside `stage(name)`.
        """
        with stage("backbone and neck"):
            features = self.encode(image)
        with stage("detector"):
            ribbons, scores = self.find(features, threshold, max_regions, min_regions)
        with stage("refinement"):
            ribbons = self.refinement(features.reading, ribbons)
        return Spots(ribbons, scores, self.read(features, ribbons, stage))

    def find(
        self, features: Features, threshold: float | Tensor, max_regions: int | Tensor, min_regions: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Ribbons (B, K, 2, 4, 2) in pixels and scores (B, K), best first; K as in `spot`. How many there are is the
        one thing that the host must know on the way."""
        maps = self.detector(features.detection)
        found = self.detector.count_peaks(maps, threshold)
        # `int` would ask an exporter for a number; `item` gives it a symbol, of which it knows what it is told.
        num_regions: Any = found.clamp(max=max_regions).clamp(min=min_regions).item()
        torch._check(num_regions >= min_regions)
        return self.detector.peaks(maps, num_regions)

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

    def read(self, features: Features, ribbons: Tensor, stage: Stage = nullcontext) -> Tensor:
        """text_logits (B, K, T, C) of ribbons (B, K, 2, 4, 2)."""
        with stage("RoI"):
            patches = self.pool(features, ribbons)
        with stage("recogniser"):
            return self.recognize(patches, ribbons)

    def recognize(self, patches: list[Tensor], ribbons: Tensor) -> Tensor:
        """text_logits (B, K, T, C) of patches, and of the ribbons (B, K, 2, 4, 2) they were pooled from."""
        logits = self.roi.blank_padding(self.recognizer(*patches), ribbons.flatten(0, 1))
        return logits.unflatten(0, ribbons.shape[:2])


# The kinds of each part by name: what `kind` may say in a recipe. An entry is all that a new one takes.
BACKBONES: dict[str, type[Backbone]] = {
    "slim_resnet": SlimResNet,
    "resnet18": ResNet18,
    "resnet34": ResNet34,
    "resnet50": ResNet50,
    "vgg16_bn": TorchvisionVgg,
    "vit": VisionTransformerTrunk,
}
ROIS: dict[str, type[TextPooling]] = {"stretched": TextPooling, "proportional": ProportionalTextPooling}
RECOGNIZERS: dict[str, type[Recognizer]] = {"fcr": FullyConvolutionalRecognizer, "crnn": RecurrentRecognizer}
DETECTORS: dict[str, type[Detector]] = {"ribbon": RibbonHead, "rfcn": RfcnHead}
REFINEMENTS: dict[str, type[Refinement]] = {"none": Refinement, "patch": PatchRefinement}
PARTS: dict[str, Mapping[str, Any]] = {
    "backbone": BACKBONES,
    "roi": ROIS,
    "recognizer": RECOGNIZERS,
    "detector": DETECTORS,
    "refinement": REFINEMENTS,
}


@dataclass(frozen=True)
class ModelConfig:
    """The spotting network, part by part. `{kind: K, K: {...}}` in a recipe chooses a part and sets it.

    Args:
        backbone: shared convolutions. `slim_resnet` is made for CPUs and int8; `resnet18`, `resnet34`, `resnet50` and
            `vgg16_bn` are torchvision's; `vit` is a small plain transformer.
        neck: part that merges their maps.
        roi: text pooling, which samples a patch of each region. `stretched`: every word fills the full width of the
            patch; `proportional`: the width follows the word's aspect ratio, the rest is padding (Sui et al. 2018).
        recognizer: part that reads a patch. `fcr`: convolutions only; `crnn`: bidirectional LSTMs with about as
            many parameters.
        detector: part that finds regions. `ribbon` finds oriented and curved words in one stage; `rfcn` finds
            horizontal boxes in two, as Sui et al. 2018 do.
        refinement: optional part that corrects the region before it is read. `patch`: a small network predicts the
            correction; `none`: the region stays as detected.
        shared: detector and recogniser share backbone and neck; if not, each has its own, like two networks.
    """

    backbone: Choice = field(default=Choice("slim_resnet", SlimResNetConfig()))
    neck: NeckConfig = field(default_factory=NeckConfig)
    roi: Choice = field(default=Choice("stretched", RoiConfig()))
    recognizer: Choice = field(default=Choice("fcr", RecognizerConfig()))
    detector: Choice = field(default=Choice("ribbon", RibbonConfig()))
    refinement: Choice = field(default=Choice("none"))
    shared: bool = True

    def __post_init__(self) -> None:
        for part, kinds in PARTS.items():
            chosen = getattr(self, part)
            if chosen.kind not in kinds:
                raise ValueError(f"model.{part}.kind is {chosen.kind!r}, expected one of {', '.join(kinds)}")
            wanted = kinds[chosen.kind].Config
            if type(chosen.settings) is not wanted:
                found = type(chosen.settings).__name__
                raise ValueError(f"model.{part}.kind is {chosen.kind}, which {wanted.__name__} sets, not {found}")
        roi, place = self.roi.settings, f"model.roi.{self.roi.kind}"
        if roi.height != PATCH_HEIGHT:
            raise ValueError(f"{place}.height is {roi.height}, the recogniser takes {PATCH_HEIGHT} rows")
        if roi.width < 1 or roi.width % COLUMNS_PER_STEP:
            raise ValueError(f"{place}.width is {roi.width}, expected a multiple of {COLUMNS_PER_STEP}")

    @property
    def loss_weights(self) -> dict[str, float]:
        """Default weights of the loss terms that the network itself has, by their names in the log."""
        return {**DETECTORS[self.detector.kind].loss_weights, **REFINEMENTS[self.refinement.kind].loss_weights}

    def count_time_steps(self, ribbon: np.ndarray) -> int:
        """How many time steps of the recogniser a ribbon (2, 4, 2) fills."""
        return -(-int(self.roi.settings.count_columns(torch.from_numpy(ribbon))) // COLUMNS_PER_STEP)


def build_network(
    config: ModelConfig,
    num_classes: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    pretrained: bool = False,
) -> SpottingNetwork:
    """Compose the network of the config.

    Only if `pretrained` are the ImageNet weights fetched that the config may ask for: not where others are loaded next.
    """
    channels, roi = config.neck.channels, config.roi.settings
    backbone, neck = _build_trunk(config, pretrained)
    finer_channels = {1: len(mean), 2: backbone.channels[0]}
    pooling = ROIS[config.roi.kind]
    return SpottingNetwork(
        Normalize(mean, std),
        backbone,
        neck,
        DETECTORS[config.detector.kind](config.detector.settings, channels),
        REFINEMENTS[config.refinement.kind](config.refinement.settings, roi, channels),
        pooling(roi, STRIDE),
        RECOGNIZERS[config.recognizer.kind](
            config.recognizer.settings, channels, num_classes, {tap: finer_channels[tap] for tap in roi.taps}
        ),
        {tap: pooling(roi, STRIDE, scale=STRIDE // tap) for tap in roi.taps},
        None if config.shared else nn.Sequential(*_build_trunk(config, pretrained)),
    )


def _build_trunk(config: ModelConfig, pretrained: bool) -> tuple[Backbone, TopDownNeck]:
    backbone = BACKBONES[config.backbone.kind](config.backbone.settings, pretrained)
    return backbone, TopDownNeck(backbone.channels[1:], config.neck)
