"""Text pooling against a plain loop over points, in float64."""

import numpy as np
import pytest
import torch

from textspot.geometry import box_to_quad, polygon_to_ribbon, quad_to_ribbon, ribbon_points, ribbon_size
from textspot.models.text_pooling import ProportionalRoiConfig, ProportionalTextPooling, RoiConfig, TextPooling
from textspot.text.charset import Charset
from textspot.text.ctc import decode_best_path

STRIDE, H, W = 4, 16, 24  # a map of an image of 64 x 96 pixels


def sample_bilinear(features: np.ndarray, x: float, y: float, stride: int) -> np.ndarray:
    """The map (D, h, w) at a point in pixels of the image; cells outside it are 0."""
    x, y = x / stride - 0.5, y / stride - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    value = np.zeros(len(features))
    for column in (left, left + 1):
        for row in (top, top + 1):
            if 0 <= column < features.shape[2] and 0 <= row < features.shape[1]:
                value += features[:, row, column] * (1 - abs(x - column)) * (1 - abs(y - row))
    return value


def pool_slowly(features: np.ndarray, ribbon: np.ndarray, config: RoiConfig, stride: int = STRIDE) -> np.ndarray:
    """The patch (D, height, width) of one ribbon, point by point."""
    u = (np.arange(config.width) + 0.5) / config.width
    v = (np.arange(config.height) + 0.5) / config.height * (1 + 2 * config.margin) - config.margin
    points = ribbon_points(ribbon, u, v)
    return np.array([[sample_bilinear(features, x, y, stride) for x, y in row] for row in points]).transpose(2, 0, 1)


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


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", RIBBONS)
def test_a_finer_map_is_pooled_at_as_many_more_rows_and_columns(name, scale):
    features = np.random.default_rng(0).normal(size=(3, scale * H, scale * W))
    ribbon = torch.tensor(np.array(RIBBONS[name]), dtype=torch.float32)[None, None]
    pooling = TextPooling(RoiConfig(8, 16), STRIDE, scale)
    patches = pooling(torch.tensor(features, dtype=torch.float32)[None], ribbon)
    expected = pool_slowly(features, RIBBONS[name], RoiConfig(8 * scale, 16 * scale), STRIDE // scale)
    np.testing.assert_allclose(patches[0], expected, atol=1e-4)


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


PROPORTIONAL = ProportionalRoiConfig(8, 48, columns_per_height=8, min_width=6)
BOXES = {
    "a word": ([8, 20, 56, 36], 24),
    "narrower than a cell": ([30, 20, 32, 30], 6),
    "lower than a cell": ([30, 20, 40, 23], 27),
    "wider than the limit": ([2, 20, 94, 28], 48),
    "higher than wide": ([30, 2, 34, 60], 6),
    "partly outside": ([70, 40, 130, 60], 24),
}


@pytest.mark.parametrize("name", BOXES)
def test_the_patch_of_a_box_is_that_of_a_plain_loop_and_zeros_behind(name):
    box, num_columns = BOXES[name]
    features = np.random.default_rng(0).normal(size=(3, H, W))
    ribbon = torch.tensor(quad_to_ribbon(box_to_quad(box)))[None, None]
    patches = ProportionalTextPooling(PROPORTIONAL, STRIDE)(torch.tensor(features, dtype=torch.float32)[None], ribbon)
    expected = pool_slowly(features, ribbon[0, 0].numpy(), RoiConfig(8, num_columns, PROPORTIONAL.margin))
    assert patches.shape == (1, 3, 8, 48)
    np.testing.assert_allclose(patches[0, :, :, :num_columns], expected, atol=1e-4)
    assert not patches[0, :, :, num_columns:].any()


@pytest.mark.parametrize("name", BOXES)
def test_a_finer_patch_ends_where_the_other_does(name):
    box, num_columns = BOXES[name]
    ribbon = torch.tensor(quad_to_ribbon(box_to_quad(box)))[None, None]
    is_padding = ProportionalTextPooling(PROPORTIONAL, STRIDE, scale=2).grid(ribbon)[0, 0, 0, :, 0] < -1e5
    assert is_padding.tolist() == [column >= 2 * num_columns for column in range(96)]


@pytest.mark.parametrize("name", ["a word", "partly outside"])
def test_both_poolings_agree_on_a_straight_horizontal_ribbon(name):
    box, num_columns = BOXES[name]
    features = torch.rand(1, 3, H, W, generator=torch.Generator().manual_seed(0))
    ribbon = torch.tensor(quad_to_ribbon(box_to_quad(box)))[None, None]
    stretched = TextPooling(RoiConfig(8, num_columns), STRIDE)(features, ribbon)
    proportional = ProportionalTextPooling(PROPORTIONAL, STRIDE)(features, ribbon)
    np.testing.assert_allclose(proportional[..., :num_columns], stretched, atol=1e-5)


def test_identical_boxes_have_identical_patches_whatever_lies_beside_them():
    word, line = (torch.tensor(quad_to_ribbon(box_to_quad(box))) for box in ([8, 20, 56, 36], [2, 40, 94, 48]))
    features = torch.rand(1, 3, H, W, generator=torch.Generator().manual_seed(0))
    pooling = ProportionalTextPooling(PROPORTIONAL, STRIDE)
    first, second, _ = pooling(features, torch.stack([word, word, line])[None])
    assert torch.equal(first, second)
    assert torch.equal(first, pooling(features, word[None, None])[0])


@pytest.mark.parametrize("name", RIBBONS)
def test_columns_follow_the_shape_of_a_ribbon(name):
    height, width = ribbon_size(RIBBONS[name])
    expected = np.clip(round(8 * width / max(height, 1e-3)), 6, 48)
    ribbon = torch.tensor(np.array(RIBBONS[name]), dtype=torch.float32)
    assert int(PROPORTIONAL.count_columns(ribbon)) == expected
    assert RoiConfig(8, 48).count_columns(ribbon.expand(2, 3, 2, 4, 2)).tolist() == [[48] * 3] * 2


def test_columns_are_the_same_under_autocast():
    ribbons = torch.tensor(
        np.array([quad_to_ribbon(box_to_quad([900, 500, 900 + width, 531])) for width in range(40, 90)])
    )
    with torch.autocast("cpu", torch.bfloat16):
        columns = PROPORTIONAL.count_columns(ribbons)
    assert torch.equal(columns, PROPORTIONAL.count_columns(ribbons))


def test_behind_a_region_stands_a_certain_blank():
    """CTC is then that of the steps before alone, and so is what is decoded."""
    ribbons = torch.tensor(np.array([quad_to_ribbon(box_to_quad(box)) for box, _ in BOXES.values()]))
    logits = torch.randn(len(ribbons), 24, 4, generator=torch.Generator().manual_seed(0))
    masked = ProportionalTextPooling(PROPORTIONAL, STRIDE).blank_padding(logits, ribbons)
    for row, (_, num_columns) in enumerate(BOXES.values()):
        steps = -(-num_columns // 2)  # a step that sees one column of the region counts
        assert torch.equal(masked[row, :steps], logits[row, :steps])
        token, length = torch.tensor([[1, 2]]), torch.tensor([2])
        alternatives = masked[row], logits[row, :steps]
        losses = [
            torch.nn.functional.ctc_loss(
                values[None].log_softmax(2).transpose(0, 1), token, torch.tensor([len(values)]), length, reduction="sum"
            )
            for values in alternatives
        ]
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
        whole, part = (decode_best_path(values[None].numpy(), Charset("abc"))[0][0] for values in alternatives)
        assert whole == part


def test_what_stretched_regions_show_is_all_region():
    logits = torch.rand(2, 8, 4)
    assert TextPooling(RoiConfig(8, 16), STRIDE).blank_padding(logits, torch.zeros(2, 2, 4, 2)) is logits


@pytest.mark.parametrize("kind", [TextPooling, ProportionalTextPooling])
def test_no_regions_at_all(kind):
    pooling = kind(PROPORTIONAL, STRIDE)
    assert pooling(torch.ones(2, 3, H, W), torch.zeros(2, 0, 2, 4, 2)).shape == (0, 3, 8, 48)
    assert pooling.blank_padding(torch.zeros(0, 24, 4), torch.zeros(0, 2, 4, 2)).shape == (0, 24, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns_per_height": 0.0}, "model.roi.proportional.columns_per_height is 0.0, expected a number above 0"),
        ({"min_width": 65}, r"model.roi.proportional.min_width is 65, expected 1 to width \(64\)"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        ProportionalRoiConfig(**settings)
