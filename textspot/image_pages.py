"""Files that hold several images: the pages of a TIFF or PDF, the frames of a GIF, a WebP or a video."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from textspot.image_decoding import MAX_PIXELS, ImageError, ImageTooLargeError, open_image
from textspot.image_files import decode_image, read_file
from textspot.image_process import decode_in_process
from textspot.pdf_process import count_pdf_pages, draw_pdf_page, is_pdf
from textspot.video_process import frames_of_video

Item = TypeVar("Item")

PDF_SUFFIXES = {".pdf"}
VIDEO_SUFFIXES = {".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"}
PAGED = ("TIFF", "GIF", "WEBP")  # formats of images that may hold several
MAX_PAGES = 5000  # of one file; more are no document


@dataclass(frozen=True, eq=False)
class Page:
    """One image (H, W, 3) uint8 RGB of a file, and its number from 1; None where the file holds no other.

    Of a video the number is that of the frame, and `time_s` its time from the start.
    """

    image: np.ndarray
    number: int | None = None
    time_s: float | None = None


def read_pages(data: bytes, name: str) -> Iterator[Page]:
    """The pages or frames of an encoded image or PDF, one after the other.

    What cannot be decoded, has a password or holds more than `MAX_PAGES` is an `ImageError`. One that is raised while
    the pages are gone through is of that page alone: `next` gives the one after it, as `each_page` does. A PDF needs
    the extra `pdf`.
    """
    count = count_frames(data, name)
    if count == 1 and not is_pdf(data):
        return iter([Page(decode_image(data, name))])
    if count > MAX_PAGES:
        raise ImageTooLargeError(f"{name}: has more than {MAX_PAGES} pages: cut it into several files")

    def read_page(number: int) -> Page:
        if is_pdf(data):
            return Page(draw_pdf_page(data, name, number, MAX_PIXELS), number)
        return Page(decode_in_process(data, f"{name}, page {number}", number), number)

    return map(read_page, range(1, count + 1))  # no generator, which would end at the first error


def each_page(pages: Iterator[Item], failures: tuple[type[Exception], ...]) -> Iterator[Item | Exception]:
    """The pages, or what is made of each; in the place of one that fails, its error, if it is one of `failures`."""
    while True:
        try:
            page: Item | Exception = next(pages)
        except StopIteration:
            return
        except failures as error:
            page = error
        yield page


def count_frames(data: bytes, name: str) -> int:
    """How many pages or frames an encoded image or PDF holds, though a TIFF's are counted only to the first beyond
    `MAX_PAGES`; what is neither is an `ImageError`."""
    if is_pdf(data):
        return count_pdf_pages(data, name)
    with open_image(data, name) as image:
        try:
            if image.format == "TIFF":
                return _count_directories(image)
            return getattr(image, "n_frames", 1) if image.format in PAGED else 1
        except Exception as error:  # on damaged bytes Pillow's readers raise anything
            raise ImageError(f"{name}: its pages cannot be counted ({error})") from error


def _count_directories(image: Image.Image) -> int:
    """The pages of a TIFF. Each costs Pillow half a millisecond, and a file may hold a hundred thousand empty ones."""
    for number in range(1, MAX_PAGES + 1):
        try:
            image.seek(number)
        except EOFError:
            return number
    return MAX_PAGES + 1


def read_frames(path: str | os.PathLike, every_s: float) -> Iterator[Page]:
    """A frame of a video every so many seconds, the first one at its start. What is no video is an `ImageError`, and
    so is, after its frames, one that ends before it says it does."""
    name = os.fspath(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name}: no such file")
    for index, time_s, image in frames_of_video(name, every_s):
        yield Page(image, index + 1, time_s)


def is_video(path: str | os.PathLike) -> bool:
    """Whether a file is a video by its suffix."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def pages_of_file(path: str | os.PathLike, every_s: float | None = None) -> Iterator[Page]:
    """The pages or frames of a file, see `read_pages`. A video wants `every_s`, the seconds between two frames; else
    an `ImageError` says so."""
    if not is_video(path):
        return read_pages(read_file(path), os.fspath(path))
    if every_s is None:
        raise ImageError(f"{os.fspath(path)}: a video: say how often a frame is read, such as --every 0.5s")
    return read_frames(path, every_s)
