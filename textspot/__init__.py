"""Train, evaluate and run one network that finds text in photographs and reads it."""

import os
from typing import TYPE_CHECKING

from textspot.telemetry import switch_off

if TYPE_CHECKING:
    from textspot.inference.spotter import Spotter
    from textspot.inference.views import QualityName
    from textspot.runtime.build import RuntimeName
    from textspot.runtime.protocol import Precision

__version__ = "0.1.0"

switch_off()  # before anything that would call home is imported


def load(
    path: str | os.PathLike,
    device: str = "auto",
    *,
    runtime: "RuntimeName" = "auto",
    precision: "Precision" = "float32",
    compile: bool = False,
    num_threads: int = 0,
    max_regions: int | None = 1000,
    quality: "QualityName" = "default",
    threshold: float | None = None,
    language: str | None = None,
) -> "Spotter":
    """The spotter of shipped weights (`spotter-s`), a `model.safetensors`, a run's folder, an `.onnx` file, or a
    repository of the Hugging Face hub (`hf://owner/name`); see `textspot.inference.spotter.load`, and
    `textspot.runtime.build.RuntimeConfig` for the options.

    `quality` is `fast`, `default` or `best`: see `textspot.inference.views.Looks`. Of an image at most `max_regions`
    are read; None takes as many as the weights say. `threshold` and `language` (`english`, `auto`, a file of words,
    `none`) replace those of the weights. What it takes is imported here, not with the package: scoring
    result files needs no PyTorch, nor does an `.onnx`. Where a package is missing, the error
    (`textspot.extras.MissingExtraError`) holds the line that installs it.
    """
    from textspot.extras import name_extras
    from textspot.inference.spotter import load as load_spotter
    from textspot.runtime.build import RuntimeConfig

    with name_extras():
        spotter = load_spotter(path, RuntimeConfig(runtime, device, precision, compile, num_threads))
    spotter.quality = quality
    spotter.lean_to(language, spotter.beam)
    if threshold is not None:
        spotter.threshold = threshold
    if max_regions is not None:
        spotter.max_regions = max_regions
    return spotter
