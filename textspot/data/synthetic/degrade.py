"""What a camera does to the picture: exposure, blur, noise, compression."""

import cv2
import numpy as np

BLUR = 0.07  # largest standard deviation, as a share of the lowest text's height: more makes it unreadable
NOISE = 14.0  # largest standard deviation, of 255, for text of at least NOISE_HEIGHT pixels; less for lower text
NOISE_HEIGHT = 16.0
WORST_QUALITY = 40  # of JPEG


def degrade(rng: np.random.Generator, image: np.ndarray, strength: float, text_height: float) -> np.ndarray:
    """The image (H, W, 3) uint8 RGB as a camera might have taken it.

    `strength` 0 changes nothing, 1 is the most that leaves text of `text_height` pixels readable. Each effect is there
    in half of the images.
    """
    if strength == 0:
        return image
    if rng.random() < 0.5:
        image = _expose(rng, image, strength)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.2, 1) * strength * BLUR * text_height
        image = cv2.GaussianBlur(image, (0, 0), max(sigma, 0.1))
    if rng.random() < 0.5:
        sigma = rng.uniform(0, 1) * strength * NOISE * min(1.0, text_height / NOISE_HEIGHT)
        grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(sigma)
        image = np.clip(np.rint(image + grain), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = round(rng.uniform(100 - (100 - WORST_QUALITY) * strength, 100))
        image = _compress(image, quality)
    return image


def _expose(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Less contrast, lighter or darker, a gamma: one table for all pixels."""
    gain = 1 - strength * rng.uniform(0, 0.35)
    offset = (1 - gain) * rng.uniform(0, 255)
    gamma = np.exp(strength * rng.uniform(-0.4, 0.4))
    table = 255 * ((gain * np.arange(256) + offset) / 255) ** gamma
    return cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8))


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))
