"""Where words go: free places of a scene, or the dense rows of a sheet."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from textspot.data.synthetic.chance import log_uniform
from textspot.data.synthetic.composition import WORD, Composition, compose
from textspot.data.synthetic.lettering import QUARTER, SUPERSAMPLE, Lettering, draw_lettering
from textspot.data.synthetic.placement import Placement, inside, plane_homography, project, translation
from textspot.data.synthetic.scribe import Scribe
from textspot.geometry import box_to_quad

CLEARANCE = 0.15  # capital heights around a lettering and its margins that stay free of other text: outlines end there
CELL = 2  # pixels per cell of the map of taken places
PLACES = 12  # tries to find a free place for a lettering before it is made smaller
OWN_PLANE = 0.25  # share of the places whose plane is turned in a way of its own
SHRINK = 0.6
ROW_RISE, ROW_FALL = 1.45, 0.65  # capital heights of a row above and below its baseline: brackets, descenders, plates
ROW_MISFITS = 2  # words that do not fit any more before a row is left
SPREAD = np.array(
    [  # weights of a quad's corners: three by three points over it
        [(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v] for v in (0.1, 0.5, 0.9) for u in (0.1, 0.5, 0.9)
    ]
)
TO_IMAGE_SCALE = np.diag([1 / SUPERSAMPLE, 1 / SUPERSAMPLE, 1])


@dataclass(frozen=True)
class Page:
    """What a layout has to fill: `height`, `width` in pixels; the least and the largest height of capitals; the largest
    angles in radians by which text is turned within the image and tilted out of it; the share of pieces, or of sheets,
    whose lines are vertical."""

    height: int
    width: int
    text_height: tuple[float, float]
    max_rotation: float
    max_tilt: float
    vertical_share: float = 0.0

    def draw_vertical(self, rng: np.random.Generator) -> bool:
        """Whether the next lines are vertical; the generator is left alone where none is."""
        return self.vertical_share > 0 and rng.random() < self.vertical_share

    def draw_angles(self, rng: np.random.Generator) -> np.ndarray:
        """Rotation, pitch and yaw (3,) of a plane, by small angles more often than by large ones."""
        return np.array([self.max_rotation, self.max_tilt, self.max_tilt]) * rng.triangular(-1, 0, 1, 3)


def lay_scene(
    rng: np.random.Generator, page: Page, scribe: Scribe, num_words: int, busyness: np.ndarray
) -> list[Placement]:
    """Up to `num_words` words, alone and in signs, posters, paragraphs, each of these at a free place of its own, where
    `busyness`, a map (h, w) of the image at any size, is low rather than high.

    What finds no free place is made smaller, down to the lowest height wanted, then makes way for a single word.
    """
    scene = _Scene(rng, page, scribe, busyness)
    placements: list[Placement] = []
    words_left = num_words
    while words_left > 0:
        composition = compose(rng, words_left)
        words_left -= sum(count for count, _ in composition.lines)
        placement = scene.find_place(composition) or scene.find_place(WORD)
        if placement is not None:
            placements.append(placement)
    return placements


def lay_sheet(rng: np.random.Generator, page: Page, scribe: Scribe) -> list[Placement]:
    """Rows of words, each in a typeface of its own, that fill the image; all lie on one turned plane. Vertical rows are
    columns, from right to left."""
    scribe = scribe.turned() if page.draw_vertical(rng) else scribe
    angle, pitch, yaw = page.draw_angles(rng)
    plane = plane_homography(
        angle + QUARTER * scribe.vertical, pitch, yaw, 0.5 * float(np.hypot(page.height, page.width))
    )
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
    while misfits < ROW_MISFITS and (lines := scribe.pick(rng, [(1, capital)])) is not None:
        lettering = draw_lettering(lines)
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


class _Scene:
    """An image that fills with text: what is taken, and how the scene as a whole is seen."""

    def __init__(self, rng: np.random.Generator, page: Page, scribe: Scribe, busyness: np.ndarray):
        self.rng, self.page, self.scribe, self.busyness = rng, page, scribe, busyness
        self.taken: np.ndarray = np.zeros((page.height // CELL + 1, page.width // CELL + 1), np.uint8)
        self.view = page.draw_angles(rng)

    def find_place(self, composition: Composition) -> Placement | None:
        """A composition at a place where nothing is yet, which is then marked as taken."""
        lowest, highest = self.page.text_height
        scribe = self.scribe
        if self.page.draw_vertical(self.rng):
            scribe, composition = scribe.turned(), replace(composition, icon=False, bend=0.0)
        capital = log_uniform(self.rng, lowest, highest)
        while (lettering := composition.write(self.rng, scribe, capital, lowest)) is not None:
            thrown = [self._throw(lettering) for _ in range(PLACES)]
            placements = self._calmest_first([placement for placement in thrown if placement is not None])
            placement = next((placement for placement in placements if self._take(placement)), None)
            if placement is not None:
                return replace(placement, board=composition.board, icon=composition.icon)
            if capital <= lowest:
                break
            capital = max(SHRINK * capital, lowest)
        return None

    def _throw(self, lettering: Lettering) -> Placement | None:
        """The lettering somewhere in the image, None if it does not fit there; mostly turned nearly as the scene is."""
        left, top, right, bottom = lettering.frame
        own = 1 if self.rng.random() < OWN_PLANE else self.rng.uniform(0, 0.3)
        angle, pitch, yaw = own * self.page.draw_angles(self.rng) + (1 - own) * self.view
        angle += QUARTER * lettering.vertical
        plane = plane_homography(angle, pitch, yaw, 0.5 * float(np.hypot(right - left, bottom - top)) / SUPERSAMPLE)
        plane = plane @ TO_IMAGE_SCALE @ translation(-(left + right) / 2, -(top + bottom) / 2)
        outline = Placement(lettering, plane).outline(CLEARANCE)
        low, high = -outline.min(axis=0), np.array([self.page.width, self.page.height]) - outline.max(axis=0)
        if (low > high).any():
            return None
        return Placement(lettering, translation(*self.rng.uniform(low, high)) @ plane)

    def _calmest_first(self, placements: list[Placement]) -> list[Placement]:
        """Placements sorted by the busyness at nine points of their outlines."""
        size = np.array(self.busyness.shape[::-1])
        to_cells = size / (self.page.width, self.page.height)

        def calmness(placement: Placement) -> float:
            column, row = np.clip(SPREAD @ placement.outline(0) * to_cells, 0, size - 1).astype(int).T
            return float(self.busyness[row, column].mean())

        return sorted(placements, key=calmness)

    def _take(self, placement: Placement) -> bool:
        """Mark the cells below a placement as taken; False, and nothing marked, if some already were."""
        quad = np.rint(placement.outline(CLEARANCE) / CELL).astype(np.int32)
        left, top = np.clip(quad.min(axis=0), 0, None)
        right, bottom = quad.max(axis=0) + 1
        window = self.taken[top:bottom, left:right]
        cells = np.zeros_like(window)
        cv2.fillConvexPoly(cells, quad - (left, top), 1)
        if (window & cells).any():
            return False
        window |= cells
        return True
