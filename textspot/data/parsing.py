"""From the bytes of an annotation file to values: complaints name file, line or element, and come all at once."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from xml.etree import ElementTree

from textspot.data.mat_process import load_variables
from textspot.extras import MissingExtraError

MAX_COMPLAINTS_SHOWN = 20
MAX_COMPLAINT_LENGTH = 400  # characters of one complaint that are shown; a bad line may be a whole file

Point = tuple[float, float]
Item = TypeVar("Item")
Parsed = TypeVar("Parsed")

_KINDS = {dict: "an object", list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false"}


class AnnotationError(ValueError):
    """Annotations that cannot be used. `complaints` holds one sentence each, naming file and line."""

    def __init__(self, complaints: Sequence[str]):
        self.complaints = list(complaints)
        shown = [shorten(complaint) for complaint in self.complaints[:MAX_COMPLAINTS_SHOWN]]
        if len(self.complaints) > len(shown):
            shown.append(f"... and {len(self.complaints) - len(shown)} more")
        super().__init__("\n".join(shown))


def shorten(words: str) -> str:
    """Words without what stands in the middle of too many."""
    if len(words) <= MAX_COMPLAINT_LENGTH:
        return words
    half = MAX_COMPLAINT_LENGTH // 2
    return f"{words[:half]} ... {len(words) - 2 * half} characters ... {words[-half:]}"


def decode_text(raw: bytes, source: str) -> str:
    """The text of a UTF-8 file without its byte order mark; other encodings are an `AnnotationError`."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            [f"{source}: not UTF-8 (byte {error.start}): convert it, with iconv -f latin1 -t utf-8 for example"]
        ) from error


def load_json(raw: bytes, source: str) -> Any:
    """The value of a JSON file; what is not JSON is an `AnnotationError` that names the line."""
    text = decode_text(raw, source)
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        raise AnnotationError([f"{source}: line {error.lineno}: not JSON ({error.msg})"]) from error
    except ValueError as error:
        raise AnnotationError([f"{source}: {error}"]) from error


def parse_json(text: str) -> Any:
    """The value of a JSON text; a JSONDecodeError for what is none, a ValueError for what goes beyond Python's
    limits."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets
        raise ValueError(f"not JSON that can be read ({error})") from error


def load_xml(raw: bytes, source: str) -> ElementTree.Element:
    """The root of an XML file; what is not XML is an `AnnotationError` that names the line."""
    try:
        return ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        line, reason = error.position[0], error.msg.split(":")[0]
        raise AnnotationError([f"{source}: line {line}: not XML ({reason})"]) from error
    except (LookupError, ValueError) as error:
        raise AnnotationError(
            [f"{source}: XML in an encoding that is not known ({error}): save it as UTF-8"]
        ) from error


def read_attribute(element: ElementTree.Element, name: str) -> float:
    """The number in an attribute of an XML element; a ValueError that names it when there is none."""
    value = element.get(name)
    try:
        return float(value or "")
    except ValueError:
        found = "none" if value is None else repr(value)
        raise ValueError(f'attribute "{name}": expected a number, found {found}') from None


def load_mat(raw: bytes, source: str, names: Sequence[str]) -> dict[str, Any]:
    """Variables of a MATLAB file up to version 7; one that is missing, or another kind of file, is an
    `AnnotationError`. Needs scipy."""
    try:
        values = load_variables(raw, names)
    except ImportError as error:
        raise MissingExtraError(f"{source}: .mat files are read with scipy: pip install 'textspot[mat]'") from error
    except ValueError as error:
        raise AnnotationError([f"{source}: not a MATLAB file up to version 7 ({error})"]) from error
    if missing := [name for name in names if name not in values]:
        raise AnnotationError([f"{source}: holds no variable {missing[0]}"])
    return values


def read_key(values: Any, key: str, kind: type | tuple[type, ...], default: Any = None) -> Any:
    """The value of a key of a JSON object; a ValueError when it is of another kind, or missing without a `default`.

    With a default, null counts as missing: annotation tools write it for what was not filled in.
    """
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, found {values!r}")
    value = values.get(key)
    if value is None and default is not None:
        return default
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        found = repr(value) if key in values else "none"
        raise ValueError(f'"{key}": expected {_KINDS[kinds[-1]]}, found {found}')
    return value


def parse_each(items: Iterable[tuple[str, Item]], parse: Callable[[Item], Parsed]) -> list[Parsed]:
    """Parse items that come with their place in the source, `("gt_7.txt: line 3", line)`.

    A ValueError of `parse` becomes a complaint that begins with the place. All are raised as one `AnnotationError`,
    also from within another `parse_each`: then both places stand before them.
    """
    parsed, complaints = [], []
    for place, item in items:
        try:
            parsed.append(parse(item))
        except AnnotationError as error:
            complaints += [f"{place}: {complaint}" for complaint in error.complaints]
        except (ValueError, OverflowError, RecursionError) as error:  # a number of hundreds of digits fits no float
            complaints.append(f"{place}: {error}")
    if complaints:
        raise AnnotationError(complaints)
    return parsed


def number_items(what: str, items: Iterable[Item]) -> Iterator[tuple[str, Item]]:
    """Items with their places for `parse_each`: `("box 1", item)`, `("box 2", item)`, ..."""
    return ((f"{what} {number}", item) for number, item in enumerate(items, start=1))


def parse_lines(raw: bytes, source: str, parse_line: Callable[[str], Parsed]) -> list[Parsed]:
    """Parse each line of a file that is not blank; complaints name source and line.

    A byte order mark and carriage returns are taken off. Lines end at line feeds only: `str.splitlines` would also cut
    at characters that transcripts may hold.
    """
    lines = (line.removesuffix("\r") for line in decode_text(raw, source).split("\n"))
    numbered = number_items(f"{source}: line", lines)
    return parse_each(((place, line) for place, line in numbered if line.strip()), parse_line)


def parse_points(values: Sequence[Any]) -> tuple[Point, ...]:
    """Points (x, y) of a flat list x1, y1, x2, y2, ... of numbers or their texts; anything else is a ValueError."""
    if len(values) % 2:
        raise ValueError(f"expected pairs of coordinates, found {len(values)} numbers")
    numbers = []
    for position, value in enumerate(values, start=1):
        try:
            numbers.append(float(value))
        except (TypeError, ValueError):
            raise ValueError(f"coordinate {position} is {value!r}, expected a number") from None
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def parse_point_pairs(points: Any) -> tuple[Point, ...]:
    """Points (x, y) of a JSON list [[x, y], ...]; anything else is a ValueError."""
    if not isinstance(points, list) or not all(
        isinstance(point, list) and len(point) == 2 and all(type(value) in (int, float) for value in point)
        for point in points
    ):
        raise ValueError("polygon: expected a list of points [x, y]")
    return tuple((float(x), float(y)) for x, y in points)


def unquote(transcript: str) -> str:
    r"""Take double quotes off a transcript, and the backslash off `\"` and `\\` inside them, as the ICDAR scripts do.

    Source: rrc_evaluation_funcs.py of the Robust Reading Competition, get_tl_line_values.
    """
    stripped = transcript.strip()
    if len(stripped) < 2 or not (stripped.startswith('"') and stripped.endswith('"')):
        return transcript
    return stripped[1:-1].replace("\\\\", "\\").replace('\\"', '"')
