"""Train, evaluate and run one network that finds text in photographs and reads it."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textspot.inference import Spotter

__version__ = "0.1.0"


def load(path: str | os.PathLike, device: str = "cpu") -> "Spotter":
    """The spotter of a `model.safetensors` or of a run folder; see `textspot.inference.load`.

    PyTorch is imported here, not with the package: scoring result files needs none.
    """
    from textspot.inference import load as load_spotter

    return load_spotter(path, device)
