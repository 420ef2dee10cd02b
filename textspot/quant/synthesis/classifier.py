"""Data-free images for a vision transformer that classifies: SARDFQ, PSAQ-ViT, and everything between them.

Legend: B images, C classes, H W pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, product

import torch
from torch import Tensor, nn

from textspot.quant.attention import SeenAttention, attention_blocks, expose_attention, watch_attention
from textspot.quant.synthesis.image_space import ImageSpace
from textspot.quant.synthesis.priors import Mixtures, PriorConfig
from textspot.quant.synthesis.semantics import Semantics, SemanticsConfig, crop
from textspot.quant.synthesis.synthesis import Jitter, Synthesis, SynthesisConfig, generator_of
from textspot.quant.synthesis.terms import align_attention, patch_entropy, soft_cross_entropy, total_variation
from textspot.ranges import NonNegative, check_ranges

PUBLISHED_SIDE = 224  # pixels of the images that PSAQ-ViT's code gives a total variation


@dataclass(frozen=True)
class ObjectiveConfig:
    """Terms and their weights; 0 switches one off.

    L = attention * L_APA + labels * L_SL + variation * |L_TV - target| - entropy * L_PSE

    Args:
        attention: weight of attention priors alignment, to be searched for each network: SARDFQ does so between 1 and
            1e5. Too large, and images show nothing else.
        labels: weight of the cross entropy with the labels.
        variation: weight of the total variation's distance to its target (SARDFQ and PSAQ-ViT).
        entropy: weight of the patch similarity entropy (PSAQ-ViT has 1, SARDFQ 0).
        priors: what attention is to look like.
        semantics: what is to be seen.
        deep_half: only the deeper half of the blocks have priors (SARDFQ).
        depth_weights: block l of L counts l / L (SARDFQ).
        variation_target: between these, one for a run, in images of 224 x 224 pixels; larger images have more of it in
            proportion to their side. PSAQ-ViT's code; SARDFQ does not say. (0, 0) makes images as smooth as can be.
        bandwidth: bandwidth of the kernel estimate of the entropy, in units of the cosine (PSAQ-ViT's code).
        num_points: at which the density is estimated (PSAQ-ViT's code).
    """

    attention: NonNegative = 100.0
    labels: NonNegative = 1.0
    variation: NonNegative = 0.05
    entropy: NonNegative = 0.0
    priors: PriorConfig = field(default_factory=PriorConfig)
    semantics: SemanticsConfig = field(default_factory=SemanticsConfig)
    deep_half: bool = True
    depth_weights: bool = True
    variation_target: tuple[float, float] = (2500.0, 3000.0)
    bandwidth: float = 0.01
    num_points: int = 10

    def __post_init__(self) -> None:
        check_ranges(self, "objective.")
        if self.bandwidth <= 0 or self.num_points < 2:
            raise ValueError("objective: expected a bandwidth above 0 and num_points of at least 2")

    def switch(self, attention: bool, patches: bool, soft: bool) -> "ObjectiveConfig":
        """With some of SARDFQ's three parts only, as in its ablation: attention priors, patches, soft labels."""
        semantics = replace(self.semantics, max_patches=self.semantics.max_patches if patches else 0, soft=soft)
        return replace(self, attention=self.attention if attention else 0.0, semantics=semantics)


def _ablations() -> dict[str, ObjectiveConfig]:
    names = ("attention", "patches", "soft")
    return {
        "+".join(compress(names, chosen)) or "labels": ObjectiveConfig().switch(*chosen)
        for chosen in product((False, True), repeat=len(names))
    }


OBJECTIVES: dict[str, ObjectiveConfig] = {
    "noise": ObjectiveConfig(attention=0, labels=0, variation=0),
    "psaq": replace(ObjectiveConfig().switch(False, False, False), entropy=1.0),
    **_ablations(),  # `labels` has none of SARDFQ's parts: hard labels and total variation
    "sardfq": ObjectiveConfig(),
}


def depth_weights(num_blocks: int, deep_half: bool, by_depth: bool) -> list[float]:
    """What block l = 1..L counts: l / L, or 1; 0 in the shallower half."""
    return [
        0.0 if deep_half and 2 * block <= num_blocks else block / num_blocks if by_depth else 1.0
        for block in range(1, num_blocks + 1)
    ]


class ClassifierObjective:
    """What images of a vision transformer are to become.

    Args:
        network: any that `expose_attention` knows, from images (B, 3, H, W) to logits (B, C); it is copied.
        space: its images.
        synthesis: the run's; its seed is that of what the images are to show, too.
        config: terms.
    """

    def __init__(self, network: nn.Module, space: ImageSpace, synthesis: SynthesisConfig, config: ObjectiveConfig):
        self.network = expose_attention(network).requires_grad_(False)
        self.space, self.synthesis, self.config = space, synthesis, config
        chosen = {
            "attention": config.attention,
            "labels": config.labels,
            "variation": config.variation,
            "entropy": config.entropy,
        }
        self.weights = {name: weight for name, weight in chosen.items() if weight}
        heads, num_classes = self._look()
        count, seed = synthesis.num_images, synthesis.seed
        self.semantics = Semantics.draw(count, num_classes, space.size, config.semantics, seed)
        chance = generator_of(seed, "priors")
        self.priors = [Mixtures.draw(count, num_heads, config.priors, chance) for num_heads in heads]
        self.variation_target = self._draw_variation_target()
        num_blocks = len(attention_blocks(self.network))
        self.block_weights = depth_weights(num_blocks, config.deep_half, config.depth_weights)

    @torch.no_grad()
    def _look(self) -> tuple[list[int], int]:
        """Heads of each block, and C."""
        device = next(self.network.parameters()).device
        with watch_attention(self.network) as seen:
            logits = self.network(torch.zeros(1, len(self.space.mean), *self.space.size, device=device))
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise ValueError("the network gives something other than logits (B, C): it is no classifier")
        return [attention.twin.num_heads for attention in seen], logits.shape[1]

    def _draw_variation_target(self) -> float:
        """Of images of this size: differences of as many pixels, each as large as in the published size."""
        low, high = self.config.variation_target
        share = torch.rand((), generator=generator_of(self.synthesis.seed, "variation")).item()
        return (low + (high - low) * share) * math.sqrt(math.prod(self.space.size)) / PUBLISHED_SIDE

    def _classify(self, images: Tensor) -> Tensor:
        """Logits (B, C) in float32."""
        with self.synthesis.autocast(images.device):
            return self.network(images).float()

    def __call__(self, images: Tensor, numbers: range, jitter: Jitter) -> dict[str, Tensor]:
        """The terms that are on; see `Objective`."""
        terms: dict[str, Tensor] = {}
        if self.weights.keys() & {"attention", "labels", "entropy"}:
            with watch_attention(self.network) as seen:
                logits = self._classify(jitter.apply(images))
            terms = self._attention_terms(seen, numbers, jitter)
            if "labels" in self.weights:
                terms["labels"] = self._label_term(images, logits, numbers)
        if "variation" in self.weights:
            terms["variation"] = (total_variation(images) - self.variation_target).abs().sum()
        return terms

    def _attention_terms(self, seen: Sequence[SeenAttention], numbers: range, jitter: Jitter) -> dict[str, Tensor]:
        terms = {}
        if "attention" in self.weights:
            terms["attention"] = align_attention(
                seen, self.priors, self.block_weights, numbers, jitter, self.space.size
            )
        if "entropy" in self.weights:
            terms["entropy"] = -patch_entropy(seen, len(numbers), self.config.bandwidth, self.config.num_points)
        return terms

    @torch.no_grad()
    def compare_attention(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each block that has priors: these, and the attention that the run's images, or the first of them, have:
        (B, H, G, N) both."""
        with watch_attention(self.network) as seen:
            self.network(images)
        return [
            (prior.at(attention.token_points(self.space.size), range(len(images))), attention.received(len(images)))
            for weight, attention, prior in zip(self.block_weights, seen, self.priors, strict=True)
            if weight
        ]

    def _label_term(self, images: Tensor, logits: Tensor, numbers: range) -> Tensor:
        """Cross entropy of images and patches: of each image, the mean over it and its patches (ours)."""
        part = slice(numbers.start, numbers.stop)
        errors = soft_cross_entropy(logits, self.semantics.targets[part].to(logits))
        patches = self.semantics.patches_of(numbers)
        if not len(patches):
            return errors.sum()
        owner = (self.semantics.image_of_patch[patches] - numbers.start).to(logits.device)
        patch_logits = self._classify(crop(images, owner, self.semantics.boxes[patches]))
        patch_errors = soft_cross_entropy(patch_logits, self.semantics.patch_targets[patches].to(logits))
        sums = errors.index_add(0, owner, patch_errors)
        counts = torch.ones_like(errors).index_add(0, owner, torch.ones_like(patch_errors))
        return (sums / counts).sum()


def plan_synthesis(
    network: nn.Module,
    space: ImageSpace,
    objective: ObjectiveConfig | None = None,
    config: SynthesisConfig | None = None,
) -> Synthesis:
    """A run that makes images for a network, by default SARDFQ's; `run()` makes them."""
    config = config or SynthesisConfig()
    built = ClassifierObjective(network, space, config, objective or ObjectiveConfig())
    return Synthesis(built, space, config, str(next(network.parameters()).device))
