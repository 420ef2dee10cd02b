"""What light and camera do to a training image (H, W, 3) uint8 RGB: its colours, and what is lost of its details.

albumentations does it, but for the noise, where it takes 7 ms for 640 x 640 pixels and ours 1 ms. All chance comes from
the generator, and images are not changed in place.
"""

import os
from functools import partial

import cv2
import numpy as np

# before its import: it would ask the network for a newer release
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

LOWEST_RESOLUTION = 0.6  # of the image's: words of ten pixels keep six, which can still be read
STRONGEST_NOISE = 12.0  # of 255, standard deviation
BYTE_DEVIATION = 256 / 12**0.5  # standard deviation of a random byte
JPEG_QUALITY = (40, 95)

# One change each: a seed makes all parts of one `Compose` draw the same numbers, so that they would come together.
EXPOSE = A.Compose([A.RandomBrightnessContrast(brightness_limit=0.25, contrast_limit=0.3, p=1)])
TINT = A.Compose([A.HueSaturationValue(hue_shift_limit=15, sat_shift_limit=30, val_shift_limit=15, p=1)])
MAKE_GREY = A.Compose([A.ToGray(p=1)])
LOWER_RESOLUTION = A.Compose(
    [
        A.Downscale(
            scale_range=(LOWEST_RESOLUTION, 0.95),
            interpolation_pair={"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR},
            p=1,
        )
    ]
)
BLUR = A.Compose([A.OneOf([A.GaussianBlur(blur_limit=(3, 5)), A.MotionBlur(blur_limit=(3, 5))], p=1)])
COMPRESS = A.Compose([A.ImageCompression(quality_range=JPEG_QUALITY, p=1)])


def change_colours(image: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Other brightness and contrast with a probability, other hue and saturation with half of it; seldom grey."""
    for share, change in ((1.0, EXPOSE), (0.5, TINT), (0.125, MAKE_GREY)):
        if rng.random() < share * probability:
            image = _apply(change, image, rng)
    return image


def degrade(image: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Each of lower resolution, blur, noise and compression with a probability, in the order in which a camera causes
    them."""
    for lose in (partial(_apply, LOWER_RESOLUTION), partial(_apply, BLUR), add_noise, partial(_apply, COMPRESS)):
        if rng.random() < probability:
            image = lose(image, rng)
    return image


def add_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of each pixel and colour by itself; uniform, since normal noise takes sixteen times as long."""
    grain = np.frombuffer(rng.bytes(image.size), dtype=np.uint8).reshape(image.shape)
    strength = rng.uniform(0, STRONGEST_NOISE) / BYTE_DEVIATION
    return cv2.addWeighted(image, 1, grain, strength, -127.5 * strength)


def _apply(change: A.Compose, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    change.set_random_seed(int(rng.integers(2**31)))
    return change(image=image)["image"]
