"""Augmentation: one homography moves image and polygons together; what changes pixels alone is `photometric`."""

from dataclasses import dataclass, replace
from typing import Annotated

import cv2
import numpy as np

from textspot.ranges import NonNegative, Range, Share, check_ranges
from textspot.structures import Sample

CUT_TOLERANCE = 0.15  # of a word's smaller extent: what a crop may take away from a word that still counts
NEAREST = 0.2  # of the distance of the view's middle: what is nearer lies many frames away, and would be endless
LEAST_COVER = 0.8  # of a side of the view: small graphics and mosaics would be specks on an empty frame
FOLLOW_WORD = 0.8  # share of the crops that are laid around a word: most of a photograph holds none


@dataclass(frozen=True)
class TransformConfig:
    """Random changes of a training image.

    Args:
        min_scale: smallest random zoom; 1 is the size used at inference. Small images are enlarged until they fill most
            of the training image.
        max_scale: largest random zoom.
        max_stretch: largest random change of the aspect ratio, as a factor.
        max_rotation: largest rotation in radians, either way.
        max_perspective: largest random distortion by perspective, from 0 to 0.5. At 0.2, one edge of the image is at
            most 20 % nearer to the camera than the centre, and the opposite edge as much farther.
        colour: probability of a random change of exposure. Hue and saturation change with half of it, and the image
            turns grey with an eighth of it.
        degrade: probability of each of lower resolution, blur, noise and compression.
        border: colour (RGB) of what lies outside the image.
    """

    min_scale: float = 1.0
    max_scale: float = 1.0
    max_stretch: Annotated[float, Range(1)] = 1.0
    max_rotation: NonNegative = 0.0
    max_perspective: Annotated[float, Range(0, 0.5)] = 0.0
    colour: Share = 0.0
    degrade: Share = 0.0
    border: tuple[int, int, int] = (124, 116, 104)

    def __post_init__(self) -> None:
        check_ranges(self, "data.transforms.")
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(
                f"data.transforms: expected 0 < min_scale <= max_scale, found {self.min_scale} and {self.max_scale}"
            )


@dataclass(frozen=True, eq=False)
class Camera:
    """From where an image is seen, whatever it shows: `zoom` along x and y, `rotation` in radians, `tilt` (2,), by
    which share of the distance the right and the lower edge of the view are farther than its middle."""

    zoom: np.ndarray
    rotation: float
    tilt: np.ndarray


def place_camera(config: TransformConfig, rng: np.random.Generator) -> Camera:
    """A random camera."""
    scale = np.exp(rng.uniform(np.log(config.min_scale), np.log(config.max_scale)))
    stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(config.max_stretch))
    rotation = rng.uniform(-config.max_rotation, config.max_rotation)
    amount, direction = rng.uniform(0, config.max_perspective), rng.uniform(0, 2 * np.pi)
    tilt = amount * np.array([np.cos(direction), np.sin(direction)])
    return Camera(np.array([scale * stretch, scale / stretch]), rotation, tilt)


def fill_view(camera: Camera, image_size: tuple[int, int], size: tuple[int, int]) -> Camera:
    """The camera, nearer where an image of `image_size` would be lost in a view of `size` (both height, width).

    Along one side at least the image covers `LEAST_COVER` of the view.
    """
    nearer = LEAST_COVER * min(size[0] / image_size[0], size[1] / image_size[1]) / camera.zoom.min()
    return replace(camera, zoom=camera.zoom * max(1, nearer))


def augment(
    sample: Sample, camera: Camera, size: tuple[int, int], config: TransformConfig, rng: np.random.Generator
) -> Sample:
    """What the camera sees of a random place of the sample, in a frame of `size` (height, width)."""
    centre = _crop_centre(sample, np.array(size[::-1]) / camera.zoom, rng)
    view = warp(sample, _homography(centre, camera, size), size, config.border)
    from textspot.data.photometric import change_colours, degrade  # albumentations, which running weights needs not

    image = degrade(change_colours(view.image, config.colour, rng), config.degrade, rng)
    return replace(view, image=image)


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


def _homography(centre: np.ndarray, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """The (3, 3) matrix by which the camera brings `centre` to the middle of an image of `size`."""
    half = np.array(size[::-1]) / 2
    cosine, sine = np.cos(camera.rotation), np.sin(camera.rotation)
    turn = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag(camera.zoom)
    around_centre, to_frame = np.eye(3), np.eye(3)
    around_centre[:2] = np.column_stack([turn, -turn @ centre])
    to_frame[:2, 2] = half
    tilted = np.eye(3)
    tilted[2, :2] = camera.tilt / half
    return to_frame @ tilted @ around_centre


def warp(sample: Sample, matrix: np.ndarray, size: tuple[int, int], border: tuple[int, int, int]) -> Sample:
    """Move image and polygons by a homography (3, 3) into a frame of `size` (height, width), borders in colour
    `border`.

    Coordinates are those of pixel corners. Instances outside the frame are gone, instances the frame cuts are ignored.
    """
    image, to_frame = sample.image, matrix
    shrink = _scale_in_the_middle(matrix, size)
    if shrink < 0.8:  # the warp looks at four pixels only: average before, or thin strokes vanish
        smaller = [max(1, round(side * shrink)) for side in sample.size[::-1]]
        image = cv2.resize(image, smaller, interpolation=cv2.INTER_AREA)
        to_frame = to_frame @ np.diag([sample.size[1] / image.shape[1], sample.size[0] / image.shape[0], 1])
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV's coordinates are those of pixel centres
    by_centres = np.linalg.inv(half) @ to_frame @ half
    warped = cv2.warpPerspective(image, by_centres, size[::-1], flags=cv2.INTER_LINEAR, borderValue=border)
    polygons, transcripts, ignore = [], [], []
    for polygon, transcript, is_ignored in zip(sample.polygons, sample.transcripts, sample.ignore, strict=True):
        moved = move_points(polygon, matrix).astype(np.float32)
        low, high = moved.min(axis=0), moved.max(axis=0)
        if (high <= 0).any() or (low >= size[::-1]).any():
            continue
        overhang = max((-low).max(), (high - size[::-1]).max())
        polygons.append(moved)
        transcripts.append(transcript)
        ignore.append(bool(is_ignored) or overhang > CUT_TOLERANCE * (high - low).min())
    return Sample(warped, polygons, transcripts, np.array(ignore, dtype=bool), sample.name)


def move_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points (K, 2) moved by a homography (3, 3); those behind the camera come to lie far outside on their own side."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[:, :2] / np.maximum(moved[:, 2:], NEAREST)


def _scale_in_the_middle(matrix: np.ndarray, size: tuple[int, int]) -> float:
    """By how much a homography enlarges what comes to the middle of the frame: the square root of the determinant of
    its derivative there, which is the matrix's own divided by the cube of the distance."""
    distance = 1 / (np.linalg.inv(matrix) @ [size[1] / 2, size[0] / 2, 1])[2]
    return float(np.sqrt(abs(np.linalg.det(matrix) / distance**3)))
