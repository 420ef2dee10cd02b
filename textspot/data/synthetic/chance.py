"""Draws from a random generator that the renderer needs in many places."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def choose(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """One of the items, each as likely; unlike `Generator.choice` it leaves their types alone."""
    return items[int(rng.integers(len(items)))]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number in [low, high], as often between 10 and 20 as between 20 and 40."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def random_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour (3,) float32 in [0, 255]."""
    return rng.uniform(0, 255, 3).astype(np.float32)
