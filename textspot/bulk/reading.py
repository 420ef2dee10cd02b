"""From the entries of one part to its rows: a function of these, the weights and the settings alone."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from textspot.bulk.manifest import UNKNOWN, Entry
from textspot.bulk.rows import Row, row_of
from textspot.downloads import DownloadLimits, download, is_url
from textspot.image_files import MAX_FILE_BYTES, ImageError, decode_image
from textspot.inference.prefetch import prefetch
from textspot.inference.spotter import Spotter, View, batch_by_size
from textspot.runtime.protocol import Regions
from textspot.stores import DeniedError, read_file

AHEAD = 4  # images that are fetched, decoded and prepared while others are read


class ChangedError(ValueError):
    """An image whose size is not the one that it had when the run began."""


class WebError(OSError):
    """An address of the web that gives no image: of these every list has some."""


OF_ONE_IMAGE = (
    ImageError,
    ChangedError,
    WebError,
    DeniedError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
)


@dataclass
class Opened:
    """An image as it goes through: its views, those that were read, and in the end its row."""

    entry: Entry
    sha256: str = ""
    views: list[View] = field(default_factory=list)
    found: list[tuple[Regions, View]] = field(default_factory=list)
    row: Row | None = None


def read_part(spotter: Spotter, entries: Sequence[Entry], batch_size: int, limits: DownloadLimits) -> list[Row]:
    """One row for each entry, in their order; one that cannot be read has its error. A store that does not answer is a
    `StoreError`, and there are no rows then.

    Which images share a batch is decided by the order of the entries, so that repeating a part gives the same rows.
    Few images are in memory at a time, however long the part.
    """
    opened: list[Opened] = []
    owners: list[Opened] = []  # of the views, by the number under which they are batched
    for batch in batch_by_size(_number_views(spotter, entries, limits, opened, owners), batch_size):
        pixels = np.stack([view.pixels for _, view in batch])
        for (number, view), regions in zip(batch, spotter.spot(pixels), strict=True):
            _note(spotter, owners[number], regions, view)
    return [one.row for one in opened if one.row]


def _number_views(
    spotter: Spotter, entries: Sequence[Entry], limits: DownloadLimits, opened: list[Opened], owners: list[Opened]
) -> Iterator[tuple[int, View]]:
    for one in prefetch(partial(_open, spotter, limits), entries, AHEAD):
        opened.append(one)
        for view in one.views:
            owners.append(one)
            yield len(owners) - 1, view


def _note(spotter: Spotter, one: Opened, regions: Regions, view: View) -> None:
    """Keep what was found in a view; after the last one the image becomes its row, and its pixels are let go."""
    one.found.append((regions, view))
    if len(one.found) < len(one.views):
        return
    found, views = zip(*one.found, strict=True)
    limited = any(map(spotter.reaches_limit, found))
    one.row = row_of(one.entry.id, one.sha256, spotter.finish(found, views), limited)
    one.views, one.found = [], []


def _open(spotter: Spotter, limits: DownloadLimits, entry: Entry) -> Opened:
    """An image fetched, decoded and prepared, or already the row of its error."""
    sha256 = ""
    try:
        data = fetch(entry, limits)
        sha256 = hashlib.sha256(data).hexdigest()
        return Opened(entry, sha256, spotter.prepare(decode_image(data, entry.id)))
    except OF_ONE_IMAGE as error:
        return Opened(entry, row=Row(entry.id, sha256, error=str(error)))


def fetch(entry: Entry, limits: DownloadLimits) -> bytes:
    """The bytes of an image. What is wrong with this image alone is one of `OF_ONE_IMAGE`, what is wrong with its store
    a `StoreError`."""
    if is_url(entry.address):
        try:
            return download(entry.address, limits)
        except OSError as error:
            raise WebError(str(error)) from error
    if entry.num_bytes > MAX_FILE_BYTES:
        raise ImageError(f"{entry.id}: {entry.num_bytes} bytes, at most {MAX_FILE_BYTES} are read")
    data = read_file(entry.address, 0, MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{entry.id}: more than {MAX_FILE_BYTES} bytes, at most as many are read")
    if entry.num_bytes not in (UNKNOWN, len(data)):
        raise ChangedError(f"{entry.id}: had {entry.num_bytes} bytes when the run began, has {len(data)} now")
    return data
