"""A spotter small enough for tests: random weights, biased so that it finds small words wherever it looks."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from textspot.checkpoint import save_model
from textspot.data.dataset import DataConfig, SourceConfig
from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.model_card import ModelCard
from textspot.models.choice import Choice
from textspot.models.neck import NeckConfig
from textspot.models.recognizer import RecognizerConfig
from textspot.models.ribbon_head import OFFSET_UNIT
from textspot.models.slim_resnet import SlimResNetConfig
from textspot.models.spotting_network import ModelConfig, SpottingNetwork
from textspot.models.text_pooling import RoiConfig
from textspot.models.vit import VitConfig
from textspot.postprocess import PostprocessConfig
from textspot.recipe import Recipe, build_spotting_network
from textspot.text.charset import TextConfig

torch.set_num_threads(1)  # so small a network is slower on two: its threads wait for those of whatever else runs

TINY_RECIPE = Recipe(
    data=DataConfig(train=(SourceConfig("train"),), validation=SourceConfig("validation")),
    text=TextConfig("ABCDEFGHIJ"),
    model=ModelConfig(
        Choice("slim_resnet", SlimResNetConfig((8, 8, 16, 16), (1, 1, 1, 1))),
        NeckConfig(8),
        Choice(
            "stretched", RoiConfig(width=16, taps=(2,))
        ),  # what is seen is noise: pixel by pixel every region is another
        Choice("fcr", RecognizerConfig((8, 8, 16, 16), context_layers=1, blocks=(0, 0, 0), context_blocks=0)),
    ),
    postprocess=PostprocessConfig(text_power=0.0),  # random weights read nothing with certainty
)
VIT_RECIPE = dataclasses.replace(
    TINY_RECIPE, model=dataclasses.replace(TINY_RECIPE.model, backbone=Choice("vit", VitConfig(16, 2, 2)))
)


def build_tiny_network(recipe: Recipe = TINY_RECIPE) -> SpottingNetwork:
    """Scores around one half, ribbons around 24 x 10 pixels, hardly a blank."""
    torch.manual_seed(0)
    network = build_spotting_network(recipe)
    word = quad_to_ribbon(box_to_quad(np.array([-12, -5, 12, 5])))
    with torch.no_grad():
        network.detector.score.bias.zero_()
        network.detector.score.weight.mul_(3)
        network.detector.geometry.weight.mul_(0.05)
        network.detector.geometry.bias.copy_(torch.from_numpy(word).flatten() / OFFSET_UNIT)
        network.recognizer.classifier.weight.mul_(5)
        network.recognizer.classifier.bias.zero_()
    return network.eval()


def save_tiny_spotter(path: Path, threshold: float = 0.6, max_side: int = 1280) -> Path:
    """Save that network as a checkpoint of a run would be; also the path."""
    preprocess = dataclasses.replace(TINY_RECIPE.preprocess, max_side=max_side)
    recipe = dataclasses.replace(TINY_RECIPE, preprocess=preprocess)
    save_model(path, build_tiny_network(recipe).state_dict(), build_tiny_card(recipe, threshold))
    return path


def build_tiny_card(recipe: Recipe = TINY_RECIPE, threshold: float = 0.6) -> ModelCard:
    """The card that goes with that network."""
    return ModelCard(recipe.to_dict(), threshold, 7, {}, "icdar2015/end_to_end")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """An image (height, width, 3) uint8 in which every part is different."""
    blurred = np.random.default_rng(seed).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(np.repeat(np.repeat(blurred, 4, axis=0), 4, axis=1)[:height, :width])


def write_noise(path: Path | str, height: int = 40, width: int = 60, seed: int = 0) -> None:
    """Write such an image to a file, whose folder is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(height, width, seed)).save(path)
