"""Where words go: free places of a scene, or the dense rows of a sheet."""

from dataclasses import dataclass

import cv2
import numpy as np

from textspot.data.synthetic.chance import choose, log_uniform
from textspot.data.synthetic.lettering import SUPERSAMPLE, Lettering, draw_lettering
from textspot.data.synthetic.placement import Placement, inside, plane_homography, project, translation
from textspot.data.synthetic.scribe import Scribe
from textspot.geometry import box_to_quad

CLEARANCE = 0.3  # capital heights around a lettering that stay free of other text: plates and outlines end there
CELL = 2  # pixels per cell of the map of taken places
PLACES = 12  # tries to find a free place for a lettering before it is made smaller
SHRINK = 0.6
ROW_RISE, ROW_FALL = 1.45, 0.65  # capital heights of a row above and below its baseline: brackets, descenders, plates
BLOCKS = ((1,), (1,), (1,), (1,), (1,), (2,), (3,), (1, 1), (2, 1), (2, 3), (1, 2, 2))  # words per line
ROW_MISFITS = 2  # words that do not fit any more before a row is left
TO_IMAGE_SCALE = np.diag([1 / SUPERSAMPLE, 1 / SUPERSAMPLE, 1])


@dataclass(frozen=True)
class Page:
    """What a layout has to fill: `height`, `width` in pixels; the least and the largest height of capitals; the largest
    angles in radians by which text is turned within the image and tilted out of it."""

    height: int
    width: int
    text_height: tuple[float, float]
    max_rotation: float
    max_tilt: float

    def draw_plane(self, rng: np.random.Generator, radius: float) -> np.ndarray:
        """The homography (3, 3) of a plane turned at random, by small angles more often than by large ones; `radius` is
        half the diagonal of what lies on it."""
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
        block = choose(rng, BLOCKS)
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
    corners = project(np.linalg.inv(plane), box_to_quad(np.array([0, 0, page.width, page.height])))
    (left, y), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    placements: list[Placement] = []
    while y < bottom:
        capital = log_uniform(rng, *page.text_height)
        y += ROW_RISE * capital
        placements += _lay_row(rng, page, scribe, plane @ translation(0, y), (left, right), capital)
        y += ROW_FALL * capital
    return placements


def _lay_row(
    rng: np.random.Generator, page: Page, scribe: Scribe, plane: np.ndarray, ends: tuple[float, float], capital: float
) -> list[Placement]:
    """Words from end to end of the x axis of a plane, which is their baseline, as far as it runs inside the image."""
    placements: list[Placement] = []
    start, end = ends
    misfits = 0
    while misfits < ROW_MISFITS and (picked := scribe.pick(rng, (1,), capital)) is not None:
        lettering = draw_lettering(*picked, capital)
        flat = Placement(lettering, TO_IMAGE_SCALE @ translation(-lettering.box[0], -lettering.baseline))
        shifts = np.arange(start, end, capital)
        outlines = flat.outline(CLEARANCE) + np.stack([shifts, np.zeros_like(shifts)], axis=1)[:, None]
        fits = np.flatnonzero(inside(project(plane, outlines), page.height, page.width))
        if not len(fits):  # a shorter word may still fit
            misfits += 1
            continue
        shift = shifts[fits[0]]
        placements.append(Placement(lettering, plane @ translation(shift, 0) @ flat.homography))
        start = shift + (lettering.box[2] - lettering.box[0]) / SUPERSAMPLE + rng.uniform(0.7, 1.3) * capital
    return placements


def _find_place(
    rng: np.random.Generator, page: Page, taken: np.ndarray, scribe: Scribe, block: tuple[int, ...]
) -> Placement | None:
    """A block at a place where nothing is yet, which is then marked as taken."""
    capital, lowest = log_uniform(rng, *page.text_height), page.text_height[0]
    gap, pitch = rng.uniform(0.4, 0.7), rng.uniform(1.6, 2.2)
    while (picked := scribe.pick(rng, block, capital)) is not None:
        lettering = draw_lettering(*picked, capital, gap, pitch)
        for _ in range(PLACES):
            placement = _throw(rng, page, lettering)
            if placement is not None and _take(taken, placement):
                return placement
        if capital <= lowest:
            break
        capital = max(SHRINK * capital, lowest)
    return None


def _throw(rng: np.random.Generator, page: Page, lettering: Lettering) -> Placement | None:
    """The lettering somewhere in the image, None if it does not fit there."""
    left, top, right, bottom = lettering.box
    plane = page.draw_plane(rng, 0.5 * float(np.hypot(right - left, bottom - top)) / SUPERSAMPLE)
    centre = translation(-(left + right) / 2, -(top + bottom) / 2)
    plane = plane @ TO_IMAGE_SCALE @ centre
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
