"""What light and a camera do to the scene: shading, exposure, blur, resolution, noise, compression."""

import cv2
import numpy as np

from textspot.data.synthetic.chance import choose, log_uniform

READABLE_BLUR = 0.12  # standard deviation, as a share of a word's height: more than this cannot be read
NOISE = 7.0  # largest standard deviation, of 255, for text of at least NOISE_HEIGHT pixels; less for lower text
NOISE_HEIGHT = 16.0
WORST_QUALITY = 30  # of JPEG
BLOOM_ABOVE = 190  # of 255
MAP = 16  # cells along a side of the map of light


def photograph(
    rng: np.random.Generator, scene: np.ndarray, strength: float, heights: np.ndarray
) -> tuple[np.ndarray, float]:
    """The scene (H, W, 3) uint8 RGB as a camera might have taken it, and the standard deviation of its blur in pixels.

    `strength` 0 changes nothing; the strongest blur is the most that leaves the median of the words' `heights` (N,) in
    pixels readable, so that lower ones may be lost. Each effect is there in a part of the images.
    """
    if strength == 0:
        return scene, 0.0
    heights = heights if len(heights) else np.array([2 * NOISE_HEIGHT])
    image, sigma = scene, 0.0
    if rng.random() < 0.8:
        image = _light(rng, image, strength)
    if rng.random() < 0.75:
        sigma = READABLE_BLUR * float(np.median(heights)) * strength * rng.uniform(0.1, 1)
        image = choose(rng, (_defocus, _defocus, _shake, _low_resolution))(rng, image, sigma)
    if rng.random() < 0.2:
        image = _fringe(rng, image, strength)
    if rng.random() < 0.75:
        image = _develop(rng, image, strength)
    if rng.random() < 0.25:
        image = _bloom(rng, image, strength)
    if rng.random() < 0.5:
        image = _noise(rng, image, rng.triangular(0, 0, 1) * strength * NOISE * min(1.0, heights.min() / NOISE_HEIGHT))
    if rng.random() < 0.3:
        image = _sharpen(rng, image, strength)
    if rng.random() < 0.75:
        image = _compress(image, round(rng.uniform(100 - (100 - WORST_QUALITY) * strength, 100)))
    return image, sigma


def _light(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """More light on one side than on the other, darker corners, and sometimes the edge of a shadow, over everything."""
    y, x = np.mgrid[-1 : 1 : MAP * 1j, -1 : 1 : MAP * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + strength * rng.uniform(0, 0.4) * (np.cos(angle) * x + np.sin(angle) * y)
    light -= strength * rng.uniform(0, 0.2) * (x**2 + y**2)
    light = cv2.resize(np.clip(light, 0.2, 2).astype(np.float32), image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        light *= _shadow_edge(rng, image.shape[0], image.shape[1], strength)
    if rng.random() < 0.3:
        light *= _glare(rng, image.shape[0], image.shape[1], strength)
    return cv2.multiply(image, cv2.merge([light] * 3), dtype=cv2.CV_8U)


def _glare(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    """A lamp's reflection: light that falls off around a spot or a streak."""
    x, y = np.arange(width) - rng.uniform(0, width), np.arange(height) - rng.uniform(0, height)
    across, along = log_uniform(rng, 0.03, 0.4) * width, log_uniform(rng, 0.03, 0.6) * height
    spot = np.exp(-0.5 * ((x / across) ** 2 + (y / along)[:, None] ** 2))
    return (1 + strength * rng.uniform(0.2, 1) * spot).astype(np.float32)


def _shadow_edge(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    angle, softness = rng.uniform(0, 2 * np.pi), log_uniform(rng, 2, 60)
    centre = rng.uniform(0.2, 0.8, 2) * (width, height)
    x, y = np.arange(width, dtype=np.float32) - centre[0], np.arange(height, dtype=np.float32) - centre[1]
    side = np.clip((np.cos(angle) * x + np.sin(angle) * y[:, None]) / softness + 0.5, 0, 1)
    return (1 - strength * rng.uniform(0.15, 0.45) * side).astype(np.float32)


def _defocus(_: np.random.Generator, image: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1))


def _shake(rng: np.random.Generator, image: np.ndarray, sigma: float) -> np.ndarray:
    """Motion along a line; its standard deviation is length / sqrt(12)."""
    length = sigma * np.sqrt(12)
    size = 2 * int(np.ceil(length / 2)) + 1
    angle = rng.uniform(0, np.pi)
    kernel = np.zeros((size, size), np.float32)
    for along in np.linspace(-length / 2, length / 2, 4 * size):
        kernel[round(size // 2 + along * np.sin(angle)), round(size // 2 + along * np.cos(angle))] += 1
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _low_resolution(rng: np.random.Generator, image: np.ndarray, sigma: float) -> np.ndarray:
    """Fewer pixels, enlarged again: averaging over s pixels and interpolating back blur by about s / 2."""
    height, width = image.shape[:2]
    factor = max(1.0, 2 * sigma)
    small = cv2.resize(
        image, (max(1, round(width / factor)), max(1, round(height / factor))), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height), interpolation=choose(rng, (cv2.INTER_LINEAR, cv2.INTER_CUBIC)))


def _develop(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Exposure, white balance, contrast and gamma as one table per channel; less colour."""
    exposure = np.exp(strength * rng.triangular(-0.6, 0.1, 0.5))
    balance = np.exp(strength * rng.normal(0, 0.08, 3))
    lift = strength * rng.triangular(0, 0, 45)  # haze: black is not black
    gamma = np.exp(strength * rng.uniform(-0.45, 0.3))
    levels = np.arange(256)[:, None] / 255 * exposure * balance
    table = lift + (255 - lift) * np.clip(levels, 0, 1) ** gamma
    image = cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8).reshape(1, 256, 3))
    if rng.random() < 0.5:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = strength * rng.triangular(0, 0, 0.7)
        image = cv2.addWeighted(grey, share, image, 1 - share, 0)
    return image


def _fringe(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Lenses bend red and blue differently: each lies a little beside green."""
    channels = list(cv2.split(image))
    for number, sign in ((0, 1), (2, -1)):
        dx, dy = sign * strength * rng.uniform(-0.7, 0.7, 2)
        shift = np.array([[1, 0, dx], [0, 1, dy]])
        channels[number] = cv2.warpAffine(channels[number], shift, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return cv2.merge(channels)


def _bloom(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """What is bright spills over what is around it."""
    bright = cv2.subtract(image, np.full_like(image, BLOOM_ABOVE))
    spilled = cv2.GaussianBlur(bright, (0, 0), log_uniform(rng, 1.5, 8))
    return cv2.addWeighted(image, 1, spilled, strength * rng.uniform(0.5, 2.5), 0)


def _noise(rng: np.random.Generator, image: np.ndarray, sigma: float) -> np.ndarray:
    """Grain of grey and of colour, smoothed as cameras do."""
    height, width = image.shape[:2]
    grain = 0.4 * rng.standard_normal(image.shape, dtype=np.float32)
    grain += rng.standard_normal((height, width, 1), dtype=np.float32)
    smoothing = rng.uniform(0, 1)
    if smoothing > 0.3:
        grain = cv2.GaussianBlur(grain, (0, 0), smoothing) * np.float32(1 + smoothing)
    return np.clip(np.rint(image + np.float32(sigma) * grain), 0, 255).astype(np.uint8)


def _sharpen(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """The bright and dark rims that cameras draw around edges."""
    amount = strength * rng.uniform(0.3, 1.5)
    return cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), rng.uniform(0.8, 2)), -amount, 0)


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))
