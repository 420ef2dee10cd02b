"""Where a lettering lies in the image: the homography from its patch to the image, and the polygons of its words."""

from dataclasses import dataclass

import numpy as np

from textspot.data.synthetic.lettering import MARGIN, SUPERSAMPLE, Lettering
from textspot.geometry import box_to_quad

VIEWING_DISTANCE = 2.5  # from the camera to a tilted plane, in half diagonals of the plane


@dataclass(frozen=True)
class Placement:
    """A lettering and the homography (3, 3) from its patch to the image, points of both counted from their corners.

    `board` says that it stands on a board of its own, `icon` that a pictogram is in its left margin."""

    lettering: Lettering
    homography: np.ndarray
    board: bool = False
    icon: bool = False

    def polygons(self, grow: float = 0.0) -> np.ndarray:
        """The polygons (N, K, 2) float32 of the words: around their ink, wider by `MARGIN` and `grow` patch pixels per
        side."""
        return project(self.homography, self.lettering.outlines(MARGIN * SUPERSAMPLE + grow)).astype(np.float32)

    def outline(self, clearance: float) -> np.ndarray:
        """The quad (4, 2) around ink and margins, `clearance` capital heights wider on each side."""
        grow = clearance * self.lettering.cap_height + MARGIN * SUPERSAMPLE
        return project(self.homography, box_to_quad(self.lettering.frame + np.array([-1, -1, 1, 1]) * grow))


def project(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) through a homography (3, 3)."""
    mapped = points.astype(np.float64) @ homography[:, :2].T + homography[:, 2]
    return mapped[..., :2] / mapped[..., 2:]


def translation(x: float, y: float) -> np.ndarray:
    """The homography (3, 3) that moves by (x, y)."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)


def plane_homography(angle: float, pitch: float, yaw: float, radius: float) -> np.ndarray:
    """The homography (3, 3) of a plane turned about its origin by three angles in radians, seen by a pinhole camera.

    `angle` turns it clockwise within the image, `pitch` and `yaw` tilt it out of the image; `radius` is half the
    diagonal of what lies on it in pixels, and scales the distance to the camera, so that small signs look as tilted as
    large ones.
    """
    (ca, sa), (cp, sp), (cy, sy) = ((np.cos(a), np.sin(a)) for a in (angle, pitch, yaw))
    in_image = np.array([[ca, -sa, 0], [sa, ca, 0], [0, 0, 1]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    turned = in_image @ about_y @ about_x
    depth = turned[2, :2] / (VIEWING_DISTANCE * radius)
    return np.array([[*turned[0, :2], 0], [*turned[1, :2], 0], [*depth, 1]])


def inside(quads: np.ndarray, height: int, width: int) -> np.ndarray:
    """For each of the quads (..., 4, 2), whether it lies within the image."""
    return np.all((quads >= 0) & (quads <= np.array([width, height])), axis=(-2, -1))
