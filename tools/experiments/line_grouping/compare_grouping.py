"""How well words are grouped into lines, beside docTR's and RapidOCR's grouping of the same words.

  python tools/experiments/line_grouping/compare_grouping.py --pages 20

Prints tables in Markdown. A program that is not installed is named and left out: `pip install python-doctr rapidocr`.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from drawn_pages import ANGLES, JITTER, LAYOUTS, DrawnPage, draw_pages
from rapidfuzz.distance import Levenshtein

from textspot.layout import arrange

Grouping = Callable[[DrawnPage], list[list[int]]]  # the lines of a page in reading order, each the indices of its words


def group_ours(page: DrawnPage) -> list[list[int]]:
    """By `textspot.layout`."""
    return [line for paragraph in arrange(page.polygons) for line in paragraph]


def build_doctr() -> Grouping:
    """By docTR's `DocumentBuilder` with blocks and reading order, on quads."""
    from doctr.models.builder import DocumentBuilder

    build = DocumentBuilder(resolve_lines=True, resolve_blocks=True, keep_reading_order=True)

    def group(page: DrawnPage) -> list[list[int]]:
        quads = to_quads(page)
        width, height = quads.reshape(-1, 2).max(axis=0) + 20
        ones = [np.ones(len(quads))]
        words = [[(str(number), 1.0) for number in range(len(quads))]]
        upright = [[{"value": 0, "confidence": 1.0}] * len(quads)]
        pixels, shape = [np.zeros((1, 1, 3), np.uint8)], [(int(height), int(width))]
        found = build(pixels, [quads / (width, height)], ones, words, shape, upright)
        return [[int(word.value) for word in line.words] for block in found.pages[0].blocks for line in block.lines]

    return group


def build_rapidocr() -> Grouping:
    """By the lines of RapidOCR's Markdown."""
    from rapidocr.utils.to_markdown import ToMarkdown

    def group(page: DrawnPage) -> list[list[int]]:
        numbers = [f" {number} " for number in range(len(page.polygons))]  # close words are joined without a space
        lines = ToMarkdown.to(to_quads(page), numbers).splitlines()
        return [[int(number) for number in line.split()] for line in lines if line.strip()]

    return group


def to_quads(page: DrawnPage) -> np.ndarray:
    """The corners (N, 4, 2) of the words."""
    halves = [(polygon, len(polygon) // 2) for polygon in page.polygons]
    return np.array([polygon[[0, half - 1, half, -1]] for polygon, half in halves])


GROUPINGS: dict[str, Callable[[], Grouping]] = {
    "textspot": lambda: group_ours,
    "docTR": build_doctr,
    "RapidOCR": build_rapidocr,
}


def load_groupings() -> Iterator[tuple[str, Grouping]]:
    """The programs that are installed."""
    for name, build in GROUPINGS.items():
        try:
            yield name, build()
        except ImportError as error:
            print(f"{name} is left out: {error}")


@dataclass
class Tally:
    """What was counted over pages."""

    lines: int = 0
    lines_right: int = 0
    characters: int = 0
    line_errors: int = 0
    page_errors: int = 0

    def add(self, page: DrawnPage, found: Sequence[Sequence[int]]) -> None:
        """Count a page: lines whose words are together and in order, and the edits that lines and page need."""
        as_set = {tuple(line) for line in found}
        self.lines += len(page.lines)
        self.lines_right += sum(tuple(line) in as_set for line in page.lines)
        self.line_errors += sum(_line_errors(page, line, found) for line in page.lines)
        truth, text = "\n".join(page.text_lines), "\n".join(_text(page, line) for line in found)
        self.characters += len(truth)
        self.page_errors += Levenshtein.distance(truth, text)

    def figures(self) -> tuple[str, str, str]:
        """Part of lines that are right, character error rates of lines and of pages."""
        right = self.lines_right / self.lines
        return f"{right:.1%}", f"{self.line_errors / self.characters:.3f}", f"{self.page_errors / self.characters:.3f}"


def _text(page: DrawnPage, line: Iterable[int]) -> str:
    return " ".join(page.texts[word] for word in line)


def _line_errors(page: DrawnPage, line: list[int], found: Sequence[Sequence[int]]) -> int:
    """The edits from the line that was found with most of its words; no more than its characters."""
    shared = Counter({number: len(set(line) & set(other)) for number, other in enumerate(found)})
    nearest = found[shared.most_common(1)[0][0]] if found else []
    truth = _text(page, line)
    return min(len(truth), Levenshtein.distance(truth, _text(page, nearest)))


def measure(grouping: Grouping, pages: int, seed: int, jitter: float) -> dict[tuple[str, float], Tally]:
    """The tally of each kind of page and angle."""
    tallies: dict[tuple[str, float], Tally] = defaultdict(Tally)
    for kind in LAYOUTS:
        for degrees in ANGLES:
            for page in draw_pages(kind, pages, degrees, seed, jitter):
                tallies[kind, degrees].add(page, grouping(page))
    return tallies


def total(tallies: Iterable[Tally]) -> Tally:
    """Several tallies as one."""
    whole = Tally()
    for tally in tallies:
        for name in ("lines", "lines_right", "characters", "line_errors", "page_errors"):
            setattr(whole, name, getattr(whole, name) + getattr(tally, name))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=20, help="pages of each kind at each angle")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--jitter", type=float, default=JITTER, help="standard deviation of corners, in word heights")
    options = parser.parse_args()
    found = {name: measure(one, options.pages, options.seed, options.jitter) for name, one in load_groupings()}
    for title, keys, part in (("angle", ANGLES, 1), ("page", LAYOUTS, 0)):
        print(f"\n| {title} | " + " | ".join(f"{name}: lines right | line CER | page CER" for name in found) + " |")
        print("|---" * (1 + 3 * len(found)) + "|")
        for value in keys:
            tallies = (total(t for key, t in one.items() if key[part] == value) for one in found.values())
            print(f"| {value} | " + " | ".join(" | ".join(tally.figures()) for tally in tallies) + " |")


if __name__ == "__main__":
    main()
