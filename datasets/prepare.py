"""Data sets into LMDBs: build one from its files, show what it holds, check every record.

python datasets/prepare.py build --card datasets/icdar2015/card.yaml --source icdar2015 --out data/icdar2015
python datasets/prepare.py info data/icdar2015/train
python datasets/prepare.py verify data/icdar2015/train
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import rich.console
import rich.progress
from jsonargparse import ArgumentParser

from textspot.data.build import Item, build_dataset, damaged_records
from textspot.data.card import load_card
from textspot.data.lmdb_records import Reader


def build(card: Path, source: Path, out: Path, overwrite: bool = False) -> None:
    """Write one LMDB per split of a data set and report what was left out or repaired.

    Args:
        card: the data set's card, `datasets/<name>/card.yaml`.
        source: the folder with its files; the card says how to get them and how they lie in it.
        out: the folder that receives one LMDB per split.
        overwrite: whether to replace LMDBs that are there already.
    """
    dataset = load_card(card)
    reports = build_dataset(dataset, source, out, overwrite, track)
    for report in reports:
        print(report)
    for split in dataset.splits.keys() - {report.split for report in reports}:
        print(f"{split}: left out, {source} has none of its files ({dataset.splits[split].images})")


def info(path: Path) -> None:
    """Show what a data set holds.

    Args:
        path: the folder of one LMDB.
    """
    meta = Reader(path).meta
    print(f"name: {meta.card.get('name', 'not stated')}")
    print(f"licence: {meta.card.get('licence', 'not stated')}")
    print(meta)
    print(f"{len(meta.characters)} characters: {' '.join(f'{c}:{count}' for c, count in meta.characters.items())}")


def verify(path: Path) -> None:
    """Read, check and decode every record.

    Args:
        path: the folder of one LMDB.
    """
    reader = Reader(path)
    if damaged := damaged_records(reader, track):
        raise ValueError("\n".join([*damaged, f"{len(damaged)} of {len(reader)} records are damaged: build it again"]))
    print(f"{path}: all {len(reader)} records are as they were written")


def track(items: Sequence[Item], description: str) -> Iterable[Item]:
    """A progress bar on a terminal, elsewhere a line at every tenth."""
    console = rich.console.Console(stderr=True)
    if console.is_terminal:
        yield from rich.progress.track(items, description, console=console)
        return
    for number, item in enumerate(items, start=1):
        yield item
        if number * 10 // len(items) > (number - 1) * 10 // len(items):
            print(f"{description}: {number} of {len(items)}", file=sys.stderr)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subcommands()
    for command in (build, info, verify):
        subparser = ArgumentParser()
        subparser.add_function_arguments(command, as_positional=command is not build)
        commands.add_subcommand(command.__name__, subparser, help=command.__doc__.splitlines()[0])
    arguments = parser.instantiate(parser.parse_args())
    try:
        globals()[arguments.subcommand](**vars(arguments[arguments.subcommand]))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing unfinished was left behind")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
