"""Ground truth and results in the files of the Robust Reading Competition (RRC).

One text file per image, in a zip or a folder: `gt_img_7.txt` is the ground truth of the image named "7",
`res_img_7.txt` its result. Other names than `img_<number>` work alike: `gt_shop.txt` and `res_shop.txt` belong to the
image "shop". One word a line, in one of three layouts:

    quad      x1,y1,x2,y2,x3,y3,x4,y4,transcript       four corners, clockwise as seen
    box       left,top,right,bottom,transcript
    polygon   x1,y1,...,xn,yn,####transcript           three or more corners, clockwise; usual for Total-Text

Coordinates are integers; the transcript is the rest of the line, commas included; `###` is don't-care. Results may have
a confidence in [0, 1] before the transcript. UTF-8, with or without BOM, LF or CRLF. A transcript in double quotes is
unquoted, `\\"` and `\\\\` inside it are unescaped. In the polygon layout `7.txt` may stand for either name.

The official script refuses a whole submission for a single fault. So do these readers, but they name every fault at
once. Only in a folder the other files that `textspot infer` writes beside a result file are no fault. With
`lenient=True` they repair what they can, leave out what they cannot, and report either.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textspot.geometry import box_to_quad, min_area_quad, polygon_area
from textspot.metrics.archives import ArchiveError, find_entries
from textspot.metrics.protocols import GroundTruth
from textspot.outputs import FORMATS
from textspot.structures import Prediction, TextInstance

DONT_CARE = "###"
MAX_LINES = 20_000  # words of one image: what is found is held against what stands there, each against each
# How names end of what textspot infer writes for each image, beside its res_<image>.txt.
BESIDE_RESULTS = (".json", ".jpg", *(document.suffix for document in FORMATS.values()))

_QUOTED = re.compile(r'\s*"(.*)"\s*', re.DOTALL)
_CONFIDENCE = r"(0(?:\.[0-9]*)?|1(?:\.0*)?)"


@dataclass(frozen=True)
class Layout:
    """How a line gives the place of a word.

    Args:
        points: how many points, as the count of a regular expression.
        shape: the line, for messages.
        before_text: what stands between the numbers and the transcript.
        file_name: regular expression for file names; `PREFIX` stands for `gt` or `res`, its group is the image.
    """

    points: str
    shape: str
    before_text: str = ","
    file_name: str = r"PREFIX_(?:img_([0-9]+)|([^/]*[^/0-9][^/]*))\.txt"

    def pattern(self, number: str, confidences: bool) -> re.Pattern:
        """Matches a line; its groups are the coordinates, the confidence (if there are) and the transcript, or None."""
        point = rf"\s*{number}\s*,\s*{number}\s*"
        confidence = rf",\s*{_CONFIDENCE}\s*" if confidences else "()"
        return re.compile(rf"({point}(?:,{point}){self.points}){confidence}(?:{self.before_text}(.*))?", re.DOTALL)


LAYOUTS = {
    "quad": Layout("{3}", "x1,y1,x2,y2,x3,y3,x4,y4,transcript"),
    "box": Layout("{1}", "left,top,right,bottom,transcript"),
    "polygon": Layout(
        "{2,}", "x1,y1,...,xn,yn,####transcript", before_text=",####", file_name=r"(?:PREFIX_)?(?:img_)?([^/]+)\.txt"
    ),
}
_INTEGER = r"-?[0-9]{1,9}"
_DECIMAL = r"-?[0-9]{1,9}(?:\.[0-9]*)?"


class RrcFormatError(ValueError):
    """Files that the official script would refuse. `faults` lists all of them, each with its file and line."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__(path, faults)  # both, so that the error can be pickled
        self.path = path
        self.faults = faults

    def __str__(self) -> str:
        return "\n  ".join([f"{self.path}: {len(self.faults)} fault(s) against the RRC format:", *self.faults])


def read_ground_truths(
    path: str | Path, lenient: bool = False, layout: str = "quad"
) -> tuple[dict[str, GroundTruth], list[str]]:
    """Read a zip or folder of `gt_*.txt` files: `{image name: GroundTruth}`, and the repairs (none when strict).

    Other entries are passed over, as in the official script. An empty file is an image without words. Raises
    `RrcFormatError` for faults when strict and when there is not one `gt_*.txt`, `FileNotFoundError` without `path`.
    """
    reader = _Reader(Path(path), lenient, layout)
    ground_truths: dict[str, GroundTruth] = {}
    for file_name, read in reader.entries():
        name = reader.image_name(file_name, "gt")
        if name is None:
            continue
        if name in ground_truths:
            reader.complain(f"{file_name}: a second file for image {name!r}", "keep one", "the last one counts")
        words = reader.parse(file_name, read, text_required=True)
        ignore = np.array([text == DONT_CARE for text in words.texts], dtype=bool)
        ground_truths[name] = GroundTruth(words.polygons, words.texts, ignore, name)
    if not ground_truths:
        expected = "no file is named gt_img_<number>.txt or gt_<image>.txt; is this another archive?"
        raise RrcFormatError(reader.path, [expected])
    return ground_truths, reader.close()


