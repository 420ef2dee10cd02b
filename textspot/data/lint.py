"""What looks wrong with annotations: things that a format allows and a training run suffers from silently."""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from textspot.data.annotation import MIN_AREA, Instance, is_dont_care, looks_like_placeholder
from textspot.data.formats.mlt import SCRIPTS
from textspot.data.lmdb_records import DamagedRecordError, Reader
from textspot.data.source import SourceSplit, explain_size
from textspot.geometry import polygon_area, polygon_to_ribbon, ribbon_size
from textspot.image_files import ImageError, upright_size
from textspot.progress import Track, untracked
from textspot.text.charset import Charset, TextConfig, is_invisible, normalize

SHOWN = 5  # places per finding
MAX_OUTSIDE = 0.1  # of the area of a polygon; annotators draw a little over the border

_STARTS_WITH_COORDINATES = re.compile(r"\s*-?\d+(\.\d+)?\s*,\s*-?\d+(\.\d+)?\s*,")
_STARTS_WITH_SCRIPT = re.compile(rf"({'|'.join(SCRIPTS)}),")

Findings = dict[str, list[str]]  # what looks wrong -> the places where it does


@dataclass(frozen=True)
class Annotated:
    """One image to look at. `stated_size` is the (height, width) its annotation refers to, where that is known, `fault`
    what is wrong with a record that cannot be read."""

    name: str
    image_bytes: bytes
    instances: tuple[Instance, ...]
    stated_size: tuple[int, int] | None = None
    fault: str = ""


def lint_records(readers: Sequence[Reader], text: TextConfig | None = None, track: Track = untracked) -> Findings:
    """What looks wrong in data sets; see `lint_images`."""
    places = [(reader, index) for reader in readers for index in range(len(reader))]
    return lint_images((_read_record(reader, index) for reader, index in track(places, "lint")), text)


def _read_record(reader: Reader, index: int) -> Annotated:
    """A record; of a damaged one what is wrong with it."""
    path = f"{reader.path.parent.name}/{reader.path.name}"
    try:
        record = reader[index]
    except DamagedRecordError as error:
        return Annotated(f"{path}: record {index}", b"", (), fault=str(error))
    return Annotated(f"{path}: {record.name}", record.image_bytes, record.instances)


def lint_files(splits: Mapping[str, SourceSplit], text: TextConfig | None = None, track: Track = untracked) -> Findings:
    """What looks wrong in the files of a data set, before any repair; see `lint_images`."""
    files = [(split, image) for split, source in splits.items() for image in source.images]
    findings = lint_images(
        (
            Annotated(f"{split}: {image.name}", image.file.read_bytes(), image.instances, image.size)
            for split, image in track(files, "lint")
        ),
        text,
    )
    of_files = [f"{split}: {warning}" for split, source in splits.items() for warning in source.warnings]
    return findings | ({"in the pairing of images and annotations": of_files} if of_files else {})


def lint_images(images: Iterable[Annotated], text: TextConfig | None = None) -> Findings:
    """Look at every image and every instance.

    `text` is the charset of a recipe, against which transcripts are held. Give the images of several data sets at once
    to find those that are in two of them, such as a training image among the validation images.
    """
    findings: Findings = defaultdict(list)
    charset = Charset(text.characters) if text else None
    first_of: dict[bytes, str] = {}
    for image in images:
        if image.fault:
            findings["cannot be read"].append(image.fault)
            continue
        try:
            size = upright_size(image.image_bytes, image.name)
        except ImageError as error:
            findings["cannot be read"].append(str(error))
            continue
        digest = hashlib.sha256(image.image_bytes).digest()
        if digest in first_of:
            findings["the same image again"].append(f"{image.name}, as {first_of[digest]}")
        first_of.setdefault(digest, image.name)
        for finding in _lint_image(image, size):
            findings[finding].append(image.name)
        for number, instance in enumerate(image.instances, start=1):
            place = f"{image.name}: instance {number} {instance.transcript!r}"
            for finding in _lint_polygon(instance, size):
                findings[finding].append(place)
            if not instance.ignore:
                for finding in _lint_transcript(instance.transcript):
                    findings[finding].append(place)
                if text and charset and not charset.knows(normalize(instance.transcript, text.case)):
                    findings["holds characters outside the charset"].append(place)
    return dict(findings)


