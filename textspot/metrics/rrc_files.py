"""Ground truth and results in the files of the Robust Reading Competition (RRC).

One text file per image, in a zip or a folder: `gt_img_7.txt` is the ground truth of the image named "7",
`res_img_7.txt` its result. Other names than `img_<number>` work alike: `gt_shop.txt`, `res_shop.txt`. One word a line:

    x1,y1,x2,y2,x3,y3,x4,y4,transcript

Eight integers, clockwise as seen; the transcript is the rest of the line, commas included; `###` is don't-care. UTF-8,
with or without BOM, LF or CRLF. A transcript in double quotes is unquoted, `\\"` and `\\\\` inside it are unescaped.

The official script refuses a whole submission for a single fault. So do these readers, but they name every fault at
once. With `lenient=True` they repair what they can, leave out what they cannot, and report either.
"""

import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from textspot.geometry import min_area_quad, polygon_area
from textspot.metrics.protocols import GroundTruth
from textspot.structures import Prediction, TextInstance

DONT_CARE = "###"

_INTEGERS = re.compile(r"\s*" + r"\s*,\s*".join([r"(-?[0-9]{1,9})"] * 8) + r"\s*(?:,(.*))?", re.DOTALL)
_DECIMALS = re.compile(r"\s*" + r"\s*,\s*".join([r"(-?[0-9]{1,9}(?:\.[0-9]*)?)"] * 8) + r"\s*(?:,(.*))?", re.DOTALL)
_QUOTED = re.compile(r'\s*"(.*)"\s*', re.DOTALL)


class RrcFormatError(ValueError):
    """Files that the official script would refuse. `faults` lists all of them, each with its file and line."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        super().__init__("\n  ".join([f"{path}: {len(faults)} fault(s) against the RRC format:", *faults]))
        self.faults = faults


@dataclass
class _Faults:
    """What is wrong with the files at `path`: with the remedy in it when strict, with the repair in it when lenient."""

    path: Path
    lenient: bool
    messages: list[str] = field(default_factory=list)

    def add(self, fault: str, remedy: str, repair: str) -> None:
        self.messages.append(f"{fault}; {repair if self.lenient else remedy}")

    def close(self) -> list[str]:
        """The repairs made; raises `RrcFormatError` instead when strict."""
        if self.messages and not self.lenient:
            raise RrcFormatError(self.path, self.messages)
        return self.messages


def read_ground_truths(path: str | Path, lenient: bool = False) -> tuple[dict[str, GroundTruth], list[str]]:
    """Read a zip or folder of `gt_*.txt` files: `{image name: GroundTruth}`, and the repairs (none when strict).

    Other entries are passed over, as in the official script. An empty file is an image without words. Raises
    `RrcFormatError` for faults when strict and when there is not one `gt_*.txt`, `FileNotFoundError` without `path`.
    """
    faults = _Faults(Path(path), lenient)
    ground_truths = {}
    for file_name, raw in _read_entries(faults.path):
        name = _image_name(file_name, "gt")
        if name is None:
            continue
        quads, texts = _parse_file(file_name, raw, faults, text_required=True)
        ignore = np.array([text == DONT_CARE for text in texts], dtype=bool)
        ground_truths[name] = GroundTruth(quads, texts, ignore, name)
    if not ground_truths:
        raise RrcFormatError(
            faults.path, ["no file is named gt_img_<number>.txt or gt_<image>.txt; is this another zip?"]
        )
    return ground_truths, faults.close()


def read_results(
    path: str | Path, image_names: Collection[str], text_required: bool = True, lenient: bool = False
) -> tuple[dict[str, Prediction], list[str]]:
    """Read a zip or folder of `res_*.txt` files: `{image name: Prediction}`, and the repairs (none when strict).

    Every one of `image_names` gets a prediction, without instances where there is no file. Files know neither scores
    nor image sizes: every score is 1, every size (0, 0). Raises `RrcFormatError` for faults when strict: a name that is
    none of `image_names`, a line without eight integers, or without a transcript if `text_required`, corners that run
    anticlockwise, bytes that are not UTF-8. Raises `FileNotFoundError` without `path`.
    """
    faults = _Faults(Path(path), lenient)
    predictions = {name: Prediction((), (0, 0), name) for name in image_names}
    for entry, raw in _read_entries(faults.path):
        file_name = entry
        if "/" in entry.rstrip("/"):
            file_name = Path(entry).name
            faults.add(f"{entry}: lies in a folder", "put it at the top of the zip", f"read as {file_name}")
        name = _image_name(file_name, "res")
        if name not in predictions:
            faults.add(
                f"{entry}: no such image in the ground truth", "remove it or name it res_img_<number>.txt", "left out"
            )
            continue
        quads, texts = _parse_file(entry, raw, faults, text_required)
        instances = tuple(TextInstance(quad, text, score=1.0) for quad, text in zip(quads, texts, strict=True))
        predictions[name] = Prediction(instances, (0, 0), name)
    return predictions, faults.close()


def write_result(path: str | Path, prediction: Prediction) -> None:
    """Write the result file of one image (`res_img_7.txt`), in the order of the prediction.

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