def read_results(
    path: str | Path,
    image_names: Collection[str],
    text_required: bool = True,
    lenient: bool = False,
    layout: str = "quad",
    confidences: bool = False,
) -> tuple[dict[str, Prediction], list[str]]:
    """Read a zip or folder of `res_*.txt` files: `{image name: Prediction}`, and the repairs (none when strict).

    Every one of `image_names` gets a prediction, without instances where there is no file. With `confidences` they are
    the scores, and instances are sorted by them, best first, as the official script does; else the order is the file's
    and every score 1. Files do not know the size of an image: it is (0, 0).

    Raises `RrcFormatError` for faults when strict: a name that is none of `image_names`, a line against the layout, or
    without a transcript if `text_required`, corners that run anticlockwise, bytes that are not UTF-8. Raises
    `FileNotFoundError` without `path`.
    """
    reader = _Reader(Path(path), lenient, layout, confidences)
    predictions: dict[str, Prediction] = {}
    for entry, read in reader.entries():
        file_name = entry
        if "/" in entry.rstrip("/"):
            file_name = Path(entry).name
            reader.complain(f"{entry}: lies in a folder", "put it at the top of the zip", f"read as {file_name}")
        name = reader.image_name(file_name, "res")
        if name is None or name not in image_names:
            remedy = "remove it or name it res_img_<number>.txt"
            reader.complain(f"{entry}: no such image in the ground truth", remedy, "left out")
            continue
        if name in predictions:
            reader.complain(f"{entry}: a second file for image {name!r}", "keep one", "the last one counts")
        words = reader.parse(entry, read, text_required)
        instances = [TextInstance(*fields) for fields in zip(words.polygons, words.texts, words.scores, strict=True)]
        instances.sort(key=lambda instance: -instance.score)
        predictions[name] = Prediction(tuple(instances), (0, 0), name)
    for name in image_names:
        predictions.setdefault(name, Prediction((), (0, 0), name))
    return predictions, reader.close()


def write_result(path: str | Path, prediction: Prediction) -> None:
    """Write the result file of one image (`res_img_7.txt`) in the layout `quad`, in the order of the prediction.

    A polygon of other than four corners is written as the smallest rectangle around it. Line breaks in a text become
    spaces; a text in double quotes is escaped, so that it comes back as it was.
    """
    lines = [_format_line(instance.polygon, instance.text) for instance in prediction]
    Path(path).write_bytes("\r\n".join(lines).encode("utf-8"))


def _format_line(polygon: np.ndarray, text: str) -> str:
    quad = np.rint(polygon if len(polygon) == 4 else min_area_quad(polygon)).astype(int)
    if polygon_area(quad) < 0:
        quad = _reverse(quad)
    text = re.sub(r"[\r\n]+", " ", text)
    if _QUOTED.fullmatch(text):
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return ",".join([*map(str, quad.ravel()), text])


@dataclass
class _Words:
    """What one file holds: polygons (K, 2) float32 clockwise, texts, scores (1 without confidences)."""

    polygons: list[np.ndarray]
    texts: list[str]
    scores: list[float]


