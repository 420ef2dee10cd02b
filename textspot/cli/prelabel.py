"""Read the images of a folder and write the result as annotations for a labelling tool, to be corrected there.

  textspot prelabel photos/ --format label_studio --out labels
  textspot prelabel photos/ --format labelme --out photos

Files of --out are never overwritten: they may hold corrections. If an image cannot be read, the reason is printed and
the others continue. `textspot prepare build` reads these files: in the card, set `format` to the same name.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from textspot.cli.command import run_command, say
from textspot.cli.options import Verb
from textspot.image_decoding import ImageError
from textspot.image_files import read_image
from textspot.image_folders import find_images
from textspot.inference.settings import READING, ReadingSettings
from textspot.prelabel import TOOLS, WITH_FOLDER, ToolName
from textspot.structures import Prediction


@dataclass(frozen=True, kw_only=True)
class PrelabelOptions(ReadingSettings):
    """What is read, and for which tool.

    Args:
        folder: folder of the images, at any depth.
        format: tool: label_studio, labelme, cvat, ppocrlabel, or jsonl, textspot's own format.
        out: output folder; for labelme and PPOCRLabel, give the folder of the images.
    """

    folder: Path
    format: ToolName
    out: Path = Path("labels")


VERB = Verb("prelabel", PrelabelOptions, __doc__, positional=("folder",), groups=READING)


def prelabel(options: PrelabelOptions) -> int:
    """Read the images and write the files; the exit status says whether every image was read."""
    if not options.folder.is_dir():
        raise ValueError(f"{options.folder}: no such folder")
    nowhere = options.folder / "predictions"  # results of infer are no photographs
    found = find_images([os.fspath(options.folder)], nowhere)
    for complaint in found.complaints:
        say(complaint)
    predictions = list(read_all(options, found.images))
    files = TOOLS[options.format](predictions)
    write_new({options.out / name: data for name, data in files.items()})
    print(f"{len(predictions)} of {len(found.images)} images read, {len(files)} files written below {options.out}")
    return int(len(predictions) < len(found.images) or bool(found.complaints))


def read_all(options: PrelabelOptions, images: Sequence[Path]) -> Iterator[Prediction]:
    """The predictions of the images that can be read, named as the tool looks for them."""
    spotter = options.load()
    top = options.folder.resolve()
    for image in images:
        try:
            prediction = spotter(read_image(image))
        except (ImageError, OSError) as error:
            say(str(error))
            continue
        below = Path(os.path.abspath(image)).relative_to(os.path.abspath(options.folder)).as_posix()
        yield replace(prediction, name=f"{top.name}/{below}" if options.format in WITH_FOLDER else below)


def write_new(files: dict[Path, bytes]) -> None:
    """Write files, all or none: a ValueError names those that exist."""
    if existing := [str(file) for file in files if file.exists()]:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise ValueError(f"{existing[0]}{more}: exists and may hold corrections: choose another folder with --out")
    for file, data in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: prelabel(options))
