import numpy as np
import pytest

from textspot.preprocess import PreprocessConfig, preprocess

GREY = PreprocessConfig(mean=(100.4, 110.5, 120.6))


@pytest.mark.parametrize(
    ("size", "padded"),
    [((1, 1), (32, 32)), ((32, 64), (32, 64)), ((33, 64), (64, 64)), ((31, 65), (32, 96)), ((1, 500), (32, 512))],
)
def test_both_sides_are_padded_to_multiples_of_32(size, padded):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result, scale = preprocess(image, GREY)
    assert scale.tolist() == [1, 1]
    assert result.shape == (*padded, 3)
    assert result.dtype == np.uint8
    assert result[: size[0], : size[1]].tolist() == image.tolist()
    assert (result[size[0] :] == (100, 110, 121)).all()
    assert (result[:, size[1] :] == (100, 110, 121)).all()


def test_the_input_is_not_written_to():
    image = np.full((32, 32, 3), 7, np.uint8)
    preprocess(image, GREY)[0][:] = 0
    assert (image == 7).all()


@pytest.mark.parametrize("size", [(200, 400), (400, 200), (129, 400)])
def test_longer_images_are_shrunk_to_max_side(size):
    config = PreprocessConfig(max_side=128)
    result, scale = preprocess(np.full((*size, 3), 255, np.uint8), config)
    shrunk = (result == 255).all(axis=2)
    height, width = shrunk.any(axis=1).sum(), shrunk.any(axis=0).sum()
    assert (height, width) == (round(size[0] * 128 / 400), round(size[1] * 128 / 400))
    assert scale.tolist() == [width / size[1], height / size[0]]
    assert max(result.shape) == 128


def test_max_side_need_not_be_a_multiple_of_32():
    result, scale = preprocess(np.zeros((100, 200, 3), np.uint8), PreprocessConfig(max_side=100))
    assert scale.tolist() == [0.5, 0.5]
    assert result.shape == (64, 128, 3)


def test_an_image_of_max_side_stays_as_it_is():
    assert preprocess(np.zeros((10, 128, 3), np.uint8), PreprocessConfig(max_side=128))[1].tolist() == [1, 1]


def test_a_line_of_one_pixel_stays_one_when_it_is_shrunk():
    result, scale = preprocess(np.full((1, 5000, 3), 255, np.uint8), PreprocessConfig(max_side=100))
    assert scale.tolist() == [0.02, 1]
    assert result.shape == (32, 128, 3)
    assert (result[0, :100] == 255).all()


def test_thin_strokes_are_averaged_and_not_skipped():
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, ::4] = 255
    result, _ = preprocess(image, PreprocessConfig(max_side=100))
    assert (np.abs(result[:100, :100].astype(int) - 64) <= 1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_side": 0}, "preprocess.max_side is 0, expected 32 to 16384"),
        ({"std": (1.0, 0.0, 1.0)}, r"preprocess.std is \(1.0, 0.0, 1.0\), expected values above 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        PreprocessConfig(**settings)
