"""Augmentation: one affine warp moves image and polygons together, albumentations changes the colours."""

import os
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from textspot.structures import Sample

# before its import: it would ask the network for a newer release
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

CUT_TOLERANCE = 0.15  # of a word's smaller extent: what a crop may take away from a word that still counts
FOLLOW_WORD = 0.8  # share of the crops that are laid around a word: most of a photograph holds none


@dataclass(frozen=True)
class TransformConfig:
    """Random changes of a training image.

    Args:
        min_scale: smallest zoom of the image before it is cropped.
        max_scale: largest zoom.
        max_stretch: height and width are stretched against each other by up to this factor.
        max_rotation: largest rotation in radians, either way.
        colour: probability of each change of colour, sharpness and compression.
        border: colour (RGB) of what lies outside the image.
    """

    min_scale: float = 1.0
    max_scale: float = 1.0
    max_stretch: float = 1.0
    max_rotation: float = 0.0
    colour: float = 0.0
    border: tuple[int, int, int] = (124, 116, 104)

    def __post_init__(self) -> None:
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(
                f"data.transforms: expected 0 < min_scale <= max_scale, found {self.min_scale} and {self.max_scale}"
            )
        if self.max_stretch < 1:
            raise ValueError(f"data.transforms.max_stretch is {self.max_stretch}, expected at least 1")
        if self.max_rotation < 0:
            raise ValueError(f"data.transforms.max_rotation is {self.max_rotation}, expected at least 0")
        if not 0 <= self.colour <= 1:
            raise ValueError(f"data.transforms.colour is {self.colour}, expected a probability in [0, 1]")


def augment(sample: Sample, size: tuple[int, int], config: TransformConfig, rng: np.random.Generator) -> Sample:
    """A random view of the sample, of `size` (height, width)."""
    scale = np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale)))
    stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(config.max_stretch))
    rotation = rng.uniform(-config.max_rotation, config.max_rotation)
    zoom = np.array([scale * stretch, scale / stretch])
    centre = _crop_centre(sample, np.array(size[::-1]) / zoom, rng)
    view = warp(sample, _similarity(centre, zoom, rotation, size), size, config.border)
    if config.colour == 0:
        return view
    change = _colour_changes(config.colour)
    change.set_random_seed(int(rng.integers(2**31)))
    return Sample(change(image=view.image)["image"], view.polygons, view.transcripts, view.ignore, view.name)


def _crop_centre(sample: Sample, extent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Centre (x, y), in pixels of the image, of a crop that covers `extent` (width, height) of those pixels."""
    whole = np.array(sample.size[::-1], dtype=np.float64)
    slack = np.abs(whole - extent) / 2
    centre = whole / 2 + rng.uniform(-slack, slack)
    readable = np.flatnonzero(~sample.ignore)
    if len(readable) and rng.random() < FOLLOW_WORD:
        word = sample.polygons[rng.choice(readable)].mean(axis=0)
        near = word + rng.uniform(-0.4, 0.4, size=2) * extent
        centre = np.clip(near, whole / 2 - slack, whole / 2 + slack)
    return centre


def _similarity(centre: np.ndarray, zoom: np.ndarray, rotation: float, size: tuple[int, int]) -> np.ndarray:
    """The (2, 3) matrix that zooms and rotates about `centre` and brings it to the middle of an image of `size`."""
    cosine, sine = np.cos(rotation), np.sin(rotation)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(zoom)
    shift = np.array(size[::-1]) / 2 - linear @ centre
    return np.concatenate([linear, shift[:, None]], axis=1)


def warp(sample: Sample, matrix: np.ndarray, size: tuple[int, int], border: tuple[int, int, int]) -> Sample:
    """Move image and polygons by an affine (2, 3) matrix into a frame of `size` (height, width), borders in colour
    `border`.

    Coordinates are those of pixel corners. Instances outside the frame are gone, instances the frame cuts are ignored.
    """
    image, to_frame = sample.image, np.vstack([matrix, [0, 0, 1]])
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.8:  # the warp looks at four pixels only: average before, or thin strokes vanish
        smaller = [max(1, round(side * shrink)) for side in sample.size[::-1]]
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        to_frame = to_frame @ np.diag([sample.size[1] / image.shape[1], sample.size[0] / image.shape[0], 1])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV's coordinates are those of pixel centres
    by_centres = np.linalg.inv(half) @ to_frame @ half
    warped = cv2.warpAffine(image, by_centres[:2], size[::-1], flags=cv2.INTER_LINEAR, borderValue=border)
    polygons, transcripts, ignore = [], [], []
    for polygon, transcript, is_ignored in zip(sample.polygons, sample.transcripts, sample.ignore, strict=True):
        moved = (polygon @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        low, high = moved.min(axis=0), moved.max(axis=0)
        if (high <= 0).any() or (low >= size[::-1]).any():
            continue
        overhang = max((-low).max(), (high - size[::-1]).max())
        polygons.append(moved)
        transcripts.append(transcript)
        ignore.append(bool(is_ignored) or overhang > CUT_TOLERANCE * (high - low).min())
    return Sample(warped, polygons, transcripts, np.array(ignore, dtype=bool), sample.name)


@lru_cache(maxsize=1)
def _colour_changes(probability: float) -> A.Compose:
    return A.Compose(
        [
            A.RandomBrightnessContrast(brightness_limit=0.25, contrast_limit=0.3, p=probability),
            A.HueSaturationValue(hue_shift_limit=15, sat_shift_limit=30, val_shift_limit=15, p=probability / 2),
            A.ToGray(p=probability / 8),
            A.OneOf([A.GaussianBlur(blur_limit=(3, 3)), A.MotionBlur(blur_limit=(3, 5))], p=probability / 3),
            A.ImageCompression(quality_range=(40, 95), p=probability / 2),
        ]
    )
