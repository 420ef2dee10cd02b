"""Vertical lines: letters upright below one another, read from top to bottom, columns from right to left."""

import cv2
import numpy as np
import pytest
import torch
from PIL import features

from textspot.data.synthetic.lettering import QUARTER, SUPERSAMPLE, Line, draw_lettering
from textspot.data.synthetic.paint import warp
from textspot.data.synthetic.placement import Placement, plane_homography, translation
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.synthetic.typefaces import load_typefaces
from textspot.data.synthetic.words import PRINTABLE_ASCII, WordConfig
from textspot.geometry import polygon_area, polygon_to_ribbon
from textspot.models.text_pooling import RoiConfig, TextPooling
from textspot.structures import Prediction, TextInstance

FACE = next(face for face in load_typefaces("shipped", PRINTABLE_ASCII) if face.path.endswith("DroidSans.ttf"))
WORDS = WordConfig(sign_share=0, min_length=1, max_length=6)

pytestmark = pytest.mark.skipif(not features.check("raqm"), reason="Pillow has no Raqm")


def stand(*texts: str) -> tuple[Placement, np.ndarray]:
    """Columns of a word each, as they stand in an image, and the ink (H, W) of that image."""
    lettering = draw_lettering([Line((text,), FACE, 24, vertical=True) for text in texts])
    height, width = lettering.ink.shape
    turn = translation(height, 0) @ plane_homography(QUARTER, 0, 0, 1)
    return Placement(lettering, turn), warp(lettering.ink, turn, (width, height))


def ink_of(letter: str) -> np.ndarray:
    """The ink of a letter in a horizontal line."""
    lettering = draw_lettering([Line((letter,), FACE, 24)])
    left, top, right, bottom = lettering.boxes[0].astype(int)
    return lettering.ink[top:bottom, left:right]


def find_letters(column: np.ndarray) -> list[np.ndarray]:
    """The inks of the letters of a column (H, W), from top to bottom."""
    _, _, boxes, _ = cv2.connectedComponentsWithStats((column > 127).astype(np.uint8))
    boxes = sorted(boxes[1:].tolist(), key=lambda box: box[1])
    return [column[top : top + height, left : left + width] for left, top, width, height, _ in boxes]


def likeness(ink: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two inks, the first at the second's size."""
    resized = cv2.resize(ink, other.shape[::-1], interpolation=cv2.INTER_AREA)
    return float(np.corrcoef(resized.ravel(), other.ravel())[0, 1])


def test_letters_stand_upright_from_top_to_bottom() -> None:
    _, image = stand("FELT")
    letters = find_letters(image)
    assert len(letters) == 4
    for ink, letter in zip(letters, "FELT", strict=True):
        assert likeness(ink, ink_of(letter)) > 0.9


def test_a_polygon_begins_at_the_top_right_and_the_next_column_is_to_its_left() -> None:
    placement, image = stand("FELT", "PL")
    first, second = placement.polygons()
    for polygon in (first, second):
        top_right, bottom_right, bottom_left, top_left = polygon
        assert top_right[0] == bottom_right[0] > bottom_left[0] == top_left[0]
        assert top_right[1] == top_left[1] < bottom_right[1] == bottom_left[1]
        assert polygon_area(polygon) > 0
    assert first[:, 0].min() > second[:, 0].max()
    inside = np.zeros_like(image)
    for polygon in (first, second):
        cv2.fillPoly(inside, [np.rint(polygon).astype(np.int32)], 1)
    assert image[inside == 0].max() == 0
    margins = first[:, 0].max() - np.flatnonzero(image.any(axis=0)).max()
    assert 0 < margins <= 2 * SUPERSAMPLE


def test_a_ribbon_shows_the_letters_in_reading_order_turned_to_the_left() -> None:
    placement, image = stand("FELT")
    ribbon = polygon_to_ribbon(placement.polygons()[0])[0]
    box = placement.lettering.boxes[0]
    height, width = (box[2:] - box[:2])[::-1].astype(int) + 2 * SUPERSAMPLE
    pooling = TextPooling(RoiConfig(height=int(height), width=int(width), margin=0.0), stride=1)
    patch = pooling(torch.from_numpy(image)[None, None].float(), torch.from_numpy(ribbon)[None, None])[0, 0].numpy()
    letters = find_letters(np.rot90(patch, -1).astype(np.uint8))  # turned back
    assert [max("FELT", key=lambda letter: likeness(ink, ink_of(letter))) for ink in letters] == list("FELT")
    left, top, right, bottom = box.astype(int)
    assert likeness(patch, np.pad(placement.lettering.ink[top:bottom, left:right], SUPERSAMPLE)) > 0.95


@pytest.mark.parametrize("layout", ["sheet", "scene"])
def test_rendered_columns(layout: str) -> None:
    kinds = {"words_per_image": (6, 9)} if layout == "scene" else {}
    config = RendererConfig(
        *(256, 256, layout, WORDS), vertical_share=1.0, empty_share=0, degrade=0, max_text_height=20, **kinds
    )
    sample = Renderer(config).render(0, 1)
    assert len(sample.polygons) > 3
    for polygon, text in zip(sample.polygons, sample.transcripts, strict=True):
        start, end = polygon[0], polygon[len(polygon) // 2 - 1]
        assert end[1] - start[1] > 2 * abs(end[0] - start[0]), "reading runs downwards"
        assert polygon[: len(polygon) // 2, 0].mean() > polygon[len(polygon) // 2 :, 0].mean()
        assert len(text) > 1
        assert polygon_area(polygon) > 0


def test_some_pieces_of_a_scene_are_vertical() -> None:
    config = RendererConfig(320, 320, vertical_share=0.5, words=WORDS, words_per_image=(9, 12), empty_share=0)
    polygons = [polygon for index in range(4) for polygon in Renderer(config).render(1, index).polygons]
    down = [abs(p[len(p) // 2 - 1] - p[0])[1] > abs(p[len(p) // 2 - 1] - p[0])[0] for p in polygons]
    assert 3 < sum(down) < len(down) - 3


def test_lines_of_columns_are_grouped_and_ordered() -> None:
    """What is found of two columns comes out as two lines, the right one first."""
    placement, image = stand("FELT", "PL")
    found = [TextInstance(p, t, 0.9, 0.9) for p, t in zip(placement.polygons(), ("FELT", "PL"), strict=True)]
    assert Prediction(tuple(found[::-1]), image.shape).text == "FELT\nPL"


def test_vertical_lines_without_a_shaper_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(
        ValueError, match=r"renderer\.vertical_share is set: to draw that, install a Pillow that has Ra"
    ):
        Renderer(RendererConfig(vertical_share=0.1))
