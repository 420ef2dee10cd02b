"""What light and camera do to a training image (H, W, 3) uint8 RGB: its colours, and what is lost of its details.

Every function returns a new image and takes all chance from the generator. At 640 x 640 pixels each takes less than
3 ms (`tools/benchmark_data.py`).
"""

import cv2
import numpy as np

LOWEST_RESOLUTION = 0.6  # of the image's: words of ten pixels keep six, which can still be read
WIDEST_BLUR = 1.0  # pixels, standard deviation
BLUR_RADIUS = 2  # pixels: two of the widest standard deviations
STRONGEST_NOISE = 12.0  # of 255, standard deviation
BYTE_DEVIATION = 256 / 12**0.5  # standard deviation of a random byte
JPEG_QUALITY = (40, 95)


def change_colours(image: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Other brightness and contrast with a probability, other hue and saturation with half of it; seldom grey."""
    if rng.random() < probability:
        image = expose(image, rng)
    if rng.random() < probability / 2:
        image = tint(image, rng)
    if rng.random() < probability / 8:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return image


def degrade(image: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Each of the `LOSSES` with a probability."""
    for lose in LOSSES:
        if rng.random() < probability:
            image = lose(image, rng)
    return image


def expose(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """More or less contrast around the middle grey, lighter or darker."""
    table = 127.5 + rng.uniform(0.7, 1.3) * (np.arange(256) - 127.5) + rng.uniform(-64, 64)
    return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8))


def tint(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other hues, by up to 30 degrees, and more or less saturation."""
    values = np.arange(256)
    hue = (values + rng.integers(-15, 16)) % 180  # OpenCV keeps hues in steps of two degrees
    saturation = np.clip(np.rint(values * rng.uniform(0.6, 1.4)), 0, 255)
    table = np.stack([hue, saturation, values], axis=1).astype(np.uint8)
    return cv2.cvtColor(cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), table[:, None]), cv2.COLOR_HSV2RGB)


def lower_resolution(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Taken with fewer pixels, and enlarged again."""
    height, width = image.shape[:2]
    share = rng.uniform(LOWEST_RESOLUTION, 1)
    smaller = max(1, round(width * share)), max(1, round(height * share))
    small = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Out of focus and shaken: a Gaussian of one width along a direction and of another across."""
    angle, widths = rng.uniform(0, np.pi), rng.uniform(0.3, WIDEST_BLUR, size=2)
    y, x = np.mgrid[-BLUR_RADIUS : BLUR_RADIUS + 1, -BLUR_RADIUS : BLUR_RADIUS + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((along / widths[0]) ** 2 + (across / widths[1]) ** 2))
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def add_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of each pixel and colour by itself; uniform, since normal noise takes sixteen times as long."""
    grain = np.frombuffer(rng.bytes(image.size), dtype=np.uint8).reshape(image.shape)
    strength = rng.uniform(0, STRONGEST_NOISE) / BYTE_DEVIATION
    return cv2.addWeighted(image, 1, grain, strength, -127.5 * strength)


def compress(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """JPEG of any quality from poor to good."""
    quality = int(rng.integers(*JPEG_QUALITY, endpoint=True))
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))


LOSSES = (lower_resolution, blur, add_noise, compress)  # in the order in which a camera causes them
