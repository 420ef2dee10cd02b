"""What lies behind the text: synthetic walls and rooms, or crops of photographs."""

from pathlib import Path

import cv2
import numpy as np

from textspot.data.synthetic.chance import choose, log_uniform, random_colour
from textspot.image_files import ImageError, read_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SMALLEST_CROP = 0.35  # of the largest crop that fits
BLURRED_SHARE = 0.3  # of the photographs are out of focus, as what lies behind a sign is
BUSYNESS_CELL = 8  # pixels per cell of a map of busyness


def draw_surface(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A synthetic surface (height, width, 3) uint8 RGB: a plain wall, a gradient, clouds, stripes, blobs or a room."""
    surface = choose(rng, (_plain, _gradient, _clouds, _stripes, _blobs, _room, _room, _room))(rng, height, width)
    return np.clip(surface, 0, 255).astype(np.uint8)


def busyness(surface: np.ndarray) -> np.ndarray:
    """How much happens in each cell of `BUSYNESS_CELL` pixels of an image (H, W, 3): the mean of its gradients,
    smoothed; at least one cell."""
    height, width = surface.shape[:2]
    small = cv2.resize(cv2.cvtColor(surface, cv2.COLOR_RGB2GRAY), (max(1, width // 2), max(1, height // 2)))
    gradients = cv2.magnitude(cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1))
    cells = max(1, width // BUSYNESS_CELL), max(1, height // BUSYNESS_CELL)
    return cv2.blur(cv2.resize(gradients, cells, interpolation=cv2.INTER_AREA), (3, 3))


class Photographs:
    """Crops of the photographs in a folder, sorted by file name. A folder without images is a ValueError."""

    def __init__(self, folder: str):
        if not Path(folder).is_dir():
            raise FileNotFoundError(f"backgrounds: {folder}: no such folder; expected a folder of photographs")
        self._paths = sorted(str(path) for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES)
        if not self._paths:
            raise ValueError(f"backgrounds: {folder}: holds no image ({', '.join(SUFFIXES)})")

    def crop(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """A random crop (height, width, 3) uint8 RGB of a random photograph, mirrored half of the time, blurred
        sometimes."""
        path = choose(rng, self._paths)
        try:
            image = read_image(path)
        except ImageError as error:
            raise ValueError(f"backgrounds: {error}; remove or replace it") from error
        share = min(image.shape[0] / height, image.shape[1] / width) * rng.uniform(SMALLEST_CROP, 1)
        rows, columns = max(1, int(share * height)), max(1, int(share * width))
        top, left = rng.integers(image.shape[0] - rows + 1), rng.integers(image.shape[1] - columns + 1)
        crop = image[top : top + rows, left : left + columns]
        if rng.random() < 0.5:
            crop = cv2.flip(crop, 1)
        crop = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if rows > height else cv2.INTER_CUBIC)
        if rng.random() < BLURRED_SHARE:
            crop = cv2.GaussianBlur(crop, (0, 0), log_uniform(rng, 1, 6))
        return crop


def _near(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """A colour close enough for text to stand out from both."""
    return colour + rng.uniform(-50, 50, 3).astype(np.float32)


def _wall_colour(rng: np.random.Generator) -> np.ndarray:
    """The colour of a wall, a floor, a door: grey with a cast, seldom more."""
    return rng.uniform(15, 245) + rng.normal(0, choose(rng, (6, 6, 25)), 3).astype(np.float32)


def _plain(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    surface = np.full((height, width, 3), _wall_colour(rng), np.float32)
    return surface + _grain(rng, height, width, rng.uniform(0, 6))


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    along = np.cos(angle) * x / width + np.sin(angle) * y / height
    along = ((along - along.min()) / max(float(np.ptp(along)), 1e-6))[..., None]
    return (1 - along) * _wall_colour(rng) + along * _wall_colour(rng)


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stains and plaster: lighter and darker, and a little of other colours, on grids from coarse to fine."""
    surface = np.full((height, width, 3), _wall_colour(rng), np.float32)
    for cell, strength in ((64, 35), (16, 15), (4, 8)):
        shape = (height // cell + 2, width // cell + 2, 3)
        coarse = strength * (rng.normal(0, 0.8, shape[:2])[..., None] + rng.normal(0, 0.25, shape)).astype(np.float32)
        surface += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return surface


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Planks, slats, corrugated iron."""
    angle, period = choose(rng, (0, np.pi / 2)) + rng.normal(0, 0.1), log_uniform(rng, 6, 90)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * np.float32(2 * np.pi / period))
    share = np.clip(0.5 + rng.uniform(1, 8) * wave, 0, 1)[..., None]
    colour = _wall_colour(rng)
    return (1 - share) * colour + share * _near(rng, colour)


def _blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Ellipses and boxes: edges that are not text."""
    surface = np.full((height, width, 3), _wall_colour(rng), np.float32)
    for _ in range(rng.integers(5, 30)):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = tuple(int(a) for a in rng.integers(4, max(5, min(height, width) // 3), 2))
        colour = tuple(float(c) for c in random_colour(rng))
        if rng.random() < 0.5:
            cv2.ellipse(surface, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            corner = centre[0] + axes[0], centre[1] + axes[1]
            cv2.rectangle(surface, centre, corner, colour, choose(rng, (-1, 1, 2, 4)), cv2.LINE_AA)
    return cv2.GaussianBlur(surface, (0, 0), log_uniform(rng, 0.3, 4))


def _room(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Walls, doors, shelves and lamps: panels across the image, split again and again, seen at an angle."""
    surface = np.full((height, width, 3), _wall_colour(rng), np.float32)
    turn = np.tan(rng.normal(0, 0.12, 2))
    panels = [(-0.2 * width, -0.2 * height, 1.2 * width, 1.2 * height)]
    for _ in range(rng.integers(3, 14)):
        left, top, right, bottom = panels.pop(int(rng.integers(len(panels))))
        cut = rng.uniform(0.2, 0.8)
        if (right - left) * rng.uniform(0.5, 2) > bottom - top:
            middle = left + cut * (right - left)
            parts = [(left, top, middle, bottom), (middle, top, right, bottom)]
        else:
            middle = top + cut * (bottom - top)
            parts = [(left, top, right, middle), (left, middle, right, bottom)]
        for part in parts:
            _fill_panel(rng, surface, part, turn)
        panels += parts
    for _ in range(rng.integers(0, 4)):  # lamps and what shines
        centre, size = (int(rng.integers(width)), int(rng.integers(height))), int(log_uniform(rng, 3, 40))
        cv2.ellipse(surface, centre, (size, int(size * rng.uniform(0.2, 1)) + 1), 0, 0, 360, (255, 255, 245), -1)
    blurred = cv2.GaussianBlur(surface, (0, 0), log_uniform(rng, 0.5, 3))
    return blurred + _grain(rng, height, width, rng.uniform(0, 5))


def _fill_panel(rng: np.random.Generator, surface: np.ndarray, box: tuple, turn: np.ndarray) -> None:
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    corners = corners + corners[:, ::-1] * turn * (1, -1)  # verticals lean, horizontals rise
    points = [np.rint(corners).astype(np.int32)]
    cv2.fillPoly(surface, points, tuple(float(c) for c in _wall_colour(rng)), cv2.LINE_AA)
    if rng.random() < 0.4:
        cv2.polylines(surface, points, True, tuple(float(c) for c in _wall_colour(rng)), choose(rng, (1, 2, 4, 8)))


def _grain(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """The roughness of a surface: grey noise of two sizes."""
    fine = rng.standard_normal((height, width, 1), dtype=np.float32)
    coarse = rng.standard_normal((height // 3 + 2, width // 3 + 2), dtype=np.float32)
    return np.float32(strength) * (
        0.5 * fine + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    )
