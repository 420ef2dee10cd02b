"""Calibration images where none may be had: made from the spotter itself, or noise. See docs/data_free.md."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from textspot.atomic_file import write_atomically
from textspot.compression.spotter import fingerprint
from textspot.compression.synthesis import (
    SPOTTER_SYNTHESIS,
    LayoutConfig,
    SpotterObjective,
    SpotterObjectiveConfig,
    plan_spotter_synthesis,
)
from textspot.data.contact_sheet import contact_sheet
from textspot.geometry import ribbon_to_polygon
from textspot.model_card import ModelCard
from textspot.models.spotting_network import SpottingNetwork
from textspot.preprocess import MULTIPLE
from textspot.progress import Track, untracked
from textspot.quant.synthesis.synthesis import Precision, SynthesisConfig
from textspot.recipe import network_recipe_from_dict
from textspot.structures import Sample
from textspot.text.charset import Charset
from textspot.visualize import draw_sample

STATE_FILE, SHEET_FILE = "images.pt", "images.png"
SHEET_COLUMNS = 2  # pairs in a row of the picture
SAVE_EVERY = 20  # steps


@dataclass(frozen=True)
class DataFreeConfig:
    """Images made without data.

    Args:
        size: height and width of an image in pixels, divisible by 32.
        num_images: number of images.
        steps: number of steps of Adam, in each of two rounds.
        seed: seed of everything random.
        precision: precision of the network's passes; `bf16` takes two thirds of the time on CPUs that compute
            it (AVX512-BF16, AMX), and longer on others.
        soft: transcripts are soft targets, as in SARDFQ; if not, plain CTC, whose images are nearer to real words.
        words: the layouts; heights should be those that the network was trained on.
    """

    size: tuple[int, int] = (256, 320)
    num_images: int = 32
    steps: int = SPOTTER_SYNTHESIS.steps
    seed: int = 0
    precision: Precision = SPOTTER_SYNTHESIS.precision
    soft: bool = SpotterObjectiveConfig.soft
    words: LayoutConfig = field(default_factory=LayoutConfig)

    def __post_init__(self) -> None:
        if min(self.size) < MULTIPLE or any(side % MULTIPLE for side in self.size):
            raise ValueError(f"datafree.size is {self.size}, expected two sides that {MULTIPLE} divides")

    @property
    def synthesis(self) -> SynthesisConfig:
        """The loop, with what is said here."""
        warmup = min(SPOTTER_SYNTHESIS.warmup_steps, self.steps // 5)
        return replace(
            SPOTTER_SYNTHESIS,
            num_images=self.num_images,
            steps=self.steps,
            seed=self.seed,
            warmup_steps=warmup,
            precision=self.precision,
        )


class MadeImages(NamedTuple):
    """Images (H, W, 3) uint8 as the network sees them, and what each term of their objective was in the end."""

    pixels: list[np.ndarray]
    terms: dict[str, float]


def make_calibration_images(
    network: SpottingNetwork,
    card: ModelCard,
    source: Literal["network", "noise"],
    config: DataFreeConfig,
    folder: Path,
    track: Track = untracked,
) -> MadeImages:
    """Images made of the network by `textspot.compression.synthesis`, or the noise it starts from.

    In the folder lie the state, from which a run that was broken off goes on, and a picture of every image beside
    itself with the layout it was to show. A folder that holds images of other settings or weights is a ValueError.
    """
    network = network.eval()
    steps = network_recipe_from_dict(card.recipe, "recipe").model.count_time_steps
    objective = SpotterObjectiveConfig(words=config.words, soft=config.soft)
    synthesis = plan_spotter_synthesis(network, config.size, steps, objective, config.synthesis)
    file = folder / STATE_FILE
    if source == "noise":
        images = synthesis.images.detach()
    else:
        weights = fingerprint(network)
        if file.exists():
            state = torch.load(file, weights_only=True)
            try:
                if state.get("weights") != weights:
                    raise ValueError("the images were begun with other weights")
                synthesis.load_state_dict(state)
            except ValueError as error:
                raise ValueError(f"{file}: {error}; choose another --out") from error

        def save(state: dict[str, Any]) -> None:
            write_atomically(file, partial(torch.save, {**state, "weights": weights}))

        images = synthesis.run(track, save, SAVE_EVERY)
    pixels = _to_uint8(synthesis.space.to_pixels(images))
    objective_of_run = synthesis.objective
    if isinstance(objective_of_run, SpotterObjective):
        sheet = draw_layouts(pixels, objective_of_run, card.charset)
        write_atomically(folder / SHEET_FILE, lambda to: Image.fromarray(sheet).save(to, format="png"))
    return MadeImages(pixels, synthesis.history[-1] if synthesis.history else {})


def _to_uint8(images: Tensor) -> list[np.ndarray]:
    return list(images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy())


def draw_layouts(images: Sequence[np.ndarray], objective: SpotterObjective, charset: Charset) -> np.ndarray:
    """A picture: each image, and beside it the same with the words that it was to show."""
    pictures = []
    for image, layout in zip(images, objective.layouts, strict=True):
        polygons = [ribbon_to_polygon(ribbon).astype(np.float32) for ribbon in layout.ribbons]
        words = [charset.decode(tokens) for tokens in layout.tokens]
        pictures += [image, draw_sample(Sample(image, polygons, words, np.zeros(len(words), bool)))]
    captions = [f"{number // 2}" for number in range(len(pictures))]
    return contact_sheet(pictures, captions, 2 * SHEET_COLUMNS, images[0].shape[1])
