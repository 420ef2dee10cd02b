"""Colours laid over each other on a transparent patch."""

import cv2
import numpy as np


class Layers:
    """A patch of (height, width), transparent at first; what is laid onto it covers what was there."""

    def __init__(self, shape: tuple[int, int]):
        self.shape = shape
        self._planes = [np.zeros(shape, np.float32) for _ in range(4)]

    def cover(self, colour: np.ndarray, alpha: np.ndarray) -> None:
        """Lay a colour (3,) in [0, 255] over it, as thick as alpha (height, width) in [0, 1]."""
        for plane, value in zip(self._planes, (*colour, 1), strict=True):
            plane += alpha * (np.float32(value) - plane)

    def light(self, change: np.ndarray) -> None:
        """Make what is there lighter, or darker, by shares (height, width) or (width,) of its colour."""
        for plane in self._planes[:3]:
            plane *= 1 + change
            np.clip(plane, 0, 255 * self._planes[3], out=plane)

    def lift(self, change: np.ndarray) -> None:
        """Add change (height, width) in [-1, 1], of white, to what is there."""
        for plane in self._planes[:3]:
            plane += 255 * change
            np.clip(plane, 0, 255 * self._planes[3], out=plane)

    def merge(self) -> np.ndarray:
        """(height, width, 4) float32: RGB in [0, 255] times alpha in [0, 1]."""
        return cv2.merge(self._planes)


def moved(ink: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """Coverage (height, width) moved by so many pixels."""
    return cv2.warpAffine(ink, np.array([[1, 0, dx], [0, 1, dy]], np.float64), ink.shape[::-1])
