"""Peaks of hand-made maps, and those that the targets promise."""

import numpy as np
import pytest
import torch

from textspot.geometry import box_to_quad, polygon_to_ribbon, quad_to_ribbon
from textspot.models.neck import STRIDE
from textspot.models.ribbon_head import OFFSET_UNIT, SCORE_PRIOR, DetectionMaps, RibbonConfig, RibbonHead, draw_targets

HEAD = RibbonHead(RibbonConfig(), 8)
WORDS = [
    quad_to_ribbon(box_to_quad([12, 8, 62, 26])),
    quad_to_ribbon(np.array([[80, 20], [140, 44], [132, 62], [72, 38]])),
    polygon_to_ribbon(np.array([[10, 70], [40, 50], [90, 58], [86, 78], [40, 70], [18, 86]]))[0],
]


def build_maps(score: np.ndarray, geometry: np.ndarray | None = None) -> DetectionMaps:
    """Maps of one image from scores (h, w) in [0, 1] and geometry (16, h, w)."""
    logits = torch.logit(torch.as_tensor(score, dtype=torch.float32), eps=1e-7)
    if geometry is None:
        geometry = np.zeros((16, *score.shape), np.float32)
    return DetectionMaps(logits[None], torch.as_tensor(geometry)[None])


def draw_maps(ribbons: list[np.ndarray]) -> DetectionMaps:
    """What a perfect network would give for words in an image of 96 x 160 pixels; its geometry is known everywhere."""
    targets = draw_targets(ribbons, np.zeros(len(ribbons), bool), (96, 160))
    centres = (np.stack(np.meshgrid(np.arange(40), np.arange(24)), axis=2) + 0.5) * STRIDE
    alone = [draw_targets([ribbon], np.zeros(1, bool), (96, 160)).score for ribbon in ribbons]
    owner = np.argmax(alone, axis=0)
    offsets = (np.array(ribbons).reshape(-1, 8, 2)[owner] - centres[:, :, None]) / OFFSET_UNIT
    return build_maps(targets.score, offsets.reshape(24, 40, 16).transpose(2, 0, 1).astype(np.float32))


def test_no_regions():
    ribbons, scores = HEAD.peaks(draw_maps(WORDS), 0)
    assert ribbons.shape == (1, 0, 2, 4, 2)
    assert scores.shape == (1, 0)


def test_the_words_of_the_targets_are_found_exactly():
    ribbons, scores = HEAD.peaks(draw_maps(WORDS), 3)
    np.testing.assert_allclose(scores, 1, atol=1e-5)
    found = sorted(ribbons[0].numpy(), key=lambda ribbon: ribbon[..., 1].min())
    for ribbon, word in zip(found, sorted(WORDS, key=lambda ribbon: ribbon[..., 1].min()), strict=True):
        np.testing.assert_allclose(ribbon, word, atol=1e-3)


def test_regions_beyond_the_last_peak_have_score_0_and_finite_ribbons():
    ramp = np.arange(1, 21, dtype=np.float32).reshape(4, 5) / 40
    ribbons, scores = HEAD.peaks(build_maps(ramp), 20)
    np.testing.assert_allclose(scores[0], [0.5] + [0] * 19, atol=1e-6)
    assert ribbons.isfinite().all()


def test_a_score_of_nothing_at_all_gives_finite_ribbons():
    """Logits this low are 0 as probabilities, and so is the sum of the weights of the mean."""
    maps = DetectionMaps(torch.full((1, 6, 6), -200.0), torch.zeros(1, 16, 6, 6))
    ribbons, scores = HEAD.peaks(maps, 36)
    assert not scores.any()
    assert ribbons.isfinite().all()


