r"""Data sets into LMDBs: build one from its files, look at what it holds, cut its words out.

  textspot prepare build --card icdar2015 --source icdar2015 --out data/icdar2015
  textspot prepare info data/icdar2015/train
  textspot prepare lint data/icdar2015/train data/icdar2015/val
  textspot prepare preview data/icdar2015/train --out preview.png
  textspot prepare charset data/icdar2015/train data/icdar2015/val --out charset.yaml
  textspot prepare verify data/icdar2015/train
  textspot prepare export-crops data/icdar2015/train data/icdar2015_words
  textspot prepare import-crops MJSynth data/mjsynth
  textspot prepare pseudo-label --path data/mlt17_boxes/train --out data/mlt17_read/train \
      --measured_on data/icdar2015/train --teacher "python docs/peers/rapidocr_peer.py --words"
"""

import inspect
import json
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from textspot.benchmark.peer import Peer
from textspot.cli.command import run_command, say
from textspot.cli.options import Verb
from textspot.data.build import build_dataset
from textspot.data.card import load_card
from textspot.data.contact_sheet import contact_sheet, fit_sample
from textspot.data.crop_lmdb import CropReader, crops_to_records, cut_crops
from textspot.data.lint import describe, lint_files, lint_records
from textspot.data.lmdb_records import Reader
from textspot.data.pseudo_label import describe_teacher, label_words, measure_teacher
from textspot.data.shards import are_shards, open_records, write_shards
from textspot.data.source import read_source
from textspot.data.survey import count_characters, survey
from textspot.data.verification import verify_dataset, verify_shards
from textspot.inference.spotter import find_weights
from textspot.model_card import ModelCard
from textspot.progress import track
from textspot.shipped_files import find_card, shipped_cards
from textspot.stores import join
from textspot.structures import Sample
from textspot.text.charset import Case, TextConfig
from textspot.visualize import draw_sample

FEWEST_VALIDATION = 20  # images; of fewer, one word more or less moves the figures by points
TILE = (480, 360)  # width and height in pixels of one picture of a preview
WORD_TILE, SHEET_COLUMNS, SHEET_WORDS = (180, 44), 8, 160


def build(
    card: Path, out: Path, source: Path | None = None, overwrite: bool = False, shards: str | None = None
) -> None:
    """Write one LMDB per split of a data set and report what was left out or repaired.

    Args:
        card: card of the data set: a file, or the name of a bundled one; `textspot prepare cards` lists these.
        out: folder that receives one LMDB per split.
        source: folder with the original files, as the card describes it; leave it out for synthetic data sets.
        overwrite: replace LMDBs and shards that are there already.
        shards: also write the splits as WebDataset shards to this folder or prefix, such as s3://bucket/name.
    """
    dataset = load_card(find_card(card))
    reports = build_dataset(dataset, source, out, overwrite, track)
    for report in reports:
        print(report)
        if shards is not None:
            where = join(shards, report.split)
            print(f"{where}: {write_shards(Reader(report.path), where, overwrite, track=track)} shards")
    for warning in warn_of_few({report.split: report.meta.count for report in reports}):
        say(warning)
    built = {report.split for report in reports}
    for name, split in dataset.splits.items():
        if name not in built:
            print(f"{name}: left out, {source} has none of its files ({split.images or split.annotations})")


def warn_of_few(counts: Mapping[str, int]) -> list[str]:
    """Warnings of validation splits with too few images, by the numbers of images of splits."""
    few = {name: count for name, count in counts.items() if name.startswith("val") and count < FEWEST_VALIDATION}
    return [
        f"warning: {name}: {count} images choose the score threshold and the best weights, at least "
        f"{FEWEST_VALIDATION} are advised: widen its `share` in the card, to [0.7, 1] for example, and narrow train's"
        for name, count in few.items()
    ]


def info(path: str, time_steps: int = 32) -> None:
    """Show what a data set holds.

    Args:
        path: folder of one LMDB, or folder or URL of shards.
        time_steps: number of the recogniser's time steps, which texts have to fit into; half of
            `model.roi.stretched.width`.
    """
    reader = open_records(path)
    meta = reader.meta
    print(f"name: {meta.card.get('name', 'not stated')}")
    print(f"licence: {meta.card.get('licence', 'not stated')}")
    print(meta)
    print(survey(reader, track).describe(time_steps))
    print(f"{len(meta.characters)} characters: {' '.join(f'{c}:{count}' for c, count in meta.characters.items())}")


