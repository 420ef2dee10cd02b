"""Read the text in images: files, folders at any depth, patterns such as "pics/*.png", URLs, - for standard input.

  textspot infer photo.jpg scan.pdf folder/
  textspot infer clip.mp4 --every 0.5s
  cat photo.jpg | textspot infer -

The command prints the lines that it reads. It writes three files for each image below --out: `<stem>.json` with
everything it found, `res_<stem>.txt` in the format of the Robust Reading Competition, and the picture `<stem>.jpg`. In
a file with several pages or frames, each page gets its own files: `<stem>_p1.json`, `<stem>_p2.json` and so on.
--format chooses other files: text, markdown, hocr, alto, csv, coco_text, or pdf, a searchable PDF; each of these holds
all pages of a file.

Results keep the folder structure below the deepest folder that all images share. If two images of a folder have the
same stem (photo.jpg, photo.png), the second becomes `<stem>_2`. A region that was found but could not be read is not in
`res_<stem>.txt`, because the competition counts it as a false alarm.

Other files in a folder are skipped; a message says how many. Image formats that cannot be read (HEIC) and links to
folders are reported as failures. If results would overwrite a file that is read, the command stops before it writes
anything. The exit status is 0 if all images were read, 1 if something failed, 2 if the options are invalid.
"""

import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, repeat, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

import numpy as np
from jsonargparse.typing import PositiveInt
from rich.console import Console
from rich.progress import track

from textspot.cli.command import printable, run_command, say
from textspot.cli.options import Verb
from textspot.downloads import DownloadLimits, download, is_url
from textspot.extras import MissingExtraError
from textspot.image_files import MAX_FILE_BYTES, ImageError
from textspot.image_folders import Places, find_images, place_outputs, refuse_overwriting
from textspot.image_pages import Page, each_page, is_video, pages_of_file, read_pages
from textspot.inference.prefetch import prefetch
from textspot.inference.settings import READING, ReadingSettings
from textspot.inference.views import ALL_TURNS
from textspot.metrics import write_result
from textspot.outputs import FORMATS, DocumentFormat, DocumentName, ReadPage, encode_jpeg
from textspot.structures import Prediction
from textspot.text.beam import BeamConfig
from textspot.text.lexicon import load_lexicon
from textspot.visualize import draw_prediction

if TYPE_CHECKING:
    from textspot.inference.spotter import Spotter

STANDARD_INPUT = "-"
FormatName = Literal["json", "rrc", DocumentName]
FAILURES = (ImageError, OSError, MissingExtraError)  # cost an image or a page
SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)s?")


@dataclass(frozen=True, kw_only=True)
class InferOptions(ReadingSettings):
    """What is read, how, and where the results go.

    Args:
        images: files, folders (at any depth), patterns in quotes, URLs, or - for standard input.
        out: folder that receives the results; images in it are never read.
        beam: settings of the language model.
        lexicon: file of words, one per line. A listed word replaces the text that was read if it is more probable,
            given the image.
        compile: compile the network with torch.compile at the first image, in PyTorch only.
        turned: also read copies of the image turned by 90, 180 and 270 degrees, for text in all directions; this takes
            four times as long.
        tiling: read an image in tiles if it would be shrunk to less than half; a message says so.
        batch_size: number of images per batch; only images of the same padded size are batched together.
        format: files that are written, one or more: json, rrc (the result file of the competition), text, markdown,
            hocr, alto, csv, coco_text, pdf.
        pictures: draw what was found into a picture of each image.
        every: time between the frames of a video that are read, such as 0.5s; required for a video.
        private_urls: allow URLs of addresses that are not public, such as localhost.
    """

    images: tuple[str, ...]
    out: Path = Path("predictions")
    beam: BeamConfig = field(default_factory=BeamConfig)
    lexicon: Path | None = None
    compile: bool = False
    turned: bool = False
    tiling: bool = True
    batch_size: PositiveInt = 1
    format: tuple[FormatName, ...] = ("json", "rrc")
    pictures: bool = True
    every: str | None = None
    private_urls: bool = False

    def __post_init__(self) -> None:
        if self.every is not None and not self.seconds:
            raise ValueError(f"--every is {self.every!r}, expected seconds above 0, such as 0.5s")

    @property
    def documents(self) -> dict[str, DocumentFormat]:
        """The formats of which a file holds all pages."""
        return {name: FORMATS[name] for name in self.format if name in FORMATS}

    @property
    def seconds(self) -> float | None:
        """The time between two frames."""
        found = SECONDS.fullmatch(self.every or "")
        return float(found[1]) if found else None