class _Reader:
    """Parses files in one layout and collects what is wrong with them."""

    def __init__(self, path: Path, lenient: bool, layout: str, confidences: bool = False) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"unknown layout {layout!r}; choose one of {', '.join(LAYOUTS)}")
        self.path, self.lenient, self.layout = path, lenient, LAYOUTS[layout]
        self.integers = self.layout.pattern(_INTEGER, confidences)
        self.decimals = self.layout.pattern(_DECIMAL, confidences)
        self.messages: list[str] = []

    def complain(self, fault: str, remedy: str, repair: str) -> None:
        """Note a fault: with what the user can do when strict, with what was done when lenient."""
        self.messages.append(f"{fault}; {repair if self.lenient else remedy}")

    def close(self) -> list[str]:
        """The repairs made; raises `RrcFormatError` instead when strict."""
        if self.messages and not self.lenient:
            raise RrcFormatError(self.path, self.messages)
        return self.messages

    def entries(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """The files, without those that `textspot infer` writes beside result files; a damaged archive is an
        `RrcFormatError`."""
        in_folder = {file.name for file in self.path.iterdir()} if self.path.is_dir() else set()
        try:
            for name, read in find_entries(self.path):
                beside = (f"res_{name.removesuffix(suffix)}.txt" for suffix in BESIDE_RESULTS if name.endswith(suffix))
                if in_folder.isdisjoint(beside):
                    yield name, read
        except ArchiveError as error:
            raise RrcFormatError(self.path, [str(error)]) from error

    def image_name(self, file_name: str, prefix: str) -> str | None:
        """The image that a file belongs to; None for a name of another form."""
        found = re.fullmatch(self.layout.file_name.replace("PREFIX", prefix), file_name)
        return next(filter(None, found.groups())) if found else None

    def parse(self, file_name: str, read: Callable[[], bytes], text_required: bool) -> _Words:
        """The words of one file; none if it cannot be read or holds more than `MAX_LINES`."""
        try:
            raw = read()
        except ArchiveError as error:
            self.complain(f"{file_name}: {error}", "give it again", "left out")
            raw = b""
        if (num_lines := raw.count(b"\n")) > MAX_LINES:
            self.complain(f"{file_name}: {num_lines} lines", f"at most {MAX_LINES} are read", "left out")
            raw = b""
        rows, words, places = [], _Words([], [], []), []
        # Not splitlines: it would also break at odd separators (vertical tab, U+2028) that a transcript may hold.
        for number, line in enumerate(self._decode(file_name, raw).split("\n"), start=1):
            line = line.replace("\r", "")
            if not line:
                continue
            place = f"{file_name}: line {number}"
            fields = self._parse_line(line, place)
            if fields is None:
                continue
            coordinates, confidence, text = fields
            if text is None and text_required:
                self.complain(f"{place}: no transcript", "add it after the coordinates", "read as an empty text")
            rows.append(coordinates.split(","))
            words.scores.append(float(confidence or 1))
            words.texts.append(_unquote(text or ""))
            places.append(place)
        words.polygons = self._to_polygons(rows, places)
        return words

    def _decode(self, file_name: str, raw: bytes) -> str:
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            self.complain(f"{file_name}: line {line}: not UTF-8", "save the file as UTF-8", "unreadable bytes became �")
            return raw.decode("utf-8-sig", errors="replace")

    def _parse_line(self, line: str, place: str) -> tuple | None:
        """Coordinates, confidence and text (None if absent) as strings; None for a line that cannot be read."""
        found = self.integers.fullmatch(line)
        if found:
            return found.groups()
        found = self.decimals.fullmatch(line)
        if found:
            self.complain(f"{place}: coordinates that are not whole numbers", "round them", "rounded")
            return found.groups()
        fault = f"{place}: expected {self.layout.shape}, found {line[:60]!r}"
        self.complain(fault, "correct the line, or choose another layout", "left out")
        return None

    def _to_polygons(self, rows: list[list[str]], places: list[str]) -> list[np.ndarray]:
        """The polygons (K, 2) of the coordinates of each line, clockwise; boxes become quads."""
        if not rows:
            return []
        counts = np.array([len(row) // 2 for row in rows])
        points = np.rint(np.array([value for row in rows for value in row], dtype=np.float64)).reshape(-1, 2)
        if self.layout is LAYOUTS["box"]:
            return self._boxes_to_quads(points.reshape(-1, 4), places)
        ends = np.cumsum(counts)
        following = np.arange(1, len(points) + 1)
        following[ends - 1] = ends - counts
        cross = points[:, 0] * points[following, 1] - points[following, 0] * points[:, 1]
        corners = points.astype(np.float32)
        polygons = [corners[end - count : end] for end, count in zip(ends, counts, strict=True)]
        for index in np.flatnonzero(np.add.reduceat(cross, ends - counts) < 0):
            remedy = "list them clockwise as seen (y points down)"
            self.complain(f"{places[index]}: the corners run anticlockwise", remedy, "reversed")
            polygons[index] = _reverse(polygons[index])
        return polygons

    def _boxes_to_quads(self, boxes: np.ndarray, places: list[str]) -> list[np.ndarray]:
        for index in np.flatnonzero((boxes[:, 2:] < boxes[:, :2]).any(axis=1)):
            fault = f"{places[index]}: the right or bottom edge lies before the left or top one"
            self.complain(fault, "write left,top,right,bottom", "exchanged")
        low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
        return [box_to_quad(box) for box in np.concatenate([low, high], axis=1)]


def _unquote(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return quoted.group(1).replace("\\\\", "\\").replace('\\"', '"') if quoted else text


def _reverse(polygon: np.ndarray) -> np.ndarray:
    """The corners in the other direction, starting at the same one."""
    return np.concatenate([polygon[:1], polygon[:0:-1]])
