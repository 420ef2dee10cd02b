import pytest

from textspot.metrics import score_recognition
from textspot.metrics.recognition import wilson_interval


def test_no_word_reports_no_share():
    assert score_recognition([], []) == {"recognition/num_words": 0}


def test_case_and_edits():
    figures = score_recognition(["Exit", "", "abcd", ""], ["EXIT", "a", "abce", ""])
    assert figures == pytest.approx(
        {
            "recognition/num_words": 4,
            "recognition/word_accuracy": 1 / 4,
            "recognition/word_accuracy_low": 0.0456,
            "recognition/word_accuracy_high": 0.6994,
            "recognition/one_minus_ned": (1 / 4 + 0 + 3 / 4 + 1) / 4,
            "recognition/word_accuracy_case_insensitive": 2 / 4,
            "recognition/word_accuracy_case_insensitive_low": 0.1500,
            "recognition/word_accuracy_case_insensitive_high": 0.8500,
            "recognition/one_minus_ned_case_insensitive": (1 + 0 + 3 / 4 + 1) / 4,
        },
        abs=5e-5,
    )


@pytest.mark.parametrize(("share", "number"), [(0, 10), (1, 10), (0.3, 50)])
def test_the_ends_of_the_interval_are_where_the_normal_test_just_does_not_refuse(share, number):
    for end in wilson_interval(share, number):
        assert abs(share - end) == pytest.approx(1.959964 * (end * (1 - end) / number) ** 0.5, abs=1e-6)


def test_as_many_texts_as_transcripts():
    with pytest.raises(ValueError, match="2 texts for 1 transcripts"):
        score_recognition(["a", "b"], ["a"])
