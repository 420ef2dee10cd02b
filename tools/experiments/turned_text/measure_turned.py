"""What `--turned` gains on photographs that lie on their side or on their head, what it loses on upright ones, and
what it costs.

  python tools/experiments/turned_text/measure_turned.py --data data/icdar2015/val

Prints a table in Markdown: end-to-end hmean at the threshold of the weights, and processor time per photograph.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

import textspot
from textspot.data.lmdb_records import Reader
from textspot.engine.evaluate import THRESHOLD_PROTOCOL, score_dataset
from textspot.inference.spotter import Spotter
from textspot.inference.views import ALL_TURNS, turn_back
from textspot.structures import Sample


@dataclass(frozen=True)
class TurnedReader:
    """The first samples of a data set, turned counterclockwise by quarter turns."""

    reader: Reader
    turn: int
    num_images: int

    @property
    def path(self) -> str:
        """Of the data set."""
        return str(self.reader.path)

    def __len__(self) -> int:
        return min(self.num_images, len(self.reader))

    def sample(self, index: int) -> Sample:
        """An image with its polygons."""
        return turn_sample(self.reader.sample(index), self.turn)


def turn_sample(sample: Sample, turn: int) -> Sample:
    """A sample turned counterclockwise by quarter turns."""
    polygons = [turn_back(polygon, -turn % 4, sample.image.shape[:2]) for polygon in sample.polygons]
    return replace(sample, image=np.ascontiguousarray(np.rot90(sample.image, turn)), polygons=polygons)


def measure(spotter: Spotter, reader: TurnedReader, turns: tuple[int, ...]) -> tuple[float, float]:
    """The end-to-end hmean of reading with these turns, and the processor seconds per image."""
    spotter.turns = turns
    began = time.process_time()
    scores = score_dataset([THRESHOLD_PROTOCOL], spotter, reader)  # type: ignore[arg-type]  # all that it uses is here
    seconds = (time.process_time() - began) / len(reader)
    return scores.protocols[0].compute()[f"{THRESHOLD_PROTOCOL}/hmean"], seconds


def print_table(figures_of: Callable[[int, tuple[int, ...]], tuple[float, float]]) -> None:
    """A row for each direction in which the photographs lie."""
    print("| photographs turned by | hmean | with `--turned` | time per photograph | with `--turned` |")
    print("|---|---|---|---|---|")
    for turn in ALL_TURNS:
        (plain, plain_s), (turned, turned_s) = figures_of(turn, (0,)), figures_of(turn, ALL_TURNS)
        times = f"{plain_s * 1e3:.0f} ms | {turned_s * 1e3:.0f} ms"
        print(f"| {turn * 90} degrees | {plain:.3f} | {turned:.3f} | {times} |", flush=True)


def main() -> None:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="spotter-s", help="see textspot.load (default: %(default)s)")
    parser.add_argument("--data", required=True, help="folder of an LMDB of photographs that stand upright")
    parser.add_argument("--num_images", type=int, default=100, help="at most so many (default: %(default)s)")
    options = parser.parse_args()
    spotter = textspot.load(options.weights)
    reader = Reader(options.data)
    print_table(lambda turn, turns: measure(spotter, TurnedReader(reader, turn, options.num_images), turns))


if __name__ == "__main__":
    main()
