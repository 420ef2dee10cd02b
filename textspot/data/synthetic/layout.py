"""Where words go: free places of a scene, or the dense rows of a sheet."""

from dataclasses import dataclass

import cv2
import numpy as np

from textspot.data.synthetic.lettering import SUPERSAMPLE, Lettering, draw_lettering
from textspot.data.synthetic.placement import Placement, inside, plane_homography, project, translation
from textspot.data.synthetic.scribe import Scribe
from textspot.geometry import box_to_quad

CLEARANCE = 0.35  # capital heights around a lettering that stay free of other text: plates and outlines end there
CELL = 2  # pixels per cell of the map of taken places
PLACES = 12  # tries to find a free place for a lettering before it is made smaller
SHRINK = 0.6
ROW_RISE, ROW_FALL = 1.35, 0.7  # capital heights of a row above and below its baseline: accents, descenders and plates
BLOCKS = ((1,), (1,), (1,), (1,), (1,), (2,), (3,), (1, 1), (2, 1), (2, 3), (1, 2, 2))  # words per line


@dataclass(frozen=True)
class Page:
    """What a layout has to fill: `height`, `width` in pixels; the range of heights of capitals; the largest angles in radians
    by which text is turned within the image and tilted out of it."""

    height: int
    width: int
    text_height: tuple[float, float]
    max_rotation: float
    max_tilt: float

    def draw_text_height(self, rng: np.random.Generator) -> float:
        """A height of capitals, as often between 10 and 20 pixels as between 20 and 40."""
        low, high = np.log(self.text_height)
        return float(np.exp(rng.uniform(low, high)))

    def draw_plane(self, rng: np.random.Generator, radius: float) -> np.ndarray:
        """A plane (3, 3) turned at random, small angles more often than large ones; half the diagonal of it is `radius`."""
        angle = self.max_rotation * rng.triangular(-1, 0, 1)
        pitch, yaw = self.max_tilt * rng.triangular(-1, 0, 1, 2)
        return plane_homography(angle, pitch, yaw, radius)


def lay_scene(rng: np.random.Generator, page: Page, scribe: Scribe, num_words: int) -> list[Placement]:
    """Up to `num_words` words, alone and in blocks of short lines, each block at a free place of its own.

    What finds no free place is made smaller, down to the lowest height wanted, and then left out.
    """
    taken = np.zeros((page.height // CELL + 1, page.width // CELL + 1), np.uint8)
    placements: list[Placement] = []
    words_left = num_words
    while words_left > 0:
        block = BLOCKS[rng.integers(len(BLOCKS))]
        if sum(block) > words_left:
            block = (1,)
        words_left -= sum(block)
        placement = _find_place(rng, page, taken, scribe, block)
        if placement is not None:
            placements.append(placement)
    return placements


def lay_sheet(rng: np.random.Generator, page: Page, scribe: Scribe) -> list[Placement]:
    """Rows of words, each in a typeface of its own, that fill the image; all lie on one turned plane."""
    plane = page.draw_plane(rng, 0.5 * float(np.hypot(page.height, page.width)))
    plane = translation(page.width / 2, page.height / 2) @ plane
    corners = box_to_quad(np.array([0, 0, page.width, page.height]))
    corners = project(np.linalg.inv(plane), corners)
    (left, y), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    placements: list[Placement] = []
    while y < bottom:
        capital = page.draw_text_height(rng)
        y += ROW_RISE * capital
        x = left + rng.uniform(0, 1) * capital
        while x < right:
            lettering = _letter(rng, scribe, capital)
            if lettering is None:
                return placements
            ink_left, _, ink_right, _ = lettering.box / SUPERSAMPLE
            to_row = translation(x - ink_left, y - lettering.baseline / SUPERSAMPLE)
            homography = plane @ to_row @ np.diag([1 / SUPERSAMPLE, 1 / SUPERSAMPLE, 1])
            placement = Placement(lettering, homography)
            if inside(placement.outline(CLEARANCE), page.height, page.width):
                placements.append(placement)
            x += ink_right - ink_left + rng.uniform(0.8, 1.6) * capital
        y += ROW_FALL * capital
    return placements


def _letter(rng: np.random.Generator, scribe: Scribe, capital: float) -> Lettering | None:
    picked = scribe.pick(rng, (1,), capital)
    return None if picked is None else draw_lettering(*picked, capital)


def _find_place(
    rng: np.random.Generator, page: Page, taken: np.ndarray, scribe: Scribe, block: tuple[int, ...]
) -> Placement | None:
    """A block at a place where nothing is yet, which is then marked as taken."""
    capital = page.draw_text_height(rng)
    gap, pitch = rng.uniform(0.4, 0.7), rng.uniform(1.6, 2.2)
    while capital >= page.text_height[0]:
        picked = scribe.pick(rng, block, capital)
        if picked is None:
            return None
        lettering = draw_lettering(*picked, capital, gap, pitch)
        for _ in range(PLACES):
            placement = _throw(rng, page, lettering)
            if placement is not None and _take(taken, placement):
                return placement
        capital *= SHRINK
    return None


def _throw(rng: np.random.Generator, page: Page, lettering: Lettering) -> Placement | None:
    """The lettering somewhere in the image, None if it does not fit there."""
    left, top, right, bottom = lettering.box / SUPERSAMPLE
    to_origin = translation(-(left + right) / 2, -(top + bottom) / 2) @ np.diag([1 / SUPERSAMPLE, 1 / SUPERSAMPLE, 1])
    plane = page.draw_plane(rng, 0.5 * float(np.hypot(right - left, bottom - top))) @ to_origin
    outline = Placement(lettering, plane).outline(CLEARANCE)
    low, high = -outline.min(axis=0), np.array([page.width, page.height]) - outline.max(axis=0)
    if (low > high).any():
        return None
    return Placement(lettering, translation(*rng.uniform(low, high)) @ plane)


def _take(taken: np.ndarray, placement: Placement) -> bool:
    """Mark the cells below a placement as taken; False, and nothing marked, if some already were."""
    quad = np.rint(placement.outline(CLEARANCE) / CELL).astype(np.int32)
    left, top = np.clip(quad.min(axis=0), 0, None)
    right, bottom = quad.max(axis=0) + 1
    window = taken[top:bottom, left:right]
    cells = cv2.fillConvexPoly(np.zeros_like(window), quad - (left, top), 1)
    if (window & cells).any():
        return False
    window |= cells
    return True
