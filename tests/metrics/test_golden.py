"""Every figure of the official evaluation scripts, pooled and per image, to 1e-9."""

import json
from pathlib import Path

import pytest

from textspot.metrics import score_files

DRAWN = Path(__file__).parents[1] / "data" / "rrc_drawn"
ICDAR2015 = Path(__file__).parents[3] / "shared" / "golden" / "rrc" / "icdar2015_train"


@pytest.mark.parametrize("folder", [DRAWN, ICDAR2015], ids=["drawn", "icdar2015_train"])
def test_equal_to_the_official_scripts(folder):
    if not folder.exists():
        pytest.skip(f"{folder} is absent: the ICDAR 2015 ground truth may not be distributed")
    official = json.loads((folder / "expected.json").read_text())
    scores = score_files(list(official["expected"]), folder / "gt.zip", folder / "submission.zip")
    report = json.loads(json.dumps(scores.to_dict()))
    for protocol, figures in official["expected"].items():
        assert report[protocol] == pytest.approx(figures, abs=1e-9)
        assert report["per_image"][protocol].keys() == official["per_image"][protocol].keys()
        for name, image_figures in official["per_image"][protocol].items():
            assert report["per_image"][protocol][name] == pytest.approx(image_figures, abs=1e-9), (protocol, name)


def test_a_few_official_figures_by_eye():
    report = score_files(["icdar2015/end_to_end"], DRAWN / "gt.zip", DRAWN / "submission.zip").to_dict()
    assert report["icdar2015/end_to_end"]["hmean"] == pytest.approx(0.507628294036061, abs=1e-12)
    assert report["per_image"]["icdar2015/end_to_end"]["1"] == {"precision": 0.5, "recall": 0.5, "hmean": 0.5}
    assert report["repairs"] == []
