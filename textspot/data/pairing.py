"""Which image belongs to which annotation: every file is used, claimed once, or named."""

import glob
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from textspot.image_files import IMAGE_SUFFIXES

NAMED = 5  # of files that are left out


def compose(name: str) -> str:
    """A name as names are compared: in NFC (macOS decomposes them) and with slashes (Windows writes backslashes)."""
    return unicodedata.normalize("NFC", name).replace("\\", "/")


class OutsideError(ValueError):
    """A name that leads out of the source folder."""


class SourceFolder:
    """The files below a folder, by names that others wrote down. Nothing outside is ever looked at."""

    def __init__(self, path: Path):
        self.path = path
        self._root = path.resolve()
        self._entries: dict[Path, dict[str, Path]] = {}

    def find(self, name: str) -> Path | None:
        """The file of a relative name; None if there is none, an `OutsideError` if the name or a link on its way leads
        out of the folder."""
        place = self.path
        for part in self._parts(name):
            found = self._list(place).get(part)
            if found is None:
                return None
            if found.is_symlink():
                self._check_inside(found)
            place = found
        return place if place.is_file() else None

    def find_image(self, name: str) -> Path | None:
        """As `find`, and for a name without an image's suffix, as tools give frames of a video, the only image that has
        one behind it."""
        found = self.find(name)
        *folders, last = self._parts(name)
        if found or PurePosixPath(last).suffix.lower() in IMAGE_SUFFIXES:
            return found
        images = [path for key, path in self._siblings(folders).items() if _is_image_of(key, last)]
        return images[0] if len(images) == 1 else None

    def guess(self, name: str) -> str:
        """What may be meant by a name that is not there, in words: another case, another suffix; or nothing."""
        *folders, last = self._parts(name)
        stem = PurePosixPath(last).stem.casefold()
        near = [key for key in self._siblings(folders) if PurePosixPath(key).stem.casefold() == stem]
        return f"; is {' or '.join(sorted(near)[:NAMED])} meant?" if near else ""

    def name(self, file: Path) -> str:
        """The name of a file below the folder, with slashes."""
        return file.relative_to(self.path).as_posix()

    def matching(self, pattern: str) -> list[Path]:
        """The files that a pattern matches, in order. A pattern that ends in an image's suffix stands for images of any
        suffix in any case; where several have one stem, for that of the stated suffix."""
        suffix = PurePosixPath(pattern).suffix
        if suffix.lower() not in IMAGE_SUFFIXES:
            return sorted(self._glob(pattern))
        last = PurePosixPath(pattern).name
        images: dict[Path, Path] = {}
        found = self._glob(f"{pattern.removesuffix(suffix)}.*")
        for file in sorted(found, key=lambda file: (file.suffix != suffix, file)):
            if file.suffix.lower() in IMAGE_SUFFIXES and fnmatchcase(file.stem + suffix, last):
                images.setdefault(file.with_suffix(""), file)
        return sorted(images.values())

    def images_below(self, prefix: str) -> Iterator[Path]:
        """All image files below one of its folders, at any depth, without following links."""
        for place, folders, files in os.walk(self.path / prefix):
            folders.sort()
            yield from (Path(place, name) for name in sorted(files) if Path(name).suffix.lower() in IMAGE_SUFFIXES)

    def _glob(self, pattern: str) -> Iterator[Path]:
        self._parts(pattern)
        for file in self.path.glob(pattern):
            if file.is_file() and not file.name.startswith("._"):  # what macOS keeps beside a file on other systems
                self._check_inside(file)
                yield file

    def _parts(self, name: str) -> tuple[str, ...]:
        path = PurePosixPath(compose(name))
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts or path.parts[0][1:2] == ":":
            raise OutsideError(f"{name!r} lies outside {self.path}: only what is below the source folder is read")
        return path.parts

    def _siblings(self, folders: Iterable[str]) -> dict[str, Path]:
        place = self.path
        for part in folders:
            place = self._list(place).get(part, place / part)
        return self._list(place)

    def _list(self, folder: Path) -> dict[str, Path]:
        """What a folder holds, by composed names."""
        if folder not in self._entries:
            names = os.listdir(folder) if folder.is_dir() else []
            self._entries[folder] = {compose(name): folder / name for name in names}
        return self._entries[folder]

    def _check_inside(self, file: Path) -> None:
        if not file.resolve().is_relative_to(self._root):
            raise OutsideError(
                f"{self.name(file)!r} is a link that leads out of {self.path}: only what is below the source folder is "
                "read; copy it there, or name a folder above both"
            )


def _is_image_of(name: str, stem: str) -> bool:
    path = PurePosixPath(name)
    return path.stem == stem and path.suffix.lower() in IMAGE_SUFFIXES


def path_tails(path: str) -> tuple[str, ...]:
    """A path and what remains of it without its first folder, first two folders, and so on: the folder where an export
    is unpacked is seldom that where it was made."""
    parts = [part for part in compose(path).split("/") if part not in ("", ".")]
    return tuple("/".join(parts[start:]) for start in range(len(parts)))


@dataclass(frozen=True)
class Template:
    """Where the annotation of an image lies: `{stem}` stands for its name without suffix, `{folder}` for the folder in
    which it lies below the source folder."""

    text: str

    def of(self, image: str) -> str:
        """The annotation file of an image of this name."""
        path = PurePosixPath(image)
        filled = self.text.replace("{stem}", path.stem).replace("{folder}", path.parent.as_posix())
        return PurePosixPath(filled).as_posix()

    def pattern(self) -> str:
        """What matches the annotation files of all images."""
        return glob.escape(self.text).replace("{stem}", "*").replace("{folder}", "**")


def fixed_part(pattern: str) -> str:
    """The folders of a pattern before the first that is none."""
    parts = PurePosixPath(pattern).parts[:-1]
    fixed = [part for part in parts if not glob.has_magic(part)]
    return "/".join(parts[: next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(fixed))])


def name_some(files: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    names = sorted(files)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
