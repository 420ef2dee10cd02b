"""Data sets into LMDBs: build one from its files, show what it holds, check every record.

python datasets/prepare.py build --card datasets/icdar2015/card.yaml --source icdar2015 --out data/icdar2015
python datasets/prepare.py info data/icdar2015/train
python datasets/prepare.py verify data/icdar2015/train
"""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser

from textspot.data.build import build_dataset, damaged_records
from textspot.data.card import load_card
from textspot.data.lmdb_records import Reader
from textspot.progress import track


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


def main() -> None:
    commands = {"build": build, "info": info, "verify": verify}
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    subcommands = parser.add_subcommands()
    for name, command in commands.items():
        subparser = ArgumentParser()
        subparser.add_function_arguments(command, as_positional=name != "build")
        subcommands.add_subcommand(name, subparser, help=command.__doc__.splitlines()[0])
    arguments = parser.instantiate(parser.parse_args())
    try:
        commands[arguments.subcommand](**vars(arguments[arguments.subcommand]))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing unfinished was left behind")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