def _lint_image(image: Annotated, size: tuple[int, int]) -> Iterator[str]:
    height, width = size
    if image.stated_size and image.stated_size != size:
        yield explain_size(image.stated_size, size)
    points = [point for instance in image.instances for point in instance.polygon]
    if points and height != width:
        right, bottom = np.max(points, axis=0)
        if (right > width + 1 or bottom > height + 1) and right <= height and bottom <= width:
            yield "the polygons fit only the image turned by a quarter: was its EXIF orientation heeded?"
    outlines = [tuple(np.round(instance.polygon).ravel()) for instance in image.instances]
    if len(set(outlines)) < len(outlines):
        yield "two instances have the same outline"


def _lint_polygon(instance: Instance, size: tuple[int, int]) -> Iterator[str]:
    polygon = np.array(instance.polygon)
    outline = shapely.Polygon(polygon)
    if outline.convex_hull.area < MIN_AREA:
        yield "has no area"
        return
    if not outline.is_valid:
        yield "the outline crosses itself: are its corners in order?"
        return
    if polygon_area(polygon) < 0:
        yield "runs anticlockwise; expected clockwise from the start of reading"
        return
    inside = outline.intersection(shapely.box(0, 0, size[1], size[0])).area
    if inside == 0:
        yield "lies outside the image"
    elif inside < (1 - MAX_OUTSIDE) * outline.area:
        yield "reaches out of the image"
    ribbon, _ = polygon_to_ribbon(polygon)
    height, width = ribbon_size(ribbon)
    along = ribbon[0, 3] - ribbon[0, 0]
    if -along[0] > abs(along[1]):
        yield "reads from right to left as drawn, so upside down: is the first corner where reading starts?"
    elif instance.readable and len(normalize(instance.transcript)) >= 3 and height > 2 * width:
        yield "is far higher than wide for its text: is the first corner where reading starts?"


def _lint_transcript(transcript: str) -> Iterator[str]:
    if _STARTS_WITH_COORDINATES.match(transcript):
        yield "the transcript starts with coordinates: are these polygons of more points than the format reads?"
    if _STARTS_WITH_SCRIPT.match(transcript):
        yield "the transcript starts with a script: is this a file of MLT? set format: mlt in the card"
    if transcript.count('"') % 2:
        yield "the transcript holds an odd number of quotes: was it cut at a comma?"
    if transcript != transcript.strip():
        yield "the transcript has blanks around it, which are taken off"
    if looks_like_placeholder(transcript) or is_dont_care(transcript):
        yield "the transcript looks like a don't-care mark, and is not marked as to be ignored"
    invisible = [c for c in transcript if is_invisible(c) or (c.isspace() and c != " ")]
    if invisible:
        yield f"the transcript holds invisible characters: {', '.join(sorted({f'U+{ord(c):04X}' for c in invisible}))}"
    if unicodedata.normalize("NFC", transcript) != transcript:
        yield "the transcript holds decomposed characters, which are composed (NFC)"


def describe(findings: Findings) -> str:
    """The findings in words, the most frequent first."""
    ranked = sorted(findings.items(), key=lambda item: -len(item[1]))
    lines = []
    for finding, places in ranked:
        lines.append(f"{len(places)}: {finding}")
        lines += [f"    {place}" for place in places[:SHOWN]]
        if len(places) > SHOWN:
            lines.append(f"    ... and {len(places) - SHOWN} more")
    return "\n".join(lines)
