"""Words that nobody read, read by a teacher: another program, asked about one word at a time.

A word counts as labelled if the teacher reads exactly one piece of text in its picture, surely enough. Its record keeps
the teacher's score, which tells it from words that were labelled by hand.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from textspot.data.annotation import MOST_SURE, Instance, tighten_quads
from textspot.data.crop_lmdb import straighten
from textspot.data.lmdb_records import Reader, Record, Writer
from textspot.geometry import polygon_to_ribbon, ribbon_size
from textspot.image_files import decode_image
from textspot.progress import Track, untracked
from textspot.structures import Prediction
from textspot.text.charset import Charset, normalize

Teacher = Callable[[Path], Prediction]
MARGIN = (-0.05, -0.1)  # of a quad's height, added around it: recognisers are trained on the looser boxes of detectors
SHOWN_SCORES = (0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True, eq=False)
class Reading:
    """What a teacher read in the picture of a word; an empty text with score 0 if it did not read one word."""

    instance: Instance
    picture: np.ndarray
    text: str
    score: float

    @property
    def right(self) -> bool:
        """Whether the text is the word's transcript, case and signs too."""
        return normalize(self.text) == normalize(self.instance.transcript)


@dataclass(frozen=True)
class PseudoLabels:
    """The words without a transcript of a data set: how many there were of each kind, how many were labelled."""

    path: Path
    asked: Counter[str] = field(default_factory=Counter)
    labelled: Counter[str] = field(default_factory=Counter)
    readings: list[Reading] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.labelled.total()} of {self.asked.total()} words labelled"]
        return "\n".join([*lines, *(f"  {kind}: {self.labelled[kind]} of {n}" for kind, n in self.asked.items())])


def read_words(
    record: Record, chosen: Sequence[Instance], teacher: Teacher, folder: Path, min_height: float
) -> Iterator[Reading]:
    """The teacher's readings of the chosen instances of an image, those lower or narrower than `min_height` left out.

    Their pictures are handed over as a file in `folder`.
    """
    image = decode_image(record.image_bytes, record.name) if chosen else np.zeros((0, 0, 3), np.uint8)
    for instance in chosen:
        if min(ribbon_size(polygon_to_ribbon(np.array(instance.polygon))[0])) < min_height:
            continue
        outline = tighten_quads([instance], MARGIN)[0] if len(instance.polygon) == 4 else instance
        picture = straighten(image, np.array(outline.polygon))
        file = folder / "word.png"
        if not cv2.imwrite(str(file), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise OSError(f"{file}: cannot be written")
        found = [(text, score) for _, text, score in teacher(file) if text]
        yield Reading(instance, picture, *(found[0] if len(found) == 1 else ("", 0.0)))


def measure_teacher(
    reader: Reader, teacher: Teacher, folder: Path, num_words: int, min_height: float, track: Track = untracked
) -> list[Reading]:
    """The teacher's readings of some `num_words` words that were labelled by hand, from images at equal distances."""
    readings: list[Reading] = []
    num_images = min(len(reader), max(1, round(num_words * len(reader) / max(1, reader.meta.readable))))
    for index in track(np.linspace(0, len(reader) - 1, num_images).round().astype(int).tolist(), "measuring"):
        record = reader[index]
        by_hand = [instance for instance in record.instances if instance.readable and instance.score == 1]
        readings += read_words(record, by_hand, teacher, folder, min_height)
    return readings


def describe_teacher(readings: Sequence[Reading]) -> str:
    """Markdown: the share of the words that each least score leaves, and the share of these that are read wrong."""
    lines = ["| least score | labelled | wrong | wrong in more than case |", "|---|---|---|---|"]
    for least in SHOWN_SCORES:
        kept = [reading for reading in readings if reading.text and reading.score >= least]
        wrong = sum(not reading.right for reading in kept)
        folded = sum(reading.text.casefold() != reading.instance.transcript.casefold() for reading in kept)
        shares = (len(kept) / max(1, len(readings)), wrong / max(1, len(kept)), folded / max(1, len(kept)))
        lines.append(f"| {least} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return "\n".join([f"{len(readings)} words that were labelled by hand:", "", *lines])


def label_words(
    reader: Reader,
    teacher: Teacher,
    path: str | os.PathLike,
    folder: Path,
    least_score: float,
    min_height: float,
    characters: str,
    overwrite: bool = False,
    track: Track = untracked,
) -> PseudoLabels:
    """Write the data set with the transcripts the teacher gives to words that have none, or that are to be ignored.

    What it is less sure of than `least_score`, or reads with other `characters`, stays as it was. The card says how the
    labels were made.
    """
    report, charset = PseudoLabels(Path(path)), Charset(characters)
    made = {"least_score": least_score, "min_height": min_height}
    with Writer(path, reader.meta.card | {"pseudo_labels": made}, overwrite) as writer:
        for index in track(range(len(reader)), "reading words"):
            record = reader[index]
            unread = [instance for instance in record.instances if not instance.readable]
            labels: dict[Instance, Reading] = {}
            for reading in read_words(record, unread, teacher, folder, min_height):
                kind = "to be ignored" if reading.instance.ignore else "without transcript"
                report.asked[kind] += 1
                if reading.text and reading.score >= least_score and charset.knows(normalize(reading.text)):
                    report.labelled[kind] += 1
                    report.readings.append(reading)
                    labels[reading.instance] = reading
            labelled = [_label(instance, labels.get(instance)) for instance in record.instances]
            writer.add(record.name, record.image_bytes, labelled)
    return report


def _label(instance: Instance, reading: Reading | None) -> Instance:
    if reading is None:
        return instance
    return replace(instance, transcript=reading.text, ignore=False, score=min(reading.score, MOST_SURE))
