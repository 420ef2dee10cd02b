"""Calibration without a single image of anybody's."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from textspot.compression.calibration_images import SHEET_FILE, STATE_FILE, DataFreeConfig, make_calibration_images
from textspot.compression.spotter import SpotterQuantConfig, quantize_spotter
from textspot.compression.synthesis import LayoutConfig
from textspot.data.lmdb_records import Reader
from textspot.image_files import read_image
from textspot.inference.spotter import Spotter
from textspot.runtime.torch_runtime import TorchRuntime

WORDS = LayoutConfig(words=(1, 3), length=(3, 5), height=(14, 20))
CONFIG = DataFreeConfig((96, 128), num_images=2, steps=5, words=WORDS)


@pytest.mark.slow
def test_images_and_a_picture_of_them(untrained, tmp_path):
    network, card, *_ = untrained
    images, terms = make_calibration_images(network, card, "network", CONFIG, tmp_path)
    assert terms.keys() == {"layout", "transcripts", "statistics", "variation"}
    assert [(image.shape, image.dtype) for image in images] == [((96, 128, 3), np.uint8)] * 2
    assert read_image(tmp_path / SHEET_FILE).shape[1] == 4 * 128
    noise, no_terms = make_calibration_images(network, card, "noise", CONFIG, tmp_path / "noise")
    assert not no_terms
    assert not (tmp_path / "noise" / STATE_FILE).exists()
    assert all((image != other).mean() > 0.3 for image, other in zip(images, noise, strict=True))


@pytest.mark.slow
def test_what_was_broken_off_goes_on(untrained, tmp_path):
    """From the last state that was saved, to the same images."""

    def break_off(items, _):
        for item in items:
            if item == 5:
                raise KeyboardInterrupt
            yield item

    network, card, *_ = untrained
    whole, _ = make_calibration_images(network, card, "network", CONFIG, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textspot.compression.calibration_images.SAVE_EVERY", 2)
        with pytest.raises(KeyboardInterrupt):
            make_calibration_images(network, card, "network", CONFIG, tmp_path, break_off)
    assert (tmp_path / STATE_FILE).exists()
    numbers: list[int] = []
    again, _ = make_calibration_images(
        network, card, "network", CONFIG, tmp_path, lambda items, _: numbers.extend(items) or items
    )
    assert numbers == list(range(4, 2 * CONFIG.steps))
    assert all(np.array_equal(image, other) for image, other in zip(again, whole, strict=True))


@pytest.mark.slow
def test_other_settings_or_weights_do_not_go_on_from_it(untrained, tmp_path):
    network, card, *_ = untrained
    make_calibration_images(network, card, "network", CONFIG, tmp_path)
    other = copy.deepcopy(network)
    other.detector.score.bias.data += 1
    with pytest.raises(ValueError, match="begun with other weights; choose another --out"):
        make_calibration_images(other, card, "network", CONFIG, tmp_path)
    for change in ({"steps": 9}, {"soft": True}, {"words": replace(WORDS, length=(3, 4))}):
        with pytest.raises(ValueError, match=f"begun with other {next(iter(change))}: .* choose another --out"):
            make_calibration_images(network, card, "network", replace(CONFIG, **change), tmp_path)


@pytest.mark.slow
def test_a_network_calibrated_on_its_own_images_still_reads(learned, tmp_path):
    network, card, _, data = learned
    config = DataFreeConfig((128, 160), num_images=4, steps=60, words=WORDS)
    images, _ = make_calibration_images(network, card, "network", config, tmp_path)
    quantized = quantize_spotter(network, card, SpotterQuantConfig(), images)
    sample = Reader(data).sample(0)
    found = Spotter(TorchRuntime(quantized, torch.device("cpu")), card)(sample.image)
    assert sorted(one.text for one in found) == sorted(sample.transcripts)


@pytest.mark.parametrize("size", [(0, 32), (100, 128)])
def test_sizes_that_cannot_be(size):
    with pytest.raises(ValueError, match="expected two sides that 32 divides"):
        DataFreeConfig(size)
