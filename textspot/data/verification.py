"""Whether a data set is what was built, found out where damage can end no other process than a child."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from textspot.data.build import damaged_records
from textspot.data.lmdb_file import CHECKSUM_FILE, DATA_FILE, explain_missing
from textspot.data.lmdb_records import Reader
from textspot.data.shards import open_records
from textspot.file_checksum import hash_file
from textspot.progress import Track, track, untracked

_START = "import sys; sys.path[:] = {path!r}; from textspot.data.verification import read_all; read_all({folder!r})"


def verify_dataset(path: Path) -> tuple[list[str], str]:
    """What is wrong with the LMDB in a folder, in words, none if nothing is; and what was looked at.

    The file is held against the checksum from when it was built, if it has one, and every record is read, checked and
    decoded in a process of its own: a file whose structure is damaged may end whoever maps it. A missing path is a
    FileNotFoundError.
    """
    file, checksum = path / DATA_FILE, path / CHECKSUM_FILE
    if not file.is_file():
        raise FileNotFoundError(explain_missing(path))
    complaints = []
    if checksum.is_file() and checksum.read_bytes().split()[:1] != [hash_file(file).encode()]:
        complaints.append(f"{path}: its checksum does not match: its bytes changed since it was built")
    found, looked_at = _read_in_child(path)
    return [*complaints, *found], looked_at + ("" if checksum.is_file() else " (built before files had checksums)")


def verify_shards(path: str, track: Track = untracked) -> tuple[list[str], str]:
    """What is wrong with the samples of shards, in words, none if nothing is; and what was looked at. Their bytes never
    end a process, so that no child has to read them."""
    reader = open_records(path)
    damaged = damaged_records(reader, track)
    if damaged:
        damaged.append(f"{len(damaged)} of {len(reader)} records are damaged: write the shards again")
    return damaged, f"all {len(reader)} records are as they were written"


def _read_in_child(path: Path) -> tuple[list[str], str]:
    code = _START.format(path=sys.path, folder=str(path))
    child = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    if child.returncode == 0:
        complaints, count = json.loads(child.stdout.splitlines()[-1])
        return complaints, f"all {count} records are as they were written"
    reason = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit status {child.returncode}"
    return [f"{path}: reading it ended the process ({reason}): its structure is damaged"], "nothing"


def read_all(folder: str) -> None:
    """The child: prints the complaints and the number of records as JSON."""
    try:
        reader = Reader(folder)
        damaged, count = damaged_records(reader, track), len(reader)
    except (ValueError, OSError) as error:
        damaged, count = [str(error)], 0
    if count and damaged:
        damaged.append(f"{len(damaged)} of {count} records are damaged: build it again")
    print(json.dumps([damaged, count]))
