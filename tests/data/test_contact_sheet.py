"""Many samples on one picture: sizes, places, and nothing lost at the edges."""

import numpy as np
import pytest

from textspot.data.contact_sheet import CAPTION_HEIGHT, contact_sheet, fit_sample
from textspot.structures import Sample


def sample(height: int, width: int) -> Sample:
    polygon = np.array([[0, 0], [width, 0], [width, height]], np.float32)
    return Sample(np.zeros((height, width, 3), np.uint8), [polygon], ["word"], np.array([False]), "a.jpg")


@pytest.mark.parametrize(
    ("size", "fitted"), [((100, 400), (50, 200)), ((400, 100), (100, 25)), ((10, 10), (100, 100)), ((1, 900), (1, 200))]
)
def test_fit_sample(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    scaled = fit_sample(sample(*size), width=200, height=100)
    assert scaled.size == fitted
    np.testing.assert_allclose(scaled.polygons[0].max(axis=0), (fitted[1], size[0] * fitted[1] / size[1]), rtol=1e-6)
    assert (scaled.transcripts, scaled.name) == (["word"], "a.jpg")


def test_contact_sheet() -> None:
    pictures = [np.full((height, 30, 3), shade, np.uint8) for height, shade in ((20, 10), (40, 20), (10, 30))]
    sheet = contact_sheet(pictures, ["a", "b", "c"], columns=2, width=50)
    assert sheet.shape == (40 + 10 + 2 * CAPTION_HEIGHT, 100, 3)
    assert (sheet[:20, :30] == 10).all()
    assert (sheet[:40, 50:80] == 20).all()
    assert (sheet[40 + CAPTION_HEIGHT :][:10, :30] == 30).all()
    assert (sheet[:40, 80:] == 255).all()
    assert (sheet[40 : 40 + CAPTION_HEIGHT] < 128).any()  # the captions


def test_no_pictures() -> None:
    assert contact_sheet([], [], columns=4, width=50).shape == (CAPTION_HEIGHT, 50, 3)
