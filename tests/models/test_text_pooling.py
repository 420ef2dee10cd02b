"""Text pooling against a plain loop over points, in float64."""

import numpy as np
import pytest
import torch

from textspot.geometry import box_to_quad, polygon_to_ribbon, quad_to_ribbon, ribbon_points
from textspot.models.text_pooling import RoiConfig, TextPooling

STRIDE, H, W = 4, 16, 24  # a map of an image of 64 x 96 pixels


def sample_bilinear(features: np.ndarray, x: float, y: float) -> np.ndarray:
    """The map (D, h, w) at a point in pixels of the image; cells outside it are 0."""
    x, y = x / STRIDE - 0.5, y / STRIDE - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    value = np.zeros(len(features))
    for column in (left, left + 1):
        for row in (top, top + 1):
            if 0 <= column < features.shape[2] and 0 <= row < features.shape[1]:
                value += features[:, row, column] * (1 - abs(x - column)) * (1 - abs(y - row))
    return value


def pool_slowly(features: np.ndarray, ribbon: np.ndarray, config: RoiConfig) -> np.ndarray:
    """The patch (D, height, width) of one ribbon, point by point."""
    u = (np.arange(config.width) + 0.5) / config.width
    v = (np.arange(config.height) + 0.5) / config.height * (1 + 2 * config.margin) - config.margin
    points = ribbon_points(ribbon, u, v)
    return np.array([[sample_bilinear(features, x, y) for x, y in row] for row in points]).transpose(2, 0, 1)


RIBBONS = {
    "straight": quad_to_ribbon(box_to_quad([8, 20, 72, 36])),
    "rotated": quad_to_ribbon(np.array([[20, 30], [70, 10], [76, 24], [26, 44]])),
    "upside down": quad_to_ribbon(np.array([[72, 36], [8, 36], [8, 20], [72, 20]])),
    "curved": polygon_to_ribbon(np.array([[10, 40], [40, 16], [80, 34], [74, 48], [40, 32], [18, 50]]))[0],
    "partly outside": quad_to_ribbon(np.array([[-30, 50], [40, 40], [44, 80], [-26, 90]])),
    "outside": quad_to_ribbon(box_to_quad([200, 20, 260, 36])),
    "without size": np.full((2, 4, 2), 30.0),
}


@pytest.mark.parametrize("name", RIBBONS)
@pytest.mark.parametrize("config", [RoiConfig(8, 16), RoiConfig(4, 6, margin=0.0), RoiConfig(8, 10, margin=0.5)])
def test_a_patch_is_that_of_a_plain_loop(name, config):
    features = np.random.default_rng(0).normal(size=(3, H, W))
    ribbon = torch.tensor(np.array(RIBBONS[name]), dtype=torch.float32)[None, None]
    patches = TextPooling(config, STRIDE)(torch.tensor(features, dtype=torch.float32)[None], ribbon)
    assert patches.shape == (1, 3, config.height, config.width)
    np.testing.assert_allclose(patches[0], pool_slowly(features, RIBBONS[name], config), atol=1e-4)


def test_what_lies_outside_the_image_is_zero():
    pooling = TextPooling(RoiConfig(8, 16), STRIDE)
    ribbon = torch.tensor(RIBBONS["outside"])[None, None]
    assert not pooling(torch.ones(1, 2, H, W), ribbon).any()


def test_no_slots_give_no_patches():
    patches = TextPooling(RoiConfig(8, 16), STRIDE)(torch.ones(2, 3, H, W), torch.zeros(2, 0, 2, 4, 2))
    assert patches.shape == (0, 3, 8, 16)


def test_patches_come_image_by_image_slot_by_slot():
    features = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, H, W) * 100
    across = torch.linspace(0, 1, W).expand(3, 1, H, W)
    left, right = (torch.tensor(quad_to_ribbon(box_to_quad([x, 20, x + 8, 28]))) for x in (20, 60))
    ribbons = torch.stack([left, right]).expand(3, 2, 2, 4, 2)
    values = TextPooling(RoiConfig(8, 16), STRIDE)(features + across, ribbons).mean(dim=(1, 2, 3))
    assert (values // 100).tolist() == [0, 0, 1, 1, 2, 2]
    assert ((values % 100) > 0.5).tolist() == [False, True] * 3


def test_the_grid_is_that_of_the_patch():
    pooling = TextPooling(RoiConfig(8, 16, margin=0.1), STRIDE)
    grid = pooling.grid(torch.tensor(RIBBONS["straight"])[None, None])
    assert grid.shape == (1, 1, 8, 16, 2)
    assert grid[0, 0, 0, 0].tolist() == pytest.approx([8 + 64 / 32, 20 - 1.6 + 16 * 1.2 / 16])
    assert grid[0, 0, -1, -1].tolist() == pytest.approx([72 - 64 / 32, 36 + 1.6 - 16 * 1.2 / 16])


def test_the_gradient_reaches_the_features_under_the_ribbon_and_no_others():
    features = torch.zeros(2, 3, H, W, requires_grad=True)
    ribbons = torch.tensor(RIBBONS["straight"]).expand(2, 1, 2, 4, 2)
    TextPooling(RoiConfig(8, 16, margin=0.0), STRIDE)(features, ribbons)[0].sum().backward()
    gradient = features.grad
    assert gradient[0].sum() == pytest.approx(3 * 8 * 16, rel=1e-5)  # bilinear weights sum to one
    assert (gradient[0, :, 5:9, 2:18] > 0).all()
    gradient[0, :, 4:10, 1:19] = 0
    assert not gradient.any()


def test_coordinates_stay_in_float32_under_autocast():
    """In bfloat16 a coordinate of 1000 pixels is known to 4 pixels."""
    features = torch.arange(512.0).expand(1, 1, 16, 512) / 64
    ribbon = torch.tensor(quad_to_ribbon(box_to_quad([1001, 20, 1041, 40])))[None, None]
    pooling = TextPooling(RoiConfig(8, 16), STRIDE)
    with torch.autocast("cpu", torch.bfloat16):
        patches = pooling(features, ribbon)
    assert patches.dtype == torch.float32
    np.testing.assert_allclose(patches, pooling(features, ribbon), atol=1e-6)
    assert patches[0, 0, 3].mean() == pytest.approx(((1001 + 1041) / 2 / STRIDE - 0.5) / 64, abs=1e-4)
