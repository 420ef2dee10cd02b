import pickle
import time
import zipfile
from functools import partial

import numpy as np
import pytest
import shapely

from textspot.geometry import box_to_quad
from textspot.metrics import GroundTruth, RrcFormatError, build_protocol, score_files, score_image, score_images
from textspot.metrics.overlaps import measure_overlaps
from textspot.structures import Prediction, TextInstance
from textspot.text.lexicon import ImageLexicons, Lexicon

LINE = "0,0,20,0,20,10,0,10"
IOU, END_TO_END = "icdar2015/detection_iou", "icdar2015/end_to_end"


def write(folder, files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def test_transcripts_may_be_missing_only_when_no_protocol_reads(tmp_path):
    truth, result = (
        write(tmp_path / "gt", {"gt_img_1.txt": f"{LINE},a"}),
        write(tmp_path / "res", {"res_img_1.txt": LINE}),
    )
    assert score_files([IOU], truth, result).figures[IOU]["hmean"] == 1
    with pytest.raises(RrcFormatError, match="no transcript"):
        score_files([IOU, END_TO_END], truth, result)
    scores = score_files([END_TO_END], truth, result, lenient=True)
    assert scores.figures[END_TO_END]["hmean"] == 0
    assert scores.repairs == [f"{result}: res_img_1.txt: line 1: no transcript; read as an empty text"]


def test_polygons_of_total_text(tmp_path):
    bent = "0,0,10,2,20,0,20,10,10,12,0,10"
    truth = write(tmp_path / "gt", {"1.txt": f"{bent},####Cafe\n"})
    result = write(tmp_path / "res", {"1.txt": f"{bent},####CAFE"})
    protocols = ["total_text/detection_deteval", "total_text/word_spotting"]
    figures = score_files(protocols, truth, result, layout="polygon").figures
    assert [figures[name]["hmean"] for name in protocols] == [1, 1]


def test_confidences_add_average_precision_where_it_is_defined(tmp_path):
    truth = write(tmp_path / "gt", {"gt_img_1.txt": f"{LINE},a"})
    result = write(tmp_path / "res", {"res_img_1.txt": f"{LINE},0.2,a\n{LINE},0.7,b"})
    figures = score_files([IOU, END_TO_END, "icdar2013/detection_deteval"], truth, result, confidences=True).figures
    assert figures[IOU] == {"precision": 0.5, "recall": 1, "hmean": pytest.approx(2 / 3), "average_precision": 1}
    assert figures[END_TO_END]["average_precision"] == 0  # the more confident detection takes the word, and is misread
    assert "average_precision" not in figures["icdar2013/detection_deteval"]


def test_a_lexicon_names_the_figures_that_it_changes(tmp_path):
    truth = write(tmp_path / "gt", {"gt_img_1.txt": f"{LINE},Coffee", "gt_img_2.txt": f"{LINE},Tea"})
    result = write(tmp_path / "res", {"res_img_1.txt": f"{LINE},c0ffee", "res_img_2.txt": f"{LINE},tea"})
    strong = ImageLexicons({"1": Lexicon(("COFFEE",), "strong"), "2": Lexicon(("TEA",), "strong")}, "strong")
    scores = score_files([IOU, END_TO_END], truth, result, lexicon=strong)
    assert set(scores.figures) == {IOU, f"{END_TO_END}/strong"} == set(scores.to_dict()["per_image"])
    assert scores.figures[f"{END_TO_END}/strong"]["hmean"] == 1
    assert score_files([END_TO_END], truth, result).figures[END_TO_END]["hmean"] == 0.5
    with pytest.raises(ValueError, match=r"no strong lexicon for image '2'; expected a file voc_img_2\.txt"):
        score_files([END_TO_END], truth, result, lexicon=ImageLexicons({"1": strong.of("1")}, "strong"))


def test_images_can_be_scored_in_other_processes():
    """Task and result survive pickling, and adding them in any process equals updating."""
    prediction = Prediction((TextInstance(box_to_quad([0, 0, 9, 9]), "a", 0.5),), (9, 9))
    ground_truth = GroundTruth([box_to_quad([0, 0, 9, 9])], ["a"], np.array([False]), "1")
    names = [IOU, END_TO_END, "icdar2015/word_spotting", "icdar2013/detection_deteval", "total_text/detection_deteval"]
    protocols = [build_protocol(name) for name in names]
    task = pickle.loads(pickle.dumps(partial(score_image, protocols)))
    results = pickle.loads(pickle.dumps(task(prediction, ground_truth)))
    for protocol, result in zip(protocols, results, strict=True):
        assert protocol.results == {}
        protocol.add("1", result)
        alone = build_protocol(protocol.name)
        alone.update(prediction, ground_truth)
        assert protocol.compute() == alone.compute()


def test_what_could_not_be_read_may_be_left_out():
    box = box_to_quad([0, 0, 9, 9])
    found = Prediction((TextInstance(box, "", 1.0), TextInstance(box, "a", 1.0)), (9, 9))
    truth = GroundTruth([box], ["a"], np.array([False]), "1")
    for name, counts, hmean in ((END_TO_END, True, 0), (END_TO_END, False, 1), (IOU, True, 2 / 3), (IOU, False, 2 / 3)):
        protocol = build_protocol(name, unread_counts=counts)
        score_images([protocol], [found], [truth])
        assert protocol.figures().hmean == pytest.approx(hmean), (name, counts)


def drawn_quads(rng, count):
    """Slanted quads (count, 4, 2) in a 1280x720 image."""
    center = rng.uniform((50, 50), (1230, 670), (count, 2))
    angle, (width, height) = rng.normal(0, 0.2, count), rng.uniform((20, 8), (80, 25), (count, 2)).T
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * width[:, None] / 2
    across = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * height[:, None] / 2
    corners = [-along - across, along - across, along + across, across - along]
    return np.stack([center + corner for corner in corners], axis=1)


def loop_intersections(words, detections):
    return np.array([[shapely.Polygon(w).intersection(shapely.Polygon(d)).area for d in detections] for w in words])


def test_measured_overlaps_agree_with_the_loop():
    rng = np.random.default_rng(0)
    words = drawn_quads(rng, 30)
    detections = words + rng.normal(0, 3, words.shape)
    measured = measure_overlaps(list(words), list(detections)).intersections
    assert measured == pytest.approx(loop_intersections(words, detections), abs=1e-9)


@pytest.mark.slow
def test_500_images_with_10000_detections_from_files_to_figures(tmp_path):
    """Under a second, and at least three times as fast as a plain loop over all pairs, which is timed on every tenth
    image. In processor time, so that a busy machine does not fail it."""
    rng = np.random.default_rng(0)
    images = [drawn_quads(rng, 20) for _ in range(500)]
    for kind in ("gt", "res"):
        with zipfile.ZipFile(tmp_path / f"{kind}.zip", "w") as archive:
            for number, quads in enumerate(images, start=1):
                rows = [
                    [*np.rint(quad).astype(int).ravel(), "word"] for quad in quads + rng.normal(0, 1.5, quads.shape)
                ]
                archive.writestr(f"{kind}_img_{number}.txt", "\r\n".join(",".join(map(str, row)) for row in rows))
    times_s = []
    for _ in range(5):
        start = time.process_time()
        score_files([END_TO_END], tmp_path / "gt.zip", tmp_path / "res.zip")
        times_s.append(time.process_time() - start)
    start = time.process_time()
    for quads in images[::10]:
        loop_intersections(quads, quads)
    loop_s = 10 * (time.process_time() - start)
    median_s = sorted(times_s)[2]
    print(f"median of five: {median_s:.3f} s; {loop_s / median_s:.1f} times as fast as a plain loop")  # pytest -s
    assert median_s < 1.0
    assert loop_s > 3 * median_s
