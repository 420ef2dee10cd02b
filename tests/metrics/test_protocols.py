import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.geometry import box_to_quad
from textspot.metrics import PROTOCOLS, GroundTruth, build_protocol
from textspot.structures import Prediction, Sample, TextInstance


def truth(*words, name="1"):
    """Ground truth of (box, transcript) pairs; `###` is don't-care."""
    quads, transcripts = [box_to_quad(box) for box, _ in words], [transcript for _, transcript in words]
    return GroundTruth(quads, transcripts, np.array([t == "###" for t in transcripts], dtype=bool), name)


def found(*instances):
    """A prediction of (box, text) pairs."""
    return Prediction(tuple(TextInstance(box_to_quad(box), text, 1.0) for box, text in instances), (100, 100))


def figures(protocol_name, prediction, ground_truth):
    protocol = build_protocol(protocol_name)
    protocol.update(prediction, ground_truth)
    return tuple(protocol.compute()[f"{protocol_name}/{key}"] for key in ("precision", "recall", "hmean"))


LEFT, RIGHT, BOTH = (0, 0, 20, 10), (20, 0, 40, 10), (0, 0, 40, 10)
IOU, DETEVAL = "icdar2015/detection_iou", "icdar2013/detection_deteval"
END_TO_END, SPOTTING = "icdar2015/end_to_end", "icdar2015/word_spotting"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_image_and_no_word_score_nothing(name):
    assert set(build_protocol(name).compute().values()) == {0.0}
    assert figures(name, found(), truth()) == (0, 0, 0)
    assert figures(name, found((LEFT, "word")), truth()) == (0, 0, 0)
    assert figures(name, found(), truth((LEFT, "word"))) == (0, 0, 0)


@pytest.mark.parametrize(
    ("prediction", "ground_truth", "by_iou", "by_deteval"),
    [
        (found(), truth(), (1, 1, 1), (1, 1, 0)),
        (found((LEFT, "a")), truth(), (0, 1, 0), (0, 1, 0)),
        (found(), truth((LEFT, "###")), (1, 1, 1), (0, 0, 0)),
        (found((LEFT, "a")), truth((LEFT, "###")), (1, 1, 1), (0, 1, 0)),
        (found((RIGHT, "a")), truth((LEFT, "###")), (0, 1, 0), (0, 1, 0)),
    ],
)
def test_an_image_without_a_word_that_counts(prediction, ground_truth, by_iou, by_deteval):
    """The two official scripts disagree; both answers are in the golden figures."""
    for name, expected in ((IOU, by_iou), (END_TO_END, by_iou), (DETEVAL, by_deteval)):
        image = build_protocol(name).update(prediction, ground_truth).figures
        assert (image.precision, image.recall, image.hmean) == expected


def test_a_misread_detection_keeps_the_word_from_a_correct_one():
    ground_truth = truth((LEFT, "word"))
    assert figures(END_TO_END, found((LEFT, "wurd"), (LEFT, "word")), ground_truth) == (0, 0, 0)
    assert figures(END_TO_END, found((LEFT, "word")), ground_truth) == (1, 1, 1)


def test_what_is_not_like_a_dictionary_word_is_dont_care_in_spotting_only():
    ground_truth = truth((LEFT, "12:30"), (RIGHT, "(Word)"))
    prediction = found((LEFT, "1230"), (RIGHT, "WORD"))
    assert figures(SPOTTING, prediction, ground_truth) == (1, 1, 1)
    assert figures(END_TO_END, prediction, ground_truth) == (0.5, 0.5, 0.5)


def test_exactly_half_in_a_dont_care_word_still_counts():
    """And two don't-care words, each with half of the detection, do not add up."""
    ground_truth = truth((LEFT, "###"), (RIGHT, "###"))
    protocol = build_protocol(IOU)
    assert protocol.update(found((BOTH, "a"), ((0, 0, 39, 10), "b")), ground_truth).detection_counts.tolist() == [
        True,
        False,
    ]


def test_deteval_calls_a_detection_dont_care_from_two_fifths_on():
    ground_truth = truth((LEFT, "###"))
    two_fifths, more = ((0, 0, 50, 10), "a"), ((0, 0, 49, 10), "b")
    result = build_protocol(DETEVAL).update(found(two_fifths, more), ground_truth)
    assert result.detection_counts.tolist() == [True, False]


def test_deteval_credits_split_and_merged_words():
    assert figures(DETEVAL, found((LEFT, "a"), (RIGHT, "b")), truth((BOTH, "ab"))) == pytest.approx((0.8, 0.8, 0.8))
    assert figures(DETEVAL, found((BOTH, "ab")), truth((LEFT, "a"), (RIGHT, "b"))) == (1, 1, 1)


