"""Recipes small enough for tests, on images the project's own renderer draws."""

import os
import signal
import string
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from textspot.data.dataset import DataConfig, SourceConfig
from textspot.data.synthetic.draw import DrawConfig
from textspot.data.synthetic.renderer import RendererConfig
from textspot.data.synthetic.words import WordConfig
from textspot.engine.train import train
from textspot.models.choice import Choice
from textspot.models.neck import NeckConfig
from textspot.models.recognizer import RecognizerConfig
from textspot.models.slim_resnet import SlimResNetConfig
from textspot.models.spotting_network import ModelConfig
from textspot.models.text_pooling import RoiConfig
from textspot.recipe import Recipe, TrainConfig
from textspot.text.charset import TextConfig

CHARACTERS = string.ascii_uppercase + string.digits
TINY = ModelConfig(
    Choice("slim_resnet", SlimResNetConfig((8, 16, 24, 32), (1, 1, 1, 1))),
    NeckConfig(16),
    Choice("stretched", RoiConfig(width=32, taps=(2, 1))),
    Choice("fcr", RecognizerConfig((16, 16, 24, 32), context_layers=1, blocks=(0, 0, 0), context_blocks=0)),
)

EASY = ModelConfig(
    Choice("slim_resnet", SlimResNetConfig((16, 32, 48, 64), (1, 1, 1, 1))),
    NeckConfig(32),
    Choice("stretched", RoiConfig(width=32, taps=(2, 1))),
    Choice("fcr", RecognizerConfig((32, 48, 64, 96), context_layers=1, blocks=(0, 1, 0), context_blocks=1)),
)


def drawing(num_images: int, seed: int, **changes: object) -> DrawConfig:
    """Easy images of 128 x 160 pixels with three words or four."""
    words = WordConfig(characters=CHARACTERS, case="upper", min_length=3, max_length=6)
    easy = {"words_per_image": (3, 4), "min_text_height": 14, "max_text_height": 20, "degrade": 0.2, "empty_share": 0.0}
    renderer = RendererConfig(128, 160, words=words, **(easy | changes))
    return DrawConfig(num_images, seed, renderer=renderer)


def tiny_recipe(folder: Path) -> Recipe:
    """Twelve steps of a tiny network on six images; everything lies below `folder`."""
    return Recipe(
        run=str(folder / "run"),
        text=TextConfig(CHARACTERS),
        model=TINY,
        data=DataConfig(
            train=(SourceConfig(str(folder / "train"), draw=drawing(6, seed=1)),),
            validation=SourceConfig(str(folder / "validation"), draw=drawing(2, seed=2)),
            image_size=(128, 160),
            num_workers=0,
        ),
        train=TrainConfig(
            steps=12, batch_size=2, warmup_steps=2, log_every=3, evaluate_every=6, save_every=4, picture_every=6
        ),
    )


def overfit_recipe(folder: Path, model: ModelConfig = EASY, steps: int = 200, **drawn: float) -> Recipe:
    """Two images, and a network that can learn them by heart."""
    images = SourceConfig(str(folder / "images"), draw=drawing(2, seed=5, **drawn))
    return Recipe(
        run=str(folder / "run"),
        text=TextConfig(CHARACTERS),
        model=model,
        data=DataConfig(train=(images,), validation=replace(images, draw=None), image_size=(128, 160), num_workers=0),
        train=TrainConfig(
            steps=steps, batch_size=2, learning_rate=4e-3, warmup_steps=20, evaluate_every=steps, ema_decay=0.9
        ),
    )


def interrupt_after(steps: int, recipe: Recipe) -> None:
    """Train the recipe until, during its step number `steps`, Ctrl-C stops it."""
    left = {"steps": steps}
    update = torch.optim.AdamW.step

    def step_then_interrupt(self, *arguments):
        left["steps"] -= 1
        if left["steps"] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step_then_interrupt)
        assert not train(recipe).finished
