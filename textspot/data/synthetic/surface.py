"""What lies behind the text: drawn textures, or crops of photographs."""

from pathlib import Path

import cv2
import numpy as np

from textspot.data.synthetic.chance import choose, random_colour

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SMALLEST_CROP = 0.5  # of the largest crop that fits: smaller ones blur when they are enlarged


def draw_surface(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A drawn surface (height, width, 3) uint8 RGB: plain, gradient, clouds, stripes or blobs, in random colours."""
    surface = choose(rng, (_plain, _gradient, _clouds, _stripes, _blobs))(rng, height, width)
    return np.clip(surface, 0, 255).astype(np.uint8)


class Photographs:
    """Crops of the photographs in a folder, sorted by file name. A folder without images is a ValueError."""

    def __init__(self, folder: str):
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"backgrounds: {folder}: no such folder; expected a folder of photographs")
        self._paths = sorted(str(path) for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)
        if not self._paths:
            raise ValueError(f"backgrounds: {folder}: holds no image ({', '.join(SUFFIXES)})")

    def crop(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """A random crop (height, width, 3) uint8 RGB of a random photograph, mirrored half of the time."""
        path = choose(rng, self._paths)
        image = cv2.imread(path, cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"backgrounds: {path}: cannot be read as an image; remove or replace it")
        share = min(image.shape[0] / height, image.shape[1] / width) * rng.uniform(SMALLEST_CROP, 1)
        rows, columns = max(1, int(share * height)), max(1, int(share * width))
        top, left = rng.integers(image.shape[0] - rows + 1), rng.integers(image.shape[1] - columns + 1)
        crop = cv2.cvtColor(image[top : top + rows, left : left + columns], cv2.COLOR_BGR2RGB)
        if rng.random() < 0.5:
            crop = cv2.flip(crop, 1)
        method = cv2.INTER_AREA if rows > height else cv2.INTER_LINEAR
        return cv2.resize(crop, (width, height), interpolation=method)


def _near(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """A colour close enough for text to stand out from both."""
    return colour + rng.uniform(-50, 50, 3).astype(np.float32)


def _plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), random_colour(rng), np.float32)


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    along = np.cos(angle) * x / width + np.sin(angle) * y / height
    along = ((along - along.min()) / max(float(np.ptp(along)), 1e-6))[..., None]
    return (1 - along) * random_colour(rng) + along * random_colour(rng)


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Random colours on a coarse grid and fine grain, smoothed up to the size of the image."""
    surface = _plain(rng, height, width)
    for cell, strength in ((64, 35), (16, 15), (4, 8)):
        shape = (height // cell + 2, width // cell + 2, 3)
        coarse = rng.normal(0, strength, shape).astype(np.float32)
        surface += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return surface


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * np.float32(2 * np.pi / period))
    share = np.clip(0.5 + rng.uniform(1, 8) * wave, 0, 1)[..., None]
    colour = random_colour(rng)
    return (1 - share) * colour + share * _near(rng, colour)


def _blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Ellipses and boxes: edges that are not text."""
    surface = _plain(rng, height, width)
    for _ in range(rng.integers(5, 30)):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = tuple(int(a) for a in rng.integers(4, max(5, min(height, width) // 3), 2))
        colour = tuple(float(c) for c in random_colour(rng))
        if rng.random() < 0.5:
            cv2.ellipse(surface, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            corner = centre[0] + axes[0], centre[1] + axes[1]
            cv2.rectangle(surface, centre, corner, colour, choose(rng, (-1, 1, 2, 4)), cv2.LINE_AA)
    return surface