def _read_entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each entry of a zip or folder, in a fixed order; the name of a folder within ends in `/`."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            yield (f"{file.name}/", b"") if file.is_dir() else (file.name, file.read_bytes())
    elif not path.exists():
        raise FileNotFoundError(f"{path}: no such zip or folder")
    elif not zipfile.is_zipfile(path):
        raise RrcFormatError(path, ["neither a folder nor a zip archive"])
    else:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield name, archive.read(name)


def _image_name(file_name: str, prefix: str) -> str | None:
    found = re.fullmatch(prefix + r"_(?:img_)?([^/]+)\.txt", file_name)
    return found.group(1) if found else None


def _parse_file(file_name: str, raw: bytes, faults: _Faults, text_required: bool) -> tuple[list[np.ndarray], list[str]]:
    """The quads (4, 2) float32 and texts of one file."""
    rows, texts, places = [], [], []
    # Not splitlines: it would also break at the odd separators (vertical tab, U+2028) that a transcript may hold.
    for number, line in enumerate(_decode(file_name, raw, faults).split("\n"), start=1):
        line = line.replace("\r", "")
        if not line:
            continue
        place = f"{file_name}: line {number}"
        fields = _parse_line(line, place, faults)
        if fields is None:
            continue
        *numbers, text = fields
        if text is None and text_required:
            faults.add(f"{place}: no transcript", "add a comma and the transcript", "read as an empty text")
        rows.append(numbers)
        texts.append(_unquote(text or ""))
        places.append(place)
    quads = np.array(rows, dtype=np.float64).reshape(-1, 4, 2)
    for index in np.flatnonzero(_signed_areas(quads) < 0):
        faults.add(
            f"{places[index]}: the corners run anticlockwise", "list them clockwise as seen (y points down)", "reversed"
        )
        quads[index] = _reverse(quads[index])
    return list(quads.astype(np.float32)), texts


def _decode(file_name: str, raw: bytes, faults: _Faults) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        faults.add(f"{file_name}: line {line}: not UTF-8", "save the file as UTF-8", "unreadable bytes became �")
        return raw.decode("utf-8-sig", errors="replace")


def _parse_line(line: str, place: str, faults: _Faults) -> tuple | None:
    """Eight numbers and the text (None if absent); None for a line that cannot be read."""
    found = _INTEGERS.fullmatch(line)
    if found:
        return found.groups()
    found = _DECIMALS.fullmatch(line)
    if found:
        *numbers, text = found.groups()
        faults.add(f"{place}: coordinates that are not whole numbers", "round them", "rounded")
        return (*(round(float(number)) for number in numbers), text)
    faults.add(
        f"{place}: expected eight coordinates and a transcript, separated by commas, found {line[:60]!r}",
        "write x1,y1,x2,y2,x3,y3,x4,y4,transcript",
        "left out",
    )
    return None


def _unquote(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return quoted.group(1).replace("\\\\", "\\").replace('\\"', '"') if quoted else text


def _signed_areas(quads: np.ndarray) -> np.ndarray:
    """Areas (N,) of the quads (N, 4, 2), positive when clockwise as seen."""
    following = np.roll(quads, -1, axis=1)
    return 0.5 * (quads[..., 0] * following[..., 1] - following[..., 0] * quads[..., 1]).sum(axis=1)


def _reverse(quad: np.ndarray) -> np.ndarray:
    """The corners in the other direction, starting at the same one."""
    return quad[[0, 3, 2, 1]]
