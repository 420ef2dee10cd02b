"""Pages of known order: words as polygons, measured in a real typeface, without pixels.

Every page knows its words in reading order, its lines and the text between them. `turn` and `shake` give it the angle
and the imprecision that a photograph and a detector bring.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import ImageFont

from textspot.drawing.page import TYPEFACE

LETTERS = "etaoinsrhldcumfpgwybvk"
SHARES = np.cumsum(np.linspace(3, 0.3, len(LETTERS))) / np.linspace(3, 0.3, len(LETTERS)).sum()
LEADING = 1.3  # of running text, in sizes of type
JITTER = 0.05  # standard deviation of a corner, in heights of the word: polygons of an IoU of about 0.85


@dataclass(frozen=True, eq=False)
class DrawnPage:
    """Words as polygons (K, 2) and their texts, in reading order; lines as lists of their indices."""

    kind: str
    polygons: list[np.ndarray]
    texts: list[str]
    lines: list[list[int]]

    @property
    def text_lines(self) -> list[str]:
        """The text of each line, in reading order."""
        return [" ".join(self.texts[word] for word in line) for line in self.lines]

    def turn(self, degrees: float) -> "DrawnPage":
        """The page turned clockwise about its middle, and moved so that no coordinate is negative."""
        angle = math.radians(degrees)
        matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        turned = [polygon @ matrix for polygon in self.polygons]
        corner = np.concatenate(turned).min(axis=0) - 20
        return replace(self, polygons=[polygon - corner for polygon in turned])

    def shake(self, rng: np.random.Generator, jitter: float = JITTER) -> "DrawnPage":
        """The page with every corner moved by so much of its word's height, as a detector places them."""
        return replace(self, polygons=[_shake(polygon, rng, jitter) for polygon in self.polygons])


def _shake(polygon: np.ndarray, rng: np.random.Generator, jitter: float) -> np.ndarray:
    height = np.linalg.norm(polygon[0] - polygon[-1])
    return polygon + rng.normal(0, jitter * height, polygon.shape)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(TYPEFACE, size)


@lru_cache(maxsize=100_000)
def _length(word: str, size: int) -> float:
    return float(_font(size).getlength(word))


