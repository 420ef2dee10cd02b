"""Spotter: the object users hold. Images in, text instances in pixels of the original image out."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from textspot.batch import image_to_tensor
from textspot.checkpoint import ModelCard, load_model
from textspot.image_files import read_image
from textspot.models.spotting_network import SpottingNetwork
from textspot.postprocess import decode_instances
from textspot.preprocess import preprocess
from textspot.recipe import build_charset
from textspot.structures import Prediction

ImageLike = np.ndarray | str | os.PathLike


def load(path: str | os.PathLike, device: str = "cpu") -> "Spotter":
    """The spotter of a training run: its `model.safetensors`, or the run's folder (then its last weights)."""
    path = Path(path)
    if path.is_dir():
        path = path / "last" / "model.safetensors"
    return Spotter(*load_model(path), device=torch.device(device))


class Spotter:
    """A network with everything it takes to use it. `threshold` starts as the one chosen on the validation images."""

    def __init__(self, network: SpottingNetwork, card: ModelCard, device: torch.device):
        self.network = network.eval().to(device=device, memory_format=torch.channels_last)
        self.card, self.recipe, self.device = card, card.recipe, device
        self.charset = build_charset(card.recipe)
        self.threshold = card.threshold

    def __call__(self, images: ImageLike | Sequence[ImageLike], batch_size: int = 1) -> Prediction | list[Prediction]:
        """Spot text in an RGB array (H, W, 3) uint8, in a file, or in a list of these.

        One image gives one `Prediction`: a sequence of instances, best score first, that unpack as `(polygon, text, score)`.
        A list gives a list. A file that is no image is an `ImageError` that names it.
        """
        if isinstance(images, np.ndarray | str | os.PathLike):
            return self.predict([_load(images)])[0]
        loaded = [_load(image) for image in images]
        return self.predict(loaded, batch_size)

    def predict(self, images: Sequence[np.ndarray], batch_size: int = 1) -> list[Prediction]:
        """Predictions of RGB arrays, in their order. Images are batched with others of the same padded size, so that the
        result of an image does not depend on its neighbours."""
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
                        ribbons / prepared[number][1], scores, text_logits, self.charset, self.threshold,
                        self.recipe.postprocess,
                    )
                    predictions[number] = Prediction(tuple(instances), images[number].shape[:2])
        return [predictions[number] for number in range(len(images))]

    @torch.inference_mode()
    def _spot(self, images: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Per image of a batch (B, H, W, 3): ribbons, scores and text logits of its regions above the threshold."""
        batch = torch.stack([image_to_tensor(image) for image in images]).to(self.device)
        features, maps = self.network.detect(batch)
        found = self.network.detector.count_peaks(maps, self.threshold)
        slots = torch.empty(min(found, self.recipe.postprocess.max_regions), device=self.device)
        ribbons, scores = self.network.detector.peaks(maps, slots)
        text_logits = self.network.read(features, ribbons)
        return list(zip(*(tensor.cpu().numpy() for tensor in (ribbons, scores, text_logits)), strict=True))


def _load(image: ImageLike) -> np.ndarray:
    if not isinstance(image, np.ndarray):
        return read_image(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected an RGB image of shape (H, W, 3) and type uint8, found {image.shape} {image.dtype}")
    return image


def _chunks(numbers: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
