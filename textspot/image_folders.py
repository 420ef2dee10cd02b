"""Which files an inference reads, and where what is found in each belongs: never in the place of an input."""

import glob
import itertools
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from textspot.image_files import IMAGE_SUFFIXES
from textspot.image_pages import PDF_SUFFIXES, VIDEO_SUFFIXES

READ_SUFFIXES = IMAGE_SUFFIXES | PDF_SUFFIXES | VIDEO_SUFFIXES

# Photographs to people who put them into a folder, and to no decoder here: passing them over would be a fault.
UNREAD_SUFFIXES = {".heic", ".heif", ".hif", ".jxl", ".psd", ".eps", ".ps", ".ai", ".svg", ".ico"}
UNREAD_SUFFIXES |= {".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"}
_RESOURCE_FORK = "._"  # begins the names of files in which macOS keeps what another file system has no room for


@dataclass
class Found:
    """The files that paths and patterns name, each once, in order; complaints about what was meant to be read and is
    not; how many other files of folders were passed over, by kind."""

    images: list[Path] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def describe_passed_over(self) -> str:
        """In words; empty if nothing was."""
        counts = (f"{count} {kind}" for kind, count in sorted(self.passed_over.items()))
        return f"passed over, as no images by their names: {', '.join(counts)}" if self.passed_over else ""


def find_images(patterns: Sequence[str], out: Path) -> Found:
    """What paths and patterns name.

    Of a folder these are the files at any depth that bear an image's suffix. What lies in `out`, whatever links lead
    there, is left alone: it is what an earlier call wrote.
    """
    found = Found()
    images: dict[str, Path] = {}
    out_folder = os.path.realpath(out)
    for pattern in patterns:
        matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        files = [file for match in matches for file in _files_at(Path(match), out_folder, found)]
        outside = {os.path.abspath(file): file for file in files if not _is_below(os.path.realpath(file), out_folder)}
        if not matches:
            found.complaints.append(f"{pattern}: no such file or folder, and nothing matches it as a pattern")
        elif not outside:
            found.complaints.append(f"{pattern}: no image in it" + (f" but those in --out, {out}" if files else ""))
        images |= {key: file for key, file in outside.items() if key not in images}
    found.images = list(images.values())
    return found


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _files_at(path: Path, out_folder: str, found: Found) -> Iterator[Path]:
    """The images of a path; what a folder holds besides is noted."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(_walk(path, found)):
        suffix = file.suffix.lower()
        if _is_below(os.path.realpath(file), out_folder):
            if suffix in READ_SUFFIXES:
                yield file
        elif file.is_dir():
            found.complaints.append(f"{file}: a link to a folder, which is not followed: name it beside {path}")
        elif file.name.startswith(_RESOURCE_FORK):
            found.passed_over[f"{_RESOURCE_FORK}*"] += 1
        elif suffix in UNREAD_SUFFIXES:
            found.complaints.append(f"{file}: {suffix} files are not read: convert it to JPEG or PNG")
        elif suffix not in READ_SUFFIXES:
            found.passed_over[suffix or "without a suffix"] += 1
        elif file.is_file():
            yield file
        else:
            found.complaints.append(f"{file}: a link to nothing, or no regular file")


def _walk(folder: Path, found: Found) -> Iterator[Path]:
    """All files below a folder, and its links to folders; a folder that cannot be listed is a complaint."""
    for place, folders, files in os.walk(folder, onerror=lambda error: found.complaints.append(str(error))):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        yield from (Path(place, name) for name in [*files, *links])


class Places:
    """Where results belong: paths from whose last part the names of files are made, no two of which are the same.

    `files_of` gives the files of a place: `res_x.txt` is the result of `x.png`, and may be the text of `res_x.png`.
    """

    def __init__(self, files_of: Callable[[Path], Iterable[Path]]):
        self._files_of = files_of
        self._taken: set[Path] = set()

    def give(self, wanted: Path) -> Path:
        """The wanted place, or the first of `<wanted>_2`, `<wanted>_3` ... of whose files none is taken."""
        numbered = (wanted.with_name(f"{wanted.name}_{number}") for number in itertools.count(2))
        candidates = itertools.chain([wanted], numbered)
        place = next(one for one in candidates if self._taken.isdisjoint(self._files_of(one)))
        self._taken.update(self._files_of(place))
        return place


def place_outputs(images: Sequence[Path], places: Places) -> dict[Path, Path]:
    """Where the outputs of each image belong below the output folder: a path that ends in their stem."""
    absolute = [Path(os.path.abspath(image)) for image in images]
    shared = os.path.commonpath([image.parent for image in absolute]) if absolute else ""
    given = {}
    for image, path in zip(images, absolute, strict=True):
        name = path.stem if path.stem not in (".", "..") else path.name  # ..jpg
        given[image] = places.give(path.relative_to(shared).with_name(name))
    return given


def refuse_overwriting(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """A ValueError if a file to write is one of those that are read, whatever links lead to it; or no file, but a
    folder, a pipe or a device."""
    by_identity = {identity: path for path in inputs if (identity := _identity(path))}
    for target in targets:
        identity = _identity(target)
        if identity in by_identity and identity:
            raise ValueError(
                f"{target}: is {by_identity[identity]}, which is to be read: choose another folder for the results"
            )
        if identity and not stat.S_ISREG(os.stat(target).st_mode):
            raise ValueError(f"{target}: a folder, a pipe or a device, expected a file or nothing there")


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and number of a file, the same for all links to it; None if there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
