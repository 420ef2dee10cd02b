"""Photographs give the same in every runtime: polygons within half a pixel, and the same texts.

Wants weights, and the ICDAR 2015 images beside the repository:
TEXTSPOT_WEIGHTS=runs/icdar2015 pytest -m slow tests/runtime/test_parity.py -s
"""

import os
from pathlib import Path

import numpy as np
import pytest

import textspot
from textspot.checkpoint import load_model
from textspot.image_files import read_image
from textspot.inference.spotter import Spotter, find_weights
from textspot.runtime.export import export_onnx
from textspot.runtime.protocol import Regions
from textspot.text.ctc import decode_best_path

IMAGES = Path(__file__).parents[3] / "shared/data/icdar2015/train_images"
WEIGHTS = os.environ.get("TEXTSPOT_WEIGHTS", "spotter-s")  # or a run's folder
NUM_IMAGES = 50
TIE = 1e-3  # of logits, and of scores: nearer than that the last bits of an addition decide


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.is_dir(), reason="needs the ICDAR 2015 images in ../shared/data/icdar2015")
def test_photographs_give_the_same_in_every_runtime(tmp_path: Path) -> None:
    complaints, ties, num_regions = compare(Path(WEIGHTS), sorted(IMAGES.glob("*.jpg"))[:NUM_IMAGES], tmp_path)
    print(f"{num_regions} regions, {len(ties)} ties", *ties, sep="\n")
    assert num_regions > NUM_IMAGES
    assert complaints == []
    assert len(ties) < 0.01 * num_regions


def compare(weights: Path, images: list[Path], folder: Path) -> tuple[list[str], list[str], int]:
    """What differs between PyTorch and the others on the images, what is a tie, and the number of regions compared."""
    export_onnx(*load_model(find_weights(weights)), folder / "spotter.onnx")
    eager = textspot.load(weights, runtime="pytorch")
    others = [textspot.load(folder / "spotter.onnx", runtime=name) for name in ("onnxruntime", "openvino")]
    complaints: list[str] = []
    ties: list[str] = []
    num_regions = 0
    for path in images:
        (view,) = eager.prepare(read_image(path))
        (expected,) = eager.runtime.spot(view.pixels[None], eager.threshold, eager.max_regions)
        for other in others:
            (found,) = other.runtime.spot(view.pixels[None], eager.threshold, eager.max_regions)
            compare_regions(f"{path.name} {other.runtime.name}", eager, expected, found, complaints, ties)
            num_regions += len(expected.scores)
    return complaints, ties, num_regions


def compare_regions(
    where: str, spotter: Spotter, expected: Regions, found: Regions, complaints: list[str], ties: list[str]
) -> None:
    """Add to `complaints` what differs between the regions that two runtimes found, and to `ties` what may."""
    texts, others = (decode_best_path(regions.text_logits, spotter.card.charset) for regions in (expected, found))
    for number, ribbon in enumerate(expected.ribbons):
        score = expected.scores[number]
        distances = np.abs(found.ribbons - ribbon).max(axis=(1, 2, 3))
        nearest = int(distances.argmin())
        near_threshold = abs(score - spotter.threshold) < TIE or score < spotter.threshold
        if distances[nearest] > 0.5 or abs(found.scores[nearest] - score) > TIE:
            (ties if near_threshold else complaints).append(f"{where}: region {number} of score {score:.5f} moved")
        elif texts[number][0] != others[nearest][0]:
            top = np.sort(expected.text_logits[number], axis=1)
            is_tie = (top[:, -1] - top[:, -2]).min() < TIE
            (ties if is_tie else complaints).append(f"{where}: {texts[number][0]!r} reads {others[nearest][0]!r}")


def test_the_comparison_sees_what_it_should_refuse(tmp_path: Path) -> None:
    """The test above could not fail otherwise."""
    from tiny_spotter import noise, save_tiny_spotter

    spotter = textspot.load(save_tiny_spotter(tmp_path / "model.safetensors"))
    (expected,) = spotter.runtime.spot(noise(96, 128)[None], 0.6, 100)
    logits = expected.text_logits.copy()
    logits[0, 0] = -logits[0, 0]
    certain = int((expected.scores >= spotter.threshold + TIE).sum())
    assert certain > 1
    for found, words in (
        (expected, []),
        (expected._replace(ribbons=expected.ribbons + 0.6), ["moved"] * certain),
        (expected._replace(scores=expected.scores - 0.01), ["moved"] * certain),
        (expected._replace(text_logits=logits), ["reads"]),
    ):
        complaints: list[str] = []
        compare_regions("x", spotter, expected, found, complaints, [])
        assert [word for text in complaints for word in ("moved", "reads") if word in text] == words
