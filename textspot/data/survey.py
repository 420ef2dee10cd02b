"""What a data set holds, in numbers: sizes, words per image, heights, lengths, languages, characters."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from textspot.data.lmdb_records import DamagedRecordError, Meta, Reader
from textspot.geometry import polygon_to_ribbon, ribbon_size
from textspot.image_files import ImageError, upright_size
from textspot.progress import Track, untracked
from textspot.text.charset import FOLDS, Case, normalize
from textspot.text.ctc import min_time_steps

SHOWN = 8  # of a long table

_QUANTILES = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)


@dataclass
class Survey:
    """Numbers of a data set; lists hold one entry per image or per word, counters how often each value occurs.

    `heights` (pixels of the original image) are of the words that are not to be ignored, `lengths` (characters) and
    `time_steps` (what CTC needs for them) of those that have a transcript too. `points` counts polygons by their number
    of points, `sizes` images by their (height, width).
    """

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    words_per_image: list[int] = field(default_factory=list)
    points: Counter[int] = field(default_factory=Counter)
    heights: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    time_steps: list[int] = field(default_factory=list)
    languages: Counter[str] = field(default_factory=Counter)
    damaged: int = 0

    def describe(self, time_steps: int) -> str:
        """The numbers in words, and how many words fit into a recogniser's time steps."""
        fit = sum(needed <= time_steps for needed in self.time_steps)
        share = 100 * fit / max(1, len(self.time_steps))
        lines = [
            _describe_sizes(self.sizes),
            f"images without text: {self.words_per_image.count(0)}; {self.damaged} records are damaged",
            _describe_quantiles("words per image", self.words_per_image),
            f"points per polygon: {_describe_counts(self.points)}",
            _describe_quantiles("word height in pixels", self.heights),
            _describe_quantiles("characters per word", self.lengths),
            f"words that CTC can represent in {time_steps} time steps: {fit} of {len(self.time_steps)} ({share:.1f} %)"
            f"; the longest needs {max(self.time_steps, default=0)}",
            f"languages: {_describe_counts(Counter({name or 'not stated': n for name, n in self.languages.items()}))}",
        ]
        return "\n".join(lines)


def survey(reader: Reader, track: Track = untracked) -> Survey:
    """Read every record of a data set, without decoding its image. A damaged record is counted."""
    found = Survey()
    for index in track(range(len(reader)), "info"):
        try:
            record = reader[index]
            found.sizes[upright_size(record.image_bytes, record.name)] += 1
        except (DamagedRecordError, ImageError):
            found.damaged += 1
            continue
        found.words_per_image.append(len(record.instances))
        for instance in record.instances:
            found.points[len(instance.polygon)] += 1
            if instance.ignore:
                continue
            ribbon, _ = polygon_to_ribbon(np.array(instance.polygon))
            found.heights.append(ribbon_size(ribbon)[0])
            found.languages[instance.language] += 1
            if text := normalize(instance.transcript):
                found.lengths.append(len(text))
                found.time_steps.append(min_time_steps([ord(character) for character in text]))
    return found


def count_characters(metas: Iterable[Meta], case: Case = "keep") -> Counter[str]:
    """How often each character occurs in the transcripts of data sets, composed (NFC) and in the wanted case."""
    counts: Counter[str] = Counter()
    for meta in metas:
        for character, count in meta.characters.items():
            for folded in unicodedata.normalize("NFC", FOLDS[case](character)):
                counts[folded] += count
    return counts


def _describe_sizes(sizes: Counter[tuple[int, int]]) -> str:
    named = Counter({f"{width} x {height}": count for (height, width), count in sizes.items()})
    return f"image sizes, width x height: {_describe_counts(named)}"


def _describe_counts(counts: Counter) -> str:
    shown = counts.most_common(SHOWN)
    texts = [f"{value}: {count}" for value, count in shown]
    if len(counts) > SHOWN:
        texts.append(f"{len(counts) - SHOWN} others: {counts.total() - sum(count for _, count in shown)}")
    return ", ".join(texts) or "none"


def _describe_quantiles(name: str, values: list) -> str:
    if not values:
        return f"{name}: none"
    low, one, ten, median, ninety, ninety_nine, high = np.quantile(values, _QUANTILES)
    return (
        f"{name}: median {median:.3g}, {low:.3g} to {high:.3g}; 1 % are below {one:.3g}, 10 % below {ten:.3g}, "
        f"10 % above {ninety:.3g}, 1 % above {ninety_nine:.3g}"
    )
