"""Spotter: the object users hold. Images in, text instances in pixels of the original image out."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from textspot.checkpoint import MODEL_FILE, CheckpointError, ModelCard, load_model
from textspot.geometry import polygon_to_ribbon
from textspot.image_files import read_image
from textspot.metrics.words import apply_lexicon
from textspot.models.spotting_network import SpottingNetwork
from textspot.postprocess import decode_instances
from textspot.preprocess import preprocess
from textspot.recipe import build_charset
from textspot.structures import Prediction
from textspot.text.ctc import decode_best_path
from textspot.text.lexicon import Lexicon

ImageLike = np.ndarray | str | os.PathLike
Item = TypeVar("Item")

MOST_DECODED = 32  # images in memory at a time, however long the list


def load(path: str | os.PathLike, device: str = "cpu") -> "Spotter":
    """The spotter of a `model.safetensors`, or of a training run's folder: then its last weights.

    `device` is `cpu`, a GPU such as `cuda:0`, or `auto`, which takes a GPU if there is one. A file that is missing, cut
    short or something else is a `CheckpointError`, a device that is not there a ValueError.
    """
    return Spotter(*load_model(find_weights(Path(path))), device=choose_device(device))


def choose_device(name: str) -> torch.device:
    """The device called `auto`, `cpu`, `cuda` or `cuda:<number>`; a ValueError when there is none of that name here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {name!r}, expected auto, cpu or a GPU such as cuda:0")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device is {name!r}, and torch sees {torch.cuda.device_count()} GPUs here; use cpu or auto")
    return device


def find_weights(path: Path) -> Path:
    """The weights at `path`: the file itself, or what a folder of a run holds."""
    if not path.is_dir():
        return path
    for file in (path / MODEL_FILE, path / "last" / MODEL_FILE):
        if file.is_file():
            return file
    raise CheckpointError(
        f"{path}: holds neither {MODEL_FILE} nor last/{MODEL_FILE}; expected the folder of a run that was saved"
    )


class Spotter:
    """A network with everything it takes to use it.

    `threshold` in [0, 1] may be set; it starts as the one that was chosen on the validation images. `lexicon` may be
    set too, to have texts corrected by it (how: see `text.lexicon` and `apply_lexicon`); the scores stay those of what
    was read. What an instance's `score` and `text_score` mean: see `TextInstance`.
    """

    def __init__(self, network: SpottingNetwork, card: ModelCard, device: torch.device):
        self.network = network.eval().to(device).to(memory_format=torch.channels_last)
        self.card, self.recipe, self.device = card, card.recipe, device
        self.charset = build_charset(card.recipe)
        self.threshold = card.threshold
        self.lexicon: Lexicon | None = None

    def __call__(self, images: ImageLike | Sequence[ImageLike], batch_size: int = 1) -> Prediction | list[Prediction]:
        """Spot text in an RGB array (H, W, 3) uint8, in a file, or in a list of these.

        One image gives one `Prediction`: a sequence of instances, best score first, that unpack as `(polygon, text,
        score)`; of a file it bears the path as its name. A list gives a list. A file that is no image is an
        `ImageError`, an array of another shape or type a ValueError.
        """
        if isinstance(images, np.ndarray | str | os.PathLike):
            return self._spot_all([images], batch_size)[0]
        return self._spot_all(images, batch_size)

    def _spot_all(self, images: Sequence[ImageLike], batch_size: int) -> list[Prediction]:
        predictions = []
        for chunk in _chunks(images, max(batch_size, MOST_DECODED)):
            arrays = [image if isinstance(image, np.ndarray) else read_image(image) for image in chunk]
            names = ["" if isinstance(image, np.ndarray) else os.fspath(image) for image in chunk]
            found = self.predict(arrays, batch_size)
            predictions += [replace(prediction, name=name) for prediction, name in zip(found, names, strict=True)]
        return predictions

    def predict(self, images: Sequence[np.ndarray], batch_size: int = 1) -> list[Prediction]:
        """Predictions of RGB arrays (H, W, 3) uint8, in their order; none for none.

        Images are batched with others of the same padded size, so that the result of an image does not depend on its
        neighbours. An array of another shape or type is a ValueError.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        for image in images:
            _check_image(image)
        prepared = [preprocess(image, self.recipe.preprocess) for image in images]
        by_size = defaultdict(list)
        for number, (padded, _) in enumerate(prepared):
            by_size[padded.shape].append(number)
        predictions: dict[int, Prediction] = {}
        for numbers in by_size.values():
            for chunk in _chunks(numbers, batch_size):
                outputs = self._spot(np.stack([prepared[number][0] for number in chunk]))
                for number, (ribbons, scores, text_logits) in zip(chunk, outputs, strict=True):
                    instances = decode_instances(
                        ribbons / prepared[number][1],
                        scores,
                        text_logits,
                        images[number].shape[:2],
                        self.charset,
                        self.threshold,
                        self.recipe.postprocess,
                    )
                    prediction = Prediction(tuple(instances), images[number].shape[:2])
                    predictions[number] = apply_lexicon(prediction, self.lexicon) if self.lexicon else prediction
        return [predictions[number] for number in range(len(images))]

    @torch.inference_mode()
    def read(self, image: np.ndarray, polygons: Sequence[np.ndarray]) -> list[tuple[str, float]]:
        """Text and `text_score` of given regions of an RGB image (H, W, 3) uint8: polygons (K, 2) in its pixels,
        clockwise from where reading starts. Neither threshold nor lexicon matters; none gives none."""
        _check_image(image)
        if not len(polygons):
            return []
        padded, scale = preprocess(image, self.recipe.preprocess)
        ribbons = np.stack([polygon_to_ribbon(polygon * scale)[0] for polygon in polygons])
        batch = torch.from_numpy(padded[None]).permute(0, 3, 1, 2).to(self.device)
        features, _ = self.network.detect(batch)
        text_logits = self.network.read(features, torch.from_numpy(ribbons[None]).to(self.device))
        return decode_best_path(text_logits[0].cpu().numpy(), self.charset)

    @torch.inference_mode()
    def _spot(self, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Per image of a batch (B, H, W, 3): ribbons, scores and text logits of its regions above the threshold."""
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).to(self.device)
        features, maps = self.network.detect(batch)
        found = self.network.detector.count_peaks(maps, self.threshold)
        slots = torch.empty(min(found, self.recipe.postprocess.max_regions), device=self.device)
        ribbons, scores = self.network.detector.peaks(maps, slots)
        text_logits = self.network.read(features, ribbons)
        return list(zip(*(tensor.cpu().numpy() for tensor in (ribbons, scores, text_logits)), strict=True))


def _check_image(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"expected an RGB image of shape (H, W, 3) and type uint8, found {image.shape} {image.dtype}; "
            "give the path of a file to have any kind of image converted"
        )


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