def test_peaks_come_best_first_each_image_for_itself():
    score = np.zeros((2, 12, 20), np.float32)
    score[0, 2, 3], score[0, 9, 15], score[0, 5, 9] = 0.3, 0.9, 0.6
    score[1, 4, 4] = 0.5
    one, two = build_maps(score[0]), build_maps(score[1])
    maps = DetectionMaps(*(torch.cat(pair) for pair in zip(one, two, strict=True)))
    ribbons, scores = HEAD.peaks(maps, 3)
    np.testing.assert_allclose(scores[0], [0.9, 0.6, 0.3], atol=1e-5)
    assert scores[1, 0] == pytest.approx(0.5, abs=1e-5)
    centres = ribbons[:, :, 0, 0] / STRIDE - 0.5
    np.testing.assert_allclose(centres[0], [[15, 9], [9, 5], [3, 2]], atol=1e-3)
    np.testing.assert_allclose(centres[1, 0], [4, 4], atol=1e-3)


def test_only_the_highest_of_neighbouring_cells_is_a_peak():
    score = np.zeros((8, 8), np.float32)
    score[3, 3], score[4, 4], score[3, 4], score[6, 6] = 0.8, 0.7, 0.6, 0.5
    assert HEAD.count_peaks(build_maps(score), 0.1) == 2


def test_equal_neighbours_are_both_peaks_of_the_same_ribbon():
    """A tie is left to the suppression of overlaps; none of the two may be lost."""
    score = np.zeros((8, 8), np.float32)
    score[3, 3] = score[3, 4] = 0.8
    ribbons, scores = HEAD.peaks(build_maps(score), 2)
    np.testing.assert_allclose(scores[0], 0.8, atol=1e-5)
    np.testing.assert_allclose(ribbons[0, 0], ribbons[0, 1], atol=1e-2)


def test_the_ribbon_is_the_score_weighted_mean_of_the_neighbours():
    rng = np.random.default_rng(0)
    score, geometry = rng.uniform(0.1, 0.5, (5, 7)).astype(np.float32), rng.normal(size=(16, 5, 7)).astype(np.float32)
    score[2, 3] = 0.9
    ribbons, scores = HEAD.peaks(build_maps(score, geometry), 1)
    total, weights = np.zeros((8, 2)), 0.0
    for row in (1, 2, 3):
        for column in (2, 3, 4):
            centre = np.array([column + 0.5, row + 0.5]) * STRIDE
            total += score[row, column] * (geometry[:, row, column].reshape(8, 2) * OFFSET_UNIT + centre)
            weights += score[row, column]
    np.testing.assert_allclose(ribbons[0, 0].reshape(8, 2), total / weights, atol=1e-3)
    assert scores[0, 0] == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 6), (4, 0), (4, 6), (0, 3), (2, 6)])
def test_a_peak_at_the_border_has_the_ribbon_of_its_cell(row, column):
    score = np.zeros((5, 7), np.float32)
    score[row, column] = 0.9
    ribbons, scores = HEAD.peaks(build_maps(score), 1)
    assert scores[0, 0] == pytest.approx(0.9, abs=1e-5)
    np.testing.assert_allclose(ribbons[0, 0, 0, 0] / STRIDE - 0.5, [column, row], atol=1e-3)


def test_peaks_are_counted_from_the_threshold_up_in_the_fullest_image():
    score = torch.zeros(2, 8, 8)
    score[0, 2, 2] = score[0, 6, 6] = 0.7
    score[1, 2, 2] = 0.9
    maps = DetectionMaps(torch.logit(score, eps=1e-7), torch.zeros(2, 16, 8, 8))
    lower, higher = (maps.score_logits.sigmoid()[image, 2, 2].item() for image in (0, 1))
    thresholds = (0.5, lower, 0.8, higher, 0.95)
    assert [HEAD.count_peaks(maps, threshold) for threshold in thresholds] == [2, 2, 1, 1, 0]


def test_a_new_head_believes_in_no_text():
    torch.manual_seed(0)
    maps = RibbonHead(RibbonConfig(), 8)(torch.zeros(1, 8, 6, 6))
    np.testing.assert_allclose(maps.score_logits.sigmoid().detach(), SCORE_PRIOR, rtol=0.01)
    assert maps.geometry.shape == (1, 16, 6, 6)
