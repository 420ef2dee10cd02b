import pytest

from textspot.metrics import score_recognition


def test_no_word_reports_no_share():
    assert score_recognition([], []) == {"recognition/num_words": 0}


def test_case_and_edits():
    figures = score_recognition(["Exit", "", "abcd", ""], ["EXIT", "a", "abce", ""])
    assert figures == pytest.approx(
        {
            "recognition/num_words": 4,
            "recognition/word_accuracy": 1 / 4,
            "recognition/one_minus_ned": (1 / 4 + 0 + 3 / 4 + 1) / 4,
            "recognition/word_accuracy_case_insensitive": 2 / 4,
            "recognition/one_minus_ned_case_insensitive": (1 + 0 + 3 / 4 + 1) / 4,
        }
    )


def test_as_many_texts_as_transcripts():
    with pytest.raises(ValueError, match="2 texts for 1 transcripts"):
        score_recognition(["a", "b"], ["a"])