VERB = Verb("infer", InferOptions, __doc__, positional=("images",), groups=READING, no_use={"language=none": ("beam",)})


def infer(options: InferOptions) -> int:
    """Read the images and write what is in them; the exit status says whether nothing failed."""
    places = Places(partial(output_files, options))
    sources, complaints, remark = find_sources(options, places)
    if not sources:
        raise ValueError("\n".join(complaints))
    if options.every and not any(source.file and is_video(source.file) for source in sources):
        raise ValueError("--every says how often a frame of a video is read, and there is no video: leave it out")
    for words in filter(None, [*complaints, remark]):
        say(words)
    inputs = [source.file for source in sources if source.file] + named_files(options)
    targets = [file for source in sources for file in output_files(options, source.place)]
    refuse_overwriting(targets, inputs)
    for document in options.documents.values():
        document.write([])  # complains now, not after the reading, where a package is missing
    spotter = load_spotter(options)
    work = Work(options, inputs, places)
    pages = (page for source in work.track(sources) for page in work.read(source))
    batches = prefetch(lambda _: list(islice(pages, options.batch_size)), repeat(None), num_ahead=1)
    for batch in takewhile(bool, batches):
        names = [describe_page(source.name, page) for source, page in batch]
        predictions = spotter.predict([page.image for _, page in batch], options.batch_size, names)
        for (source, page), prediction in zip(batch, predictions, strict=True):
            work.write(source, page, replace(prediction, name=source.name, page=page.number))
    work.finish_document()
    done, failed = work.num_written, work.num_failed
    print(f"{done} of {done + failed} images read by {spotter.source}, the results are in {options.out}")
    return 1 if failed or complaints else 0


@dataclass(frozen=True)
class Source:
    """Something to read: a `file`, a URL, or standard input; `place` is where its results belong below --out."""

    name: str
    place: Path
    file: Path | None = None

    def pages(self, options: "InferOptions") -> Iterator[Page]:
        """Its images, in order."""
        if self.file:
            return pages_of_file(self.file, options.seconds)
        if self.name == STANDARD_INPUT:
            return read_pages(sys.stdin.buffer.read(MAX_FILE_BYTES), self.name)
        return read_pages(download(self.name, DownloadLimits(private=options.private_urls)), self.name)


def find_sources(options: InferOptions, places: Places) -> tuple[list[Source], list[str], str]:
    """What the arguments name; complaints about those that name nothing; a remark on what folders hold besides."""
    named = [name for name in dict.fromkeys(options.images) if is_url(name) or name == STANDARD_INPUT]
    found = find_images([name for name in options.images if name not in named], options.out)
    placed = place_outputs(found.images, places)
    sources = [Source(os.fspath(file), place, file) for file, place in placed.items()]
    for name in named:
        stem = Path(unquote(urlsplit(name).path)).stem or "image"
        place = places.give(Path("stdin" if name == STANDARD_INPUT else stem))
        sources.append(Source(name, place))
    return sources, found.complaints, found.describe_passed_over()


def named_files(options: InferOptions) -> list[Path]:
    """Files that are read besides the images."""
    language = Path(options.language) if options.language else None
    return [Path(options.weights), *filter(None, [options.lexicon, language])]