def lint(paths: tuple[Path, ...], card: Path | None = None, recipe: Path | None = None) -> None:
    """Name the images and instances that look wrong: corners out of order, misread fields, duplicates.

    Args:
        paths: folders of LMDBs; duplicates are also found between them. With --card: folders of source files, checked
            before any repair.
        card: card that says how the files lie in the folders: a file, or the name of a bundled one.
        recipe: recipe whose charset the transcripts are compared with.
    """
    text = None
    if recipe:
        from textspot.recipe import read_command_line  # the recipe knows the models, and needs torch

        text = read_command_line(["--config", str(recipe)]).text
    if card:
        sources = {path: read_source(load_card(find_card(card)), path) for path in paths}
        splits = {f"{path}: {name}": split for path, source in sources.items() for name, split in source.items()}
        findings = lint_files(splits, text, track)
    else:
        readers = [Reader(path) for path in paths]
        for warning in warn_of_few({reader.path.name: len(reader) for reader in readers}):
            say(warning)
        findings = lint_records(readers, text, track)
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
        path: folder of one LMDB.
        out: picture to write.
        num_images: maximum number of images to show.
        columns: images in a row.
        annotations: draw outlines and texts over the images.
    """
    reader = Reader(path)
    places = np.linspace(0, len(reader) - 1, num_images if len(reader) else 0)
    chosen = sorted(set(places.round().astype(int).tolist()))
    samples = [fit_sample(reader.sample(index), *TILE) for index in chosen]
    pictures = [draw_sample(sample) if annotations else sample.image for sample in samples]
    sheet = contact_sheet(pictures, [sample.name for sample in samples], columns, TILE[0])
    write_picture(out, sheet)
    print(f"{out}: {len(samples)} of {len(reader)} images")


def charset(
    paths: tuple[Path, ...],
    out: Path | None = None,
    case: Case = "keep",
    min_count: int = 1,
    weights: Path | None = None,
) -> None:
    """Count the characters of data sets, and write them as a recipe has them under text.characters.

    Args:
        paths: folders of LMDBs.
        out: YAML file to write, for `textspot train --config RECIPE --config FILE`.
        case: keep the case of the characters, or fold them to upper or lower, as `text.case` of the recipe will.
        min_count: minimum number of occurrences; rarer characters are left out.
        weights: weights to start from, whose characters are kept too: the name of bundled weights, a file, or a run's
            folder.
    """
    counts = count_characters([Reader(path).meta for path in paths], case)
    kept = {character for character, number in counts.items() if number >= min_count}
    for character, count in sorted(counts.items(), key=lambda item: -item[1]):
        note = "" if character in kept else "  left out"
        print(f"{count:10}  {character}  U+{ord(character):04X} {unicodedata.name(character, 'unnamed')}{note}")
    left_out = len(counts.keys() - kept)
    print(f"{len(kept)} characters kept, {left_out} left out as they occur less than {min_count} times")
    if weights:
        known = characters_of(weights)
        print(f"{len(known - kept)} more of {weights}, and {len(kept - known)} that it does not know")
        kept |= known
    if out:
        quoted = json.dumps("".join(sorted(kept)), ensure_ascii=False)  # a JSON text is a YAML one
        out.write_text(f"text:\n  case: {case}\n  characters: {quoted}\n", encoding="utf-8")
        print(f"{out}: written")


def characters_of(weights: Path) -> set[str]:
    """The characters that weights know."""
    from safetensors import safe_open  # as in textspot.checkpoint, which needs torch

    file = find_weights(weights)
    with safe_open(file, framework="numpy") as opened:
        return set(ModelCard.from_metadata(opened.metadata() or {}, str(file)).charset.characters)


def export_crops(path: Path, out: Path, min_height: float = 1.0, overwrite: bool = False) -> None:
    """Cut every word that is not ignored into an LMDB of word crops in the common format (num-samples, image-, label-).

    Args:
        path: folder of one LMDB.
        out: folder of the LMDB of crops.
        min_height: minimum height and width of a word in pixels; smaller ones are dropped.
        overwrite: replace an LMDB that is there already.
    """
    print(cut_crops(Reader(path), out, min_height, overwrite, track))


def import_crops(path: Path, out: Path, overwrite: bool = False) -> None:
    """Turn an LMDB of word crops in the common format into a data set of images with one word each.

    Args:
        path: folder of the LMDB of crops.
        out: folder of the LMDB to write.
        overwrite: replace an LMDB that is there already.
    """
    print(crops_to_records(CropReader(path), out, overwrite, track))


def pseudo_label(
    path: Path,
    out: Path,
    teacher: str,
    measured_on: Path,
    least_score: float = 0.95,
    min_height: float = 8.0,
    characters: str = TextConfig().characters,
    num_measured: int = 1000,
    sheet: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Measure how well another program reads, then let it read the words without a transcript or marked `###`.

    Args:
        path: folder of one LMDB.
        out: folder of the LMDB to write; words the program is not sure of stay in it as they are.
        teacher: command line of the program, which gets the pictures of single words; docs/benchmark.md describes how
            it is asked (`--peer`).
        measured_on: folder of an LMDB with words that were labelled by hand.
        least_score: minimum score of a reading that becomes a label.
        min_height: minimum height and width in pixels of a word that is asked about.
        characters: characters that a label may contain. A reading with any other character is dropped, so text in other
            scripts stays ignored.
        num_measured: approximate number of words on which the program is measured.
        sheet: picture to write, of up to 160 of the labelled words with their labels.
        overwrite: replace an LMDB that is there already.
    """
    reader = Reader(path)
    with Peer(teacher) as peer, tempfile.TemporaryDirectory() as folder:
        measured = measure_teacher(Reader(measured_on), peer, Path(folder), num_measured, min_height, track)
        print(describe_teacher(measured))
        labels = label_words(reader, peer, out, Path(folder), least_score, min_height, characters, overwrite, track)
    print(labels)
    if sheet:
        shown = labels.readings[:: max(1, len(labels.readings) // SHEET_WORDS)][:SHEET_WORDS]
        write_sheet(sheet, [reading.picture for reading in shown], [reading.text for reading in shown])


def write_sheet(path: Path, words: Sequence[np.ndarray], texts: Sequence[str]) -> None:
    """Write a contact sheet of pictures of words, each with its text."""
    samples = [Sample(word, [], [], np.zeros(0, bool), text) for word, text in zip(words, texts, strict=True)]
    pictures = [fit_sample(sample, *WORD_TILE).image for sample in samples]
    write_picture(path, contact_sheet(pictures, texts, SHEET_COLUMNS, WORD_TILE[0]))
    print(f"{path}: {len(words)} words")


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 RGB, in the format of its suffix; else an OSError."""
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")


def verify(path: str) -> None:
    """Check the file by its checksum, and read, check and decode every record.

    Args:
        path: folder of one LMDB, or folder or URL of shards.
    """
    complaints, looked_at = verify_shards(path, track) if are_shards(path) else verify_dataset(Path(path))
    if complaints:
        raise ValueError("\n".join(complaints))
    print(f"{path}: {looked_at}")


def cards() -> None:
    """List the cards that come with the program, each with its folder, which holds the card and sample files."""
    for name, file in shipped_cards().items():
        print(f"{name:16} {file.parent}")


COMMANDS: dict[str, Callable[..., None]] = {
    "build": build,
    "info": info,
    "lint": lint,
    "preview": preview,
    "charset": charset,
    "verify": verify,
    "export-crops": export_crops,
    "import-crops": import_crops,
    "pseudo-label": pseudo_label,
    "cards": cards,
}
WITH_FLAGS = ("build", "pseudo-label")  # which order their paths would stand in is not plain


def main(arguments: Sequence[str] | None = None) -> int:
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(describe_commands())
        return 0
    if name not in COMMANDS:
        say(f"error: textspot prepare has no {name!r}, expected one of {', '.join(COMMANDS)}")
        return 2
    keywords = build_verb(name).read_keywords(rest)
    return run_command(lambda: COMMANDS[name](**keywords) or 0, "interrupted: nothing unfinished was left behind")


def build_verb(name: str) -> Verb:
    """One of the commands as a verb; what it must have stands without a flag, but in those of `WITH_FLAGS`."""
    command = COMMANDS[name]
    parameters = inspect.signature(command).parameters.values()
    needed = [one.name for one in parameters if one.default is inspect.Parameter.empty and name not in WITH_FLAGS]
    return Verb(f"prepare {name}", command, first_line(command), positional=tuple(needed))


def describe_commands() -> str:
    """The help of all commands together."""
    listed = "\n".join(f"  {name:12}  {first_line(command)}" for name, command in COMMANDS.items())
    return f"usage: textspot prepare COMMAND [options]\n\n{(__doc__ or '').strip()}\n\ncommands:\n{listed}"


def first_line(command: Callable[..., None]) -> str:
    """What a command does, in a line."""
    return (command.__doc__ or "").splitlines()[0]
