"""Whether memory stays flat: many images of mixed sizes through one spotter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from textspot.benchmark.machine import memory_bytes
from textspot.image_files import read_image
from textspot.progress import Track, untracked

LEAST_SHARE = 0.3  # of the width and of the height of a picture, that a cut-out has
WINDOW = 0.1  # of all images: what is looked at together as start, middle and end


@dataclass(frozen=True)
class Soak:
    """Memory in bytes while images were read: the medians of the first, the middle and the last tenth of them.

    Between start and middle a runtime may still meet sizes larger than all before; from the middle on it should not
    grow.
    """

    num_images: int
    start_bytes: float
    middle_bytes: float
    end_bytes: float
    peak_bytes: float

    @property
    def growth_bytes(self) -> float:
        """Growth per 1000 images in the second half."""
        return (self.end_bytes - self.middle_bytes) / (self.num_images * (0.5 - WINDOW / 2)) * 1000

    @classmethod
    def of(cls, memory: Sequence[float]) -> "Soak":
        """Of the memory in bytes after each image; fewer than three images are a ValueError."""
        if len(memory) < 3:
            raise ValueError(f"a soak of {len(memory)} images has no start, middle and end; give it some hundred")
        size = max(1, round(len(memory) * WINDOW))
        half = (len(memory) - size) // 2
        return cls(
            len(memory), median(memory[:size]), median(memory[half : half + size]), median(memory[-size:]), max(memory)
        )

    def __str__(self) -> str:
        start, middle, end, peak = (
            f"{value / 2**20:.0f}" for value in (self.start_bytes, self.middle_bytes, self.end_bytes, self.peak_bytes)
        )
        return (
            f"{self.num_images} images: {start} MiB at the start, {middle} in the middle, {end} at the end, {peak} at "
            f"most; {self.growth_bytes / 2**20:+.1f} MiB per 1000 images in the second half"
        )


def soak(
    read: Callable[[np.ndarray], object],
    images: Sequence[Path],
    num_images: int,
    seed: int = 0,
    track: Track = untracked,
) -> Soak:
    """Read `num_images` cut-outs of the images, each of another size and shape, in an order that the seed decides. A
    system that does not say how much memory a process has is a ValueError."""
    generator = np.random.default_rng(seed)
    memory = []
    for _ in track(range(num_images), "reading"):
        image = read_image(images[int(generator.integers(len(images)))])
        height, width = (max(1, round(side * generator.uniform(LEAST_SHARE, 1))) for side in image.shape[:2])
        read(np.ascontiguousarray(image[:height, :width]))
        memory.append(memory_bytes("VmRSS"))
    known = [value for value in memory if value is not None]
    if len(known) < len(memory):
        raise ValueError("this system does not say how much memory a process has: there is no /proc/self/status")
    return Soak.of(known)
