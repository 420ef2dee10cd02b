r"""Data sets into LMDBs: build one from its files, look at what it holds, cut its words out.

python datasets/prepare.py build --card datasets/icdar2015/card.yaml --source icdar2015 --out data/icdar2015
python datasets/prepare.py info data/icdar2015/train
python datasets/prepare.py lint data/icdar2015/train data/icdar2015/val
python datasets/prepare.py preview data/icdar2015/train --out preview.png
python datasets/prepare.py charset data/icdar2015/train data/icdar2015/val --out charset.yaml
python datasets/prepare.py verify data/icdar2015/train
python datasets/prepare.py export-crops data/icdar2015/train data/icdar2015_words
python datasets/prepare.py import-crops MJSynth data/mjsynth
python datasets/prepare.py pseudo-label --path data/mlt17_boxes/train --out data/mlt17_read/train \
    --measured_on data/icdar2015/train --teacher "python docs/peers/rapidocr_peer.py --words"
"""

import json
import sys
import tempfile
import unicodedata
from pathlib import Path

import cv2
import numpy as np
from jsonargparse import ArgumentParser

from textspot.benchmark.peer import Peer
from textspot.data.build import build_dataset
from textspot.data.card import load_card
from textspot.data.contact_sheet import contact_sheet, fit_sample
from textspot.data.crop_lmdb import CropReader, crops_to_records, cut_crops
from textspot.data.lint import describe, lint_files, lint_records
from textspot.data.lmdb_records import Reader
from textspot.data.pseudo_label import describe_teacher, label_words, measure_teacher
from textspot.data.source import read_source
from textspot.data.survey import count_characters, survey
from textspot.data.verification import verify_dataset
from textspot.progress import track
from textspot.structures import Sample
from textspot.text.charset import Case
from textspot.visualize import draw_sample

TILE = (480, 360)  # width and height in pixels of one picture of a preview
WORD_TILE, SHEET_COLUMNS, SHEET_WORDS = (180, 44), 8, 160


def build(card: Path, out: Path, source: Path | None = None, overwrite: bool = False) -> None:
    """Write one LMDB per split of a data set and report what was left out or repaired.

    Args:
        card: the data set's card, `datasets/<name>/card.yaml`.
        out: the folder that receives one LMDB per split.
        source: the folder with its files; the card says how to get them and how they lie in it. Drawn sets need none.
        overwrite: whether to replace LMDBs that are there already.
    """
    dataset = load_card(card)
    reports = build_dataset(dataset, source, out, overwrite, track)
    for report in reports:
        print(report)
    built = {report.split for report in reports}
    for name, split in dataset.splits.items():
        if name not in built:
            print(f"{name}: left out, {source} has none of its files ({split.images or split.annotations})")


def info(path: Path, time_steps: int = 32) -> None:
    """Show what a data set holds.

    Args:
        path: the folder of one LMDB.
        time_steps: length of the reader's time axis, which texts have to fit into; half of `model.roi.width`.
    """
    reader = Reader(path)
    meta = reader.meta
    print(f"name: {meta.card.get('name', 'not stated')}")
    print(f"licence: {meta.card.get('licence', 'not stated')}")
    print(meta)
    print(survey(reader, track).describe(time_steps))
    print(f"{len(meta.characters)} characters: {' '.join(f'{c}:{count}' for c, count in meta.characters.items())}")


def lint(paths: list[Path], card: Path | None = None, recipe: Path | None = None) -> None:
    """Name the images and instances that look wrong: corners out of order, traps of formats, images that occur twice.

    Args:
        paths: folders of LMDBs, looked at together; with a card, folders of files, as they are before any repair.
        card: the card that says how the files lie in the folders.
        recipe: a recipe, against whose charset transcripts are held.
    """
    text = None
    if recipe:
        from textspot.recipe import read_command_line  # the recipe knows the models, and needs torch

        text = read_command_line(["--config", str(recipe)]).text
    if card:
        sources = {path: read_source(load_card(card), path) for path in paths}
        splits = {f"{path}: {name}": split for path, source in sources.items() for name, split in source.items()}
        findings = lint_files(splits, text, track)
    else:
        findings = lint_records([Reader(path) for path in paths], text, track)
    print(describe(findings) or "nothing looks wrong")


def preview(
    path: Path,
    out: Path = Path("preview.png"),
    num_images: int = 24,
    columns: int = 4,
    annotations: bool = True,
) -> None:
    """Draw a contact sheet: images at equal distances through the data set, with their annotations.

    Args:
        path: the folder of one LMDB.
        out: the picture to write.
        num_images: how many images, if there are as many.
        columns: how many stand beside each other.
        annotations: whether outlines and texts are drawn over the images.
    """
    reader = Reader(path)
    chosen = np.unique(np.linspace(0, len(reader) - 1, num_images).round().astype(int)) if len(reader) else []
    samples = [fit_sample(reader.sample(int(index)), *TILE) for index in chosen]
    pictures = [draw_sample(sample) if annotations else sample.image for sample in samples]
    sheet = contact_sheet(pictures, [sample.name for sample in samples], columns, TILE[0])
    _write_picture(out, sheet)
    print(f"{out}: {len(samples)} of {len(reader)} images")


