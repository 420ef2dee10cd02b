"""The one preprocessing of validation, inference and quantisation; it travels in the checkpoint. Training takes its
`max_side`, mean and std."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

MULTIPLE = 32  # the coarsest stride of the network
MOST_SIDE = 16384  # pixels; a batch of one then takes gigabytes


@dataclass(frozen=True)
class PreprocessConfig:
    """How an image of any size becomes the network's input.

    Args:
        max_side: largest length of an image's longer side, in pixels. Larger images are shrunk; smaller ones stay as
            they are.
        mean: RGB values in 0..255 that the network subtracts; also the colour of padding.
        std: RGB values in 0..255 that the network divides by.
    """

    max_side: int = 1280
    mean: tuple[float, float, float] = (123.7, 116.3, 103.5)
    std: tuple[float, float, float] = (58.4, 57.1, 57.4)

    def __post_init__(self) -> None:
        if not MULTIPLE <= self.max_side <= MOST_SIDE:
            raise ValueError(f"preprocess.max_side is {self.max_side}, expected {MULTIPLE} to {MOST_SIDE}")
        if not 0 < min(self.std) <= max(self.std) < math.inf:
            raise ValueError(f"preprocess.std is {self.std}, expected values above 0")
        if not all(0 <= value <= 255 for value in self.mean):
            raise ValueError(f"preprocess.mean is {self.mean}, expected values from 0 to 255")


def preprocess(
    image: np.ndarray, config: PreprocessConfig, most_enlarged: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """RGB (H, W, 3) uint8 to the network's input (H', W', 3) uint8, and the scale (x, y): input pixels per pixel of
    the image. Smaller images are enlarged to `max_side`, at most so many times.

    Both sides are padded at the right and at the bottom to a multiple of 32, also when the image is alone in its
    batch: a batch of eight then gives what eight batches of one give. The scale has two values because sides are whole
    pixels: that of a line of one pixel is 1, however much the line is shortened.
    """
    height, width = image.shape[:2]
    scale = min(most_enlarged, config.max_side / max(height, width))
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    if scale != 1:
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, (new_width, new_height), interpolation=interpolation)
    padded = np.empty((-new_height % MULTIPLE + new_height, -new_width % MULTIPLE + new_width, 3), dtype=np.uint8)
    padded[:new_height, :new_width] = image
    padded[new_height:] = padded[:new_height, new_width:] = np.round(config.mean).astype(np.uint8)
    return padded, np.array([new_width / width, new_height / height])