def test_total_text_rounds_shares_and_has_two_pairs_of_thresholds():
    ground_truth = truth(((0, 0, 1000, 10), "word"))
    strict, loose = "total_text/detection_deteval", "total_text/detection_deteval_0.8_0.4"
    for right, strictly in ((704, 0), (706, 1)):  # 0.704 is rounded to 0.70, which is not above 0.7
        assert figures(strict, found(((0, 0, right, 10), "word")), ground_truth)[2] == strictly
        assert figures(loose, found(((0, 0, right, 10), "word")), ground_truth)[2] == 0
    assert figures(strict, found(((0, 0, 1000, 20), "word")), ground_truth)[2] == 0
    assert figures(loose, found(((0, 0, 1000, 20), "word")), ground_truth)[2] == 1


def test_total_text_leaves_dont_care_out_before_matching():
    ground_truth = truth((LEFT, "###"), (RIGHT, "word"))
    result = build_protocol("total_text/detection_deteval").update(found((LEFT, "a"), (RIGHT, "b")), ground_truth)
    assert result.figures.hmean == 1
    assert [(match.words, match.detections) for match in result.matches] == [((1,), (1,))]
    assert result.detection_counts.tolist() == [False, True]


def test_a_sample_is_a_ground_truth_too():
    sample = Sample(np.zeros((10, 40, 3), np.uint8), [box_to_quad(LEFT)], ["word"], np.array([False]), "1")
    assert figures(END_TO_END, found((LEFT, "Word")), sample) == (1, 1, 1)


def test_per_image_figures_and_matches():
    protocol = build_protocol(END_TO_END)
    protocol.update(found((LEFT, "a")), truth((LEFT, "a"), name="first"))
    result = protocol.update(found((LEFT, "b"), (RIGHT, "c")), truth((LEFT, "a"), (RIGHT, "###"), name="second"))
    assert protocol.per_image() == {
        "first": {"precision": 1, "recall": 1, "hmean": 1},
        "second": {"precision": 0, "recall": 0, "hmean": 0},
    }
    assert protocol.compute() == {f"{END_TO_END}/{key}": 0.5 for key in ("precision", "recall", "hmean")}
    assert [(match.words, match.detections, match.correct) for match in result.matches] == [((0,), (0,), False)]
    assert result.word_counts.tolist() == [True, False]
    assert result.detection_counts.tolist() == [True, False]


def test_complaints():
    with pytest.raises(ValueError, match="unknown protocol 'icdar2015'; choose one of icdar2015/detection_iou"):
        build_protocol("icdar2015")
    protocol = build_protocol(IOU)
    protocol.update(found(), truth(name="7"))
    with pytest.raises(ValueError, match="image '7' was scored before"):
        protocol.update(found(), truth(name="7"))
    with pytest.raises(ValueError, match="img_1: 1 polygons, 0 transcripts and 1 ignore flags"):
        GroundTruth([box_to_quad(LEFT)], [], np.array([False]), "img_1")
    with pytest.raises(ValueError, match=r"img_1: word 0: expected a polygon of shape \(K, 2\)"):
        GroundTruth([np.zeros(8)], ["a"], np.array([False]), "img_1")


boxes = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 40), st.integers(1, 40)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
words = st.text(alphabet="abcXYZ1-'!#", min_size=1, max_size=5) | st.just("###")
pairs = st.lists(st.tuples(boxes, words), max_size=6)


@settings(max_examples=50, deadline=None)
@given(st.lists(words.filter(lambda word: word != "###"), min_size=1, max_size=8))
def test_without_dont_care_and_overlaps_the_ground_truth_scores_1_against_itself(transcripts):
    spread = [((0, 12 * row, 30, 12 * row + 10), transcript) for row, transcript in enumerate(transcripts)]
    for name in PROTOCOLS:
        if not name.endswith("word_spotting"):  # where some words are don't-care
            assert figures(name, found(*spread), truth(*spread)) == (1, 1, 1)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(boxes, st.just("word")), max_size=6), pairs.filter(bool), st.data())
def test_without_dont_care_removing_a_detection_never_raises_recall_in_iou_detection(ground_truth, instances, data):
    removed = data.draw(st.integers(0, len(instances) - 1))
    fewer = instances[:removed] + instances[removed + 1 :]
    _, recall, _ = figures(IOU, found(*instances), truth(*ground_truth))
    _, recall_of_fewer, _ = figures(IOU, found(*fewer), truth(*ground_truth))
    assert recall_of_fewer <= recall


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(pairs, pairs), min_size=2, max_size=5), st.data())
def test_the_order_of_the_images_does_not_matter(images, data):
    images = [(found(*instances), truth(*annotated, name=str(n))) for n, (instances, annotated) in enumerate(images)]
    order = data.draw(st.permutations(range(len(images))))
    for name in PROTOCOLS:
        one, other = build_protocol(name), build_protocol(name)
        for position, image in enumerate(images):
            one.update(*image)
            other.update(*images[order[position]])
        assert one.compute() == other.compute()
        assert one.per_image() == other.per_image()
