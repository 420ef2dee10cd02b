"""What the images of a spotter are to become.

Legend: B images, K words of an image at most, R words of a batch, T time, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textspot.batch import Targets, stack_targets
from textspot.compression.synthesis.batchnorm_statistics import watch_statistics
from textspot.compression.synthesis.layout import Layout, LayoutConfig, draw_layout
from textspot.compression.synthesis.soft_ctc import SoftTranscripts, soft_ctc
from textspot.losses import LEAST_DENOMINATOR
from textspot.models.spotting_network import SpottingNetwork
from textspot.quant.attention import expose_attention, watch_attention
from textspot.quant.synthesis.classifier import depth_weights
from textspot.quant.synthesis.image_space import ImageSpace
from textspot.quant.synthesis.priors import Mixtures, spread_of
from textspot.quant.synthesis.synthesis import Jitter, Synthesis, SynthesisConfig
from textspot.quant.synthesis.terms import align_attention, total_variation
from textspot.ranges import NonNegative, check_ranges

PLAN_SEED = 7919  # what is to be shown is drawn apart from the noise it is made of
HILL = (0.3, 0.5)  # deviations of a word's hill of attention, as shares of its width and height


@dataclass(frozen=True)
class SpotterObjectiveConfig:
    """Terms and their weights; 0 switches one off. The weights are ours, chosen by what `statistics` comes to in the
    end and by the look of the images.

    Args:
        layout: weight of the detector's own loss against the layout: score map and geometry.
        transcripts: weight of CTC against random transcripts, per character.
        statistics: weight of the distance to the statistics that BatchNorm has kept of real images.
        attention: weight of attention priors, in a backbone that has attention.
        variation: weight of the total variation.
        words: where words are, and how many.
        soft: the CTC targets are soft, as in SARDFQ; if not, the loss is CTC. Soft ones hold the features of the
            recogniser below what real words give: a real word is read with certainty.
        relevant: z of a character's class in its soft target softmax(z), uniform between these, as in SARDFQ.
        irrelevant_std: z of the other classes is normal with this deviation.
        background: background of attention, see `PriorConfig`.
    """

    layout: NonNegative = 1.0
    transcripts: NonNegative = 1.0
    statistics: NonNegative = 10.0
    attention: NonNegative = 1e4
    variation: NonNegative = 0.0002
    words: LayoutConfig = field(default_factory=LayoutConfig)
    soft: bool = False
    relevant: tuple[float, float] = (5.0, 10.0)
    irrelevant_std: float = 1.0
    background: float = 0.02

    def __post_init__(self) -> None:
        check_ranges(self, "objective.")


class SpotterObjective:
    """What images of a spotter are to become.

    Args:
        network: with a detector whose loss shows where words are, and BatchNorms that are not folded; it is copied.
        size: height and width of the images in pixels, divisible by 32.
        synthesis: the run's; its seed is that of what the images are to show, too.
        count_time_steps: how many time steps of the recogniser a ribbon fills: `ModelConfig.count_time_steps`.
        config: terms.
    """

    def __init__(
        self,
        network: SpottingNetwork,
        size: tuple[int, int],
        synthesis: SynthesisConfig,
        count_time_steps: Callable[[np.ndarray], int],
        config: SpotterObjectiveConfig,
    ):
        if network.detector.why_not_synthesized:
            raise ValueError(
                f"no images can be made from this network's detector: {network.detector.why_not_synthesized}"
            )
        self.network: Any = expose_attention(network).requires_grad_(False)
        self.space = ImageSpace(size, *_normalization(network), highest=255.0)
        self.synthesis, self.config = synthesis, config
        num_images, seed = synthesis.num_images, synthesis.seed
        heads = self._count_heads()
        names = ("layout", "transcripts", "statistics", "variation", *(["attention"] if heads else []))
        self.weights = {name: getattr(config, name) for name in names if getattr(config, name)}
        rng, chance = np.random.default_rng(seed + PLAN_SEED), torch.Generator().manual_seed(seed + PLAN_SEED)
        num_classes = network.recognizer.num_classes
        self.layouts = [draw_layout(size, num_classes, count_time_steps, config.words, rng) for _ in range(num_images)]
        self.targets = [self._draw_targets(layout) for layout in self.layouts]
        relevant = config.relevant if config.soft else None
        self.words = [
            SoftTranscripts.draw(layout.tokens, num_classes, relevant, config.irrelevant_std, chance)
            for layout in self.layouts
        ]
        self.priors = [self._draw_priors(count, chance) for count in heads]
        self.block_weights = depth_weights(len(self.priors), deep_half=True, by_depth=True)

    def _draw_targets(self, layout: Layout) -> Targets:
        """What the detector learns of a layout, as a batch of one image."""
        ignore = np.zeros(len(layout.tokens), dtype=bool)
        drawn = stack_targets([self.network.detector.labeler.draw(list(layout.ribbons), ignore, self.space.size)])
        return type(drawn)(*(part.to(self.device) for part in drawn))

    @torch.no_grad()
    def _count_heads(self) -> list[int]:
        """Of each block of a trunk that has attention."""
        with watch_attention(self.network) as seen:
            self.network.encode(torch.zeros(1, 3, *self.space.size, device=self.device))
        return [attention.twin.num_heads for attention in seen]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.normalize.mean.device

    def _draw_priors(self, num_heads: int, generator: torch.Generator) -> Mixtures:
        """Hills of attention at the words of each image; every head looks at some of them, at least one."""
        shape = (len(self.layouts), num_heads, max(len(layout.tokens) for layout in self.layouts))
        heights = torch.zeros(shape)
        centres, spread = torch.zeros(*shape, 2), torch.zeros(*shape, 2, 2)
        sides = torch.tensor([self.space.size[1], self.space.size[0]], dtype=torch.float32)
        for image, layout in enumerate(self.layouts):
            count = len(layout.tokens)
            points = torch.from_numpy(layout.ribbons)
            centres[image, :, :count] = points.mean(dim=(1, 2)) / sides
            along = (points[:, 0, 3] - points[:, 0, 0]).norm(dim=1) * HILL[0]
            across = (points[:, 1, 0] - points[:, 0, 0]).norm(dim=1) * HILL[1]
            in_pixels = spread_of(torch.stack([along, across], dim=1), torch.from_numpy(layout.angles).float())
            spread[image, :, :count] = in_pixels * sides
            looks = torch.rand(num_heads, count, generator=generator) < 0.5
            looks[range(num_heads), torch.randint(count, (num_heads,), generator=generator)] = True
            heights[image, :, :count] = looks * (0.5 + 0.5 * torch.rand(num_heads, count, generator=generator))
        return Mixtures(heights, centres, spread, self.config.background)

    def __call__(self, images: Tensor, numbers: range, jitter: Jitter) -> dict[str, Tensor]:
        """The terms that are on, as sums over the images; see `Objective`. The statistics are those of the images that
        pass together."""
        if jitter != Jitter():
            raise ValueError("a layout says where words are: set synthesis.roll to 0 in every round, and flip to false")
        terms: dict[str, Tensor] = {}
        if self.weights.keys() - {"variation"}:
            terms = self._network_terms(images, numbers)
        if "variation" in self.weights:
            terms["variation"] = total_variation(images).sum()
        return terms

    def _network_terms(self, images: Tensor, numbers: range) -> dict[str, Tensor]:
        ribbons, region_slot = self._regions(numbers)
        autocast = self.synthesis.autocast(self.device)
        with watch_statistics(self.network) as statistics, watch_attention(self.network) as seen, autocast:
            output = self.network(self.space.to_pixels(images), ribbons, region_slot)
        terms = {}
        if "layout" in self.weights:
            terms["layout"] = self._layout_term(output.maps, numbers)
        if "transcripts" in self.weights:
            terms["transcripts"] = self._transcript_term(output.text_logits, numbers)
        if "statistics" in self.weights:
            terms["statistics"] = len(images) * torch.stack(statistics).mean()
        if "attention" in self.weights:
            terms["attention"] = align_attention(
                seen, self.priors, self.block_weights, numbers, Jitter(), self.space.size
            )
        return terms

    def _regions(self, numbers: range) -> tuple[Tensor, Tensor]:
        """Ribbons (B, K, 2, 4, 2) and the slots (R,) that hold words."""
        layouts = [self.layouts[number] for number in numbers]
        num_slots = max(len(layout.tokens) for layout in layouts)
        ribbons = torch.zeros(len(layouts), num_slots, 2, 4, 2)
        slots = []
        for row, layout in enumerate(layouts):
            ribbons[row, : len(layout.tokens)] = torch.from_numpy(layout.ribbons)
            slots += [row * num_slots + slot for slot in range(len(layout.tokens))]
        return ribbons.to(self.device), torch.tensor(slots, device=self.device)

    def _layout_term(self, maps: Any, numbers: range) -> Tensor:
        """The detector's terms, each image by itself."""
        values = []
        for row, number in enumerate(numbers):
            image_maps = type(maps)(*(part[row : row + 1] for part in maps))
            for value, denominator in self.network.detector.loss_terms(image_maps, self.targets[number]).values():
                values.append(value / denominator.clamp(min=LEAST_DENOMINATOR))
        return torch.stack(values).sum()

    def _transcript_term(self, text_logits: Tensor, numbers: range) -> Tensor:
        """CTC per character, the mean over the words of each image."""
        values, start = [], 0
        for number in numbers:
            words = self.words[number]
            logits = text_logits[start : start + len(words.lengths)]
            start += len(words.lengths)
            values.append((soft_ctc(logits, words) / words.lengths.to(logits.device)).mean())
        return torch.stack(values).sum()


def _normalization(network: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(network.normalize.mean.flatten().tolist()), tuple(network.normalize.std.flatten().tolist())


# Layouts stay where they are; half of SARDFQ's steps, as an image of a spotter has many times a classifier's pixels.
SPOTTER_SYNTHESIS = SynthesisConfig(steps=250, warmup_steps=50, roll=(0.0, 0.0), flip=False, precision="bf16")


def plan_spotter_synthesis(
    network: SpottingNetwork,
    size: tuple[int, int],
    count_time_steps: Callable[[np.ndarray], int],
    objective: SpotterObjectiveConfig | None = None,
    config: SynthesisConfig = SPOTTER_SYNTHESIS,
) -> Synthesis:
    """A run that makes images of `size` (height, width) for a spotter; `run()` makes them, normalised, and
    `space.to_pixels` of the run gives what the network takes."""
    if config.flip or any(config.roll):
        raise ValueError("a layout says where words are: set synthesis.roll to 0 in every round, and flip to false")
    built = SpotterObjective(network, size, config, count_time_steps, objective or SpotterObjectiveConfig())
    return Synthesis(built, built.space, config, str(built.device))