def charset(paths: list[Path], out: Path | None = None, case: Case = "keep", min_count: int = 1) -> None:
    """Count the characters of data sets, and write them as a recipe has them under text.characters.

    Args:
        paths: folders of LMDBs.
        out: a YAML file for `tools/train.py --config RECIPE --config FILE`.
        case: `keep`, or fold them to `upper` or `lower` case, as `text.case` of the recipe will.
        min_count: leave out characters that occur less often.
    """
    counts = count_characters([Reader(path).meta for path in paths], case)
    kept = {character: counts[character] for character in sorted(counts) if counts[character] >= min_count}
    for character, count in sorted(counts.items(), key=lambda item: -item[1]):
        note = "" if character in kept else "  left out"
        print(f"{count:10}  {character}  U+{ord(character):04X} {unicodedata.name(character, 'unnamed')}{note}")
    print(f"{len(kept)} characters kept, {len(counts) - len(kept)} left out as they occur less than {min_count} times")
    if out:
        quoted = json.dumps("".join(kept), ensure_ascii=False)  # a JSON text is a YAML one
        out.write_text(f"text:\n  case: {case}\n  characters: {quoted}\n", encoding="utf-8")
        print(f"{out}: written")


def export_crops(path: Path, out: Path, min_height: float = 1.0, overwrite: bool = False) -> None:
    """Cut every word that can be read into an LMDB of word crops in the usual key format (num-samples, image-, label-).

    Args:
        path: the folder of one LMDB.
        out: the folder of the LMDB of crops.
        min_height: words lower or narrower than this many pixels are dropped.
        overwrite: whether to replace an LMDB that is there already.
    """
    print(cut_crops(Reader(path), out, min_height, overwrite, track))


def import_crops(path: Path, out: Path, overwrite: bool = False) -> None:
    """Turn an LMDB of word crops in the usual key format into a data set of images with one word each.

    Args:
        path: the folder of the LMDB of crops.
        out: the folder of the LMDB to write.
        overwrite: whether to replace an LMDB that is there already.
    """
    print(crops_to_records(CropReader(path), out, overwrite, track))


def pseudo_label(
    path: Path,
    out: Path,
    teacher: str,
    measured_on: Path,
    least_score: float = 0.95,
    min_height: float = 8.0,
    num_measured: int = 1000,
    sheet: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Have another program read the words that have no transcript or are to be ignored; first measure how well it does.

    Args:
        path: the folder of one LMDB.
        out: the folder of the LMDB to write; words the program is not sure of stay in it as they are.
        teacher: command line of the program, which gets the pictures of single words; docs/benchmark.md describes how
            it is asked (`--peer`).
        measured_on: the folder of an LMDB with words that were labelled by hand.
        least_score: the least score of a reading that becomes a label.
        min_height: words lower or narrower than this many pixels are not asked about.
        num_measured: on about how many words the program is measured.
        sheet: a picture to write, of up to `SHEET_WORDS` of the labelled words with their labels.
        overwrite: whether to replace an LMDB that is there already.
    """
    reader = Reader(path)
    with Peer(teacher) as peer, tempfile.TemporaryDirectory() as folder:
        measured = measure_teacher(Reader(measured_on), peer, Path(folder), num_measured, min_height, track)
        print(describe_teacher(measured))
        labels = label_words(reader, peer, out, Path(folder), least_score, min_height, overwrite, track)
    print(labels)
    if sheet:
        shown = labels.readings[:: max(1, len(labels.readings) // SHEET_WORDS)][:SHEET_WORDS]
        _write_sheet(sheet, [reading.picture for reading in shown], [reading.text for reading in shown])


def _write_sheet(path: Path, words: list[np.ndarray], texts: list[str]) -> None:
    samples = [Sample(word, [], [], np.zeros(0, bool), text) for word, text in zip(words, texts, strict=True)]
    pictures = [fit_sample(sample, *WORD_TILE).image for sample in samples]
    _write_picture(path, contact_sheet(pictures, texts, SHEET_COLUMNS, WORD_TILE[0]))
    print(f"{path}: {len(words)} words")


def _write_picture(path: Path, picture: np.ndarray) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")


def verify(path: Path) -> None:
    """Hold the file against its checksum, and read, check and decode every record.

    Args:
        path: the folder of one LMDB.
    """
    complaints, looked_at = verify_dataset(path)
    if complaints:
        raise ValueError("\n".join(complaints))
    print(f"{path}: {looked_at}")


def main() -> None:
    commands = {
        "build": build,
        "info": info,
        "lint": lint,
        "preview": preview,
        "charset": charset,
        "verify": verify,
        "export-crops": export_crops,
        "import-crops": import_crops,
        "pseudo-label": pseudo_label,
    }
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    subcommands = parser.add_subcommands()
    for name, command in commands.items():
        subparser = ArgumentParser()
        if command in (lint, charset):  # a positional list would have to be written as JSON
            subparser.add_argument("paths", nargs="+", type=Path, help="folders of LMDBs; see above")
        subparser.add_function_arguments(command, as_positional=name not in ("build", "pseudo-label"), skip={"paths"})
        subcommands.add_subcommand(name, subparser, help=command.__doc__.splitlines()[0])
    arguments = parser.instantiate(parser.parse_args())
    try:
        commands[arguments.subcommand](**vars(arguments[arguments.subcommand]))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing unfinished was left behind")
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