class Pen:
    """Writes lines of words onto a page."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.polygons: list[np.ndarray] = []
        self.texts: list[str] = []
        self.lines: list[list[int]] = []

    def word(self) -> str:
        """Letters that look like a word of any length that words have."""
        count = int(np.clip(self.rng.poisson(4) + 1, 1, 11))
        return "".join(LETTERS[place] for place in np.searchsorted(SHARES, self.rng.random(count)))

    def title(self, count: int) -> list[str]:
        """So many words with a capital letter each."""
        return [self.word().capitalize() for _ in range(count)]

    def begin_line(self) -> None:
        """What is put down from now on belongs to a new line."""
        self.lines.append([])

    def put(self, text: str, x: float, baseline: float, size: int) -> float:
        """A word from x on; where it ends."""
        left, top, right, bottom = _font(size).getbbox(text, anchor="ls")
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self._add(np.array(corners) + np.array([x, baseline]), text)
        return x + _length(text, size)

    def _add(self, polygon: np.ndarray, text: str) -> None:
        self.lines[-1].append(len(self.texts))
        self.polygons.append(polygon)
        self.texts.append(text)

    def write(self, words: Sequence[str], x: float, baseline: float, size: int, space: float = 0.26) -> float:
        """Words with spaces of so many sizes between them; where they end."""
        for number, word in enumerate(words):
            x = self.put(word, x + (space * size if number else 0), baseline, size)
        return x

    def width(self, words: Sequence[str], size: int) -> float:
        """How wide words are."""
        return sum(_length(word, size) for word in words) + 0.26 * size * (len(words) - 1)

    def paragraph(self, x: float, top: float, width: float, size: int, num_lines: int, justify: bool) -> float:
        """Lines of running text; the baseline of the line that would come next."""
        for number in range(num_lines):
            words: list[str] = []
            word = self.word()
            while not words or self.width([*words, word], size) <= width:
                words.append(word)
                word = self.word()
            last = number == num_lines - 1
            if last:
                words = words[: int(self.rng.integers(1, len(words) + 1))]
            slack = (width - self.width(words, size)) / max(1, len(words) - 1) if justify and not last else 0
            self.begin_line()
            self.write(words, x, top, size, 0.26 + min(slack / size, 0.6))
            top += LEADING * size
        return top

    def arc(self, words: Sequence[str], center: tuple[float, float], radius: float, size: int, edges: int) -> None:
        """Words on a circle whose top they share, `edges` points along the upper and lower edge of each."""
        total = self.width(words, size)
        self.begin_line()
        position = -total / 2
        for word in words:
            _, top, right, bottom = _font(size).getbbox(word, anchor="ls")
            angles = (position + np.linspace(0, right, edges)) / radius
            rays = np.stack([np.sin(angles), -np.cos(angles)], axis=1)
            outline = [center + rays * (radius - edge) for edge in (top, bottom)]
            self._add(np.concatenate([outline[0], outline[1][::-1]]), word)
            position += _length(word, size) + 0.26 * size

    def page(self, kind: str) -> DrawnPage:
        """What was written."""
        return DrawnPage(kind, self.polygons, self.texts, self.lines)


def one_column(pen: Pen) -> None:
    """A heading, subheadings and running text."""
    size, y = int(pen.rng.integers(14, 28)), 100.0
    pen.begin_line()
    pen.write(pen.title(3), 60, y, 2 * size)
    y += 3 * size
    for _ in range(int(pen.rng.integers(2, 4))):
        pen.begin_line()
        pen.write(pen.title(2), 60, y, int(1.3 * size))
        y = pen.paragraph(60, y + 2 * size, 32 * size, size, int(pen.rng.integers(2, 7)), bool(pen.rng.integers(2)))
        y += size


def two_columns(pen: Pen) -> None:
    """A heading above two columns of running text on the same grid of lines."""
    size, y = int(pen.rng.integers(14, 24)), 100.0
    gutter = pen.rng.uniform(1.8, 3.5) * size
    width = pen.rng.uniform(14, 22) * size
    pen.begin_line()
    pen.write(pen.title(4), 60, y, 2 * size)
    for column in range(2):
        y = 100 + 3.0 * size
        for _ in range(int(pen.rng.integers(2, 4))):
            lines = int(pen.rng.integers(3, 8))
            y = pen.paragraph(60 + column * (width + gutter), y, width, size, lines, bool(column)) + 0.6 * size


def price_list(pen: Pen) -> None:
    """A heading, and names with their prices at the right margin."""
    size, y = int(pen.rng.integers(16, 36)), 100.0
    right = 60 + pen.rng.uniform(18, 30) * size
    pen.begin_line()
    pen.write(pen.title(2), 60 + 5 * size, y, int(1.8 * size))
    for _ in range(int(pen.rng.integers(4, 10))):
        y += pen.rng.uniform(1.4, 2.0) * size
        price = f"{pen.rng.uniform(1, 30):.2f}"
        pen.begin_line()
        pen.write(pen.title(int(pen.rng.integers(1, 4))), 60, y, size)
        pen.put(price, right - pen.width([price], size), y, size)


def table(pen: Pen) -> None:
    """Rows of one name and three numbers."""
    size, y = int(pen.rng.integers(14, 26)), 100.0
    columns = 60 + np.array([12, 19, 26]) * size
    for row in range(int(pen.rng.integers(4, 9))):
        pen.begin_line()
        pen.write(pen.title(int(pen.rng.integers(1, 3))), 60, y, size)
        for x in columns:
            pen.put(pen.word()[:6].capitalize() if row == 0 else str(pen.rng.integers(1, 9999)), x, y, size)
        y += 1.5 * size


def sign(pen: Pen) -> None:
    """Centred lines of several sizes."""
    y = 100.0
    for _ in range(int(pen.rng.integers(2, 5))):
        size = int(pen.rng.integers(20, 90))
        words = [word.upper() for word in pen.title(int(pen.rng.integers(1, 4)))]
        y += 1.2 * size
        pen.begin_line()
        pen.write(words, 800 - pen.width(words, size) / 2, y, size)
        y += 0.25 * size


def curved(pen: Pen) -> None:
    """Two lines on concentric arcs, above a straight one."""
    size = int(pen.rng.integers(24, 48))
    radius = pen.rng.uniform(9, 18) * size
    edges = int(pen.rng.choice([2, 5]))
    for ring in range(2):
        words = pen.title(int(pen.rng.integers(3, 5)))
        while pen.width(words, size) > 2.0 * radius:
            words.pop()
        pen.arc(words, (800.0, 800.0), radius - ring * 1.5 * size, size, edges)
    pen.begin_line()
    words = pen.title(2)
    pen.write(words, 800 - pen.width(words, size) / 2, 800 - 0.3 * radius, size)


LAYOUTS: dict[str, Callable[[Pen], None]] = {
    "one column": one_column,
    "two columns": two_columns,
    "price list": price_list,
    "table": table,
    "sign": sign,
    "curved": curved,
}
ANGLES = (0, 5, 15, 30, 90, 180, 270)


def draw_pages(kind: str, count: int, degrees: float, seed: int, jitter: float = JITTER) -> Iterator[DrawnPage]:
    """Pages of a kind, turned and shaken; the same for the same seed, whatever the angle."""
    for number in range(count):
        rng = np.random.default_rng([seed, number, round(degrees)])
        yield draw_page(kind, number, seed).turn(degrees).shake(rng, jitter)


@lru_cache(maxsize=1000)
def draw_page(kind: str, number: int, seed: int) -> DrawnPage:
    """One page of a kind as it is drawn: level and exact."""
    pen = Pen(np.random.default_rng([seed, list(LAYOUTS).index(kind), number]))
    LAYOUTS[kind](pen)
    return pen.page(kind)