class Work:
    """What goes on while images are read: which results are written, what failed, how far it is."""

    def __init__(self, options: InferOptions, inputs: Sequence[Path], places: Places):
        self.options, self.inputs, self._places = options, inputs, places
        self.num_written = self.num_failed = 0
        self._source: Source | None = None
        self._pages: list[ReadPage] = []  # of that source, for the formats that hold all

    def track(self, sources: Sequence[Source]) -> Iterable[Source]:
        """The sources, while a bar on a terminal says how many are done; the words go above it."""
        console = Console(stderr=True)
        if len(sources) < 2 or not console.is_terminal:
            return sources  # a hidden bar of rich 13 would write an empty line
        return track(sources, "reading", console=console, transient=True)

    def read(self, source: Source) -> Iterator[tuple[Source, Page]]:
        """The pages of a source; one that cannot be read is named, and the others go on."""
        try:
            pages = source.pages(self.options)
        except FAILURES as error:
            self._fail(error)
            return
        for page in each_page(pages, FAILURES):
            if isinstance(page, Exception):
                self._fail(page)
            else:
                yield source, page

    def _fail(self, error: Exception) -> None:
        say(str(error))
        self.num_failed += 1

    def write(self, source: Source, page: Page, prediction: Prediction) -> None:
        """Write the results of a page and print its lines; what cannot be written is named."""
        self._collect(source, page, prediction)
        place, name = source.place, describe_page(source.name, page)
        if page.number is not None:
            place = self._places.give(place.with_name(f"{place.name}_p{page.number}"))
        try:
            refuse_overwriting(output_files(self.options, place), self.inputs)
            write_outputs(self.options, place, page.image, prediction)
        except (OSError, ValueError) as error:  # such as a name too long for the result's: costs this image alone
            self._complain(name, error)
            return
        self.num_written += 1
        texts = " | ".join(line.text for line in prediction.lines())
        print(printable(f"{name}: {len(prediction)} found: {texts}"))

    def _complain(self, name: str, error: Exception) -> None:
        self._fail(ValueError(f"{name}: its results cannot be written ({error})"))

    def _collect(self, source: Source, page: Page, prediction: Prediction) -> None:
        """Keep a page for the documents of its source; those of the one before are complete."""
        if source != self._source:
            self.finish_document()
        self._source = source
        if documents := self.options.documents.values():
            with_pictures = any(document.pictures for document in documents)
            self._pages.append(ReadPage(prediction, encode_jpeg(page.image) if with_pictures else b""))

    def finish_document(self) -> None:
        """Write the files that hold all pages of a source."""
        if self._source and self._pages:
            place = self.options.out / self._source.place
            try:
                for document in self.options.documents.values():
                    write_file(document_file(place, document), document.write(self._pages))
            except (OSError, ValueError) as error:
                self._complain(self._source.name, error)
        self._pages = []


def describe_page(name: str, page: Page) -> str:
    """A page of a file, in words."""
    if page.number is None:
        return name
    return f"{name}, page {page.number}" if page.time_s is None else f"{name}, {page.time_s:.2f} s"


def load_spotter(options: InferOptions) -> "Spotter":
    """The spotter of the options."""
    spotter = options.load(options.compile)
    spotter.tiling = options.tiling
    spotter.turns = ALL_TURNS if options.turned else (0,)
    spotter.lean_to(None, options.beam)
    if options.lexicon is not None:
        spotter.lexicon = load_lexicon(options.lexicon, options.lexicon.stem)
    return spotter


def output_files(options: InferOptions, place: Path) -> list[Path]:
    """What is written for the image whose outputs belong at `place` below --out."""
    place = options.out / place
    pages = [page_files(place)[kind] for kind in ("json", "rrc") if kind in options.format]
    drawn = [page_files(place)["picture"]] if options.pictures else []
    return pages + drawn + [document_file(place, document) for document in options.documents.values()]


def page_files(place: Path) -> dict[str, Path]:
    """The JSON, the result file and the picture of an image."""
    names = {"json": f"{place.name}.json", "rrc": f"res_{place.name}.txt", "picture": f"{place.name}.jpg"}
    return {kind: place.with_name(name) for kind, name in names.items()}


def document_file(place: Path, document: DocumentFormat) -> Path:
    """The file of a format that holds all pages."""
    return place.with_name(place.name + document.suffix)


def write_outputs(options: InferOptions, place: Path, image: np.ndarray, prediction: Prediction) -> None:
    """Write what was found in an RGB image: JSON, result file and picture, as far as they are wanted."""
    files = page_files(options.out / place)
    files["json"].parent.mkdir(parents=True, exist_ok=True)
    if "rrc" in options.format:
        read = tuple(instance for instance in prediction if instance.text)
        write_result(files["rrc"], replace(prediction, instances=read))
    if "json" in options.format:
        text = json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n"
        write_file(files["json"], text.encode("utf-8", "backslashreplace"))  # \udcff of a name is an escape of JSON too
    if options.pictures:
        write_file(files["picture"], encode_jpeg(draw_prediction(image, prediction)))


def write_file(file: Path, data: bytes) -> None:
    """Write a file, and the folders it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)  # the second image of a size is worth its message too
        warnings.showwarning = _show_warning
        return run_command(lambda: infer(options))
