"""A teacher's labels: which words it is asked about, what becomes of its answers, how its errors are counted."""

import string
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from textspot.data.annotation import MOST_SURE, Instance
from textspot.data.lmdb_records import Reader, Writer
from textspot.data.pseudo_label import PseudoLabels, Reading, describe_teacher, label_words, measure_teacher
from textspot.image_files import read_image
from textspot.structures import Prediction, TextInstance

LETTERS = string.ascii_letters
WHOLE = np.zeros((4, 2), np.float32)


def place(left: float, top: float = 10, width: float = 30, height: float = 12) -> tuple:
    right, bottom = left + width, top + height
    return ((left, top), (right, top), (right, bottom), (left, bottom))


WORDS = [
    Instance(place(10), "hand"),
    Instance(place(50), "###", ignore=True),
    Instance(place(90)),
    Instance(place(130, height=5)),
]


class Teacher:
    """Tells words by their brightness, and remembers how large the pictures were."""

    def __init__(self, answers: dict[int, list[tuple[str, float]]]):
        self.answers, self.shapes = answers, []

    def __call__(self, path: Path) -> Prediction:
        picture = read_image(path)
        self.shapes.append(picture.shape[:2])
        found = self.answers[int(np.median(picture))]
        return Prediction(tuple(TextInstance(WHOLE, text, score) for text, score in found), (0, 0))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """An image whose words have brightness 20, 40, 60, 80, and one without any."""
    image = np.zeros((40, 180, 3), np.uint8)
    for number, word in enumerate(WORDS, start=1):
        (left, top), _, (right, bottom), _ = np.array(word.polygon, int)
        image[top - 4 : bottom + 4, left - 4 : right + 4] = 20 * number
    encoded = cv2.imencode(".png", image)[1].tobytes()
    with Writer(tmp_path / "words", {"name": "words"}) as writer:
        writer.add("a.png", encoded, WORDS)
        writer.add("b.png", encoded, [])
    return tmp_path / "words"


def label(words: Path, answers: dict[int, list], **changes) -> tuple[Teacher, list[Instance], PseudoLabels]:
    teacher, settings = Teacher(answers), {"least_score": 0.9, "min_height": 8.0, "characters": LETTERS} | changes
    report = label_words(Reader(words), teacher, words.parent / "out", words.parent, **settings)
    return teacher, list(Reader(words.parent / "out")[0].instances), report


def test_words_without_a_reading_are_labelled_and_the_others_stay(words: Path) -> None:
    teacher, labelled, report = label(words, {40: [("Tesco", 0.95)], 60: [("Mango", 1.0)]})
    assert labelled == [
        WORDS[0],
        Instance(WORDS[1].polygon, "Tesco", score=0.95),
        Instance(WORDS[2].polygon, "Mango", score=MOST_SURE),
        WORDS[3],
    ]
    assert teacher.shapes == [(13, 32)] * 2  # a twentieth of the height above and below, a tenth at both ends
    assert str(report).splitlines()[1:] == ["  to be ignored: 1 of 1", "  without transcript: 1 of 1"]
    reader = Reader(words.parent / "out")
    assert reader[0].image_bytes == Reader(words)[0].image_bytes
    assert reader.meta.card == {"name": "words", "pseudo_labels": {"least_score": 0.9, "min_height": 8.0}}


@pytest.mark.parametrize(
    "answer", [[], [("", 1.0)], [("Tesco", 0.89)], [("two", 0.99), ("words", 0.99)], [("开泰", 0.99)]]
)
def test_what_the_teacher_does_not_read_surely_as_one_word_stays(words: Path, answer: list) -> None:
    _, labelled, report = label(words, {40: answer, 60: answer})
    assert labelled == WORDS
    assert (report.asked.total(), report.labelled) == (2, Counter())


def test_low_words_are_asked_about_if_wanted(words: Path) -> None:
    answers = {40: [("a", 0.5)], 60: [("b", 0.5)], 80: [("c", 0.5)]}
    _, labelled, _ = label(words, answers, least_score=0.5, min_height=4.0)
    assert [word.transcript for word in labelled] == ["hand", "a", "b", "c"]
    with pytest.raises(FileExistsError, match="out: exists already"):
        label(words, answers)
    assert len(label(words, answers, overwrite=True)[1]) == 4


def test_the_teacher_is_measured_on_words_labelled_by_hand(words: Path) -> None:
    label(words, {40: [("Tesco", 0.95)], 60: []})
    teacher = Teacher({20: [("hand", 0.9)]})
    (reading,) = measure_teacher(Reader(words.parent / "out"), teacher, words.parent, 10, 8.0)
    assert (reading.text, reading.score, reading.right) == ("hand", 0.9, True)
    assert measure_teacher(Reader(words), Teacher({}), words.parent, 10, 100.0) == []


def test_errors_are_counted_by_score() -> None:
    def read(text: str, score: float, transcript: str = "Exit") -> Reading:
        return Reading(Instance(place(0), transcript), np.zeros((1, 1, 3), np.uint8), text, score)

    readings = [read("Exit", 0.99), read("EXIT", 0.96), read("Ex1t", 0.85), read("", 0.0)]
    assert describe_teacher(readings).splitlines() == [
        "4 words that were labelled by hand:",
        "",
        "| least score | labelled | wrong | wrong in more than case |",
        "|---|---|---|---|",
        "| 0.8 | 75.0% | 66.7% | 33.3% |",
        "| 0.9 | 50.0% | 50.0% | 0.0% |",
        "| 0.95 | 50.0% | 50.0% | 0.0% |",
        "| 0.98 | 25.0% | 0.0% | 0.0% |",
        "| 0.99 | 25.0% | 0.0% | 0.0% |",
    ]
    assert "| 0.8 | 0.0% | 0.0% | 0.0% |" in describe_teacher([])
