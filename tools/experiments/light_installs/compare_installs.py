"""What it takes to read a photograph, from nothing: megabytes to install, seconds to the first text, memory.

  pip wheel --no-deps --wheel-dir wheels .
  python tools/experiments/light_installs/compare_installs.py --wheel wheels/textspot-*.whl --starts 5

Makes a fresh environment for each program, installs it there by pip, lets it read a synthetic photograph once without
being measured (byte code is compiled then, and some programs fetch their networks), and then in fresh processes. Prints
a table in Markdown. A program that cannot read has its size alone, and the reason below the table.
"""

import argparse
import os
import subprocess
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from textspot.demo.readings import draw_examples

MEGABYTE = 1e6
TELL_PEAK = (  # in KiB, as the last word of the error stream
    "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1], file=sys.stderr)"
)
COLUMNS = ("program", "version", "MB on disk", "s to first text", "s of processor time", "MB of memory at most")


@dataclass(frozen=True)
class Program:
    """What pip installs, and the Python program that prints the text of the photograph it is given."""

    name: str
    requirements: tuple[str, ...]
    code: str


PEERS = (
    Program(
        "rapidocr", ("rapidocr", "onnxruntime"), "from rapidocr import RapidOCR\nprint(*RapidOCR()(sys.argv[1]).txts)"
    ),
    Program(
        "onnxtr",
        ("onnxtr[cpu]",),
        "from onnxtr.io import DocumentFile\nfrom onnxtr.models import ocr_predictor\n"
        "print(ocr_predictor()(DocumentFile.from_images(sys.argv[1])).render())",
    ),
)


@dataclass(frozen=True)
class Start:
    """A process from its start to its end: seconds by the clock and of the processors, peak memory, and what it
    printed."""

    wall_s: float
    processor_s: float
    peak_bytes: int
    text: str


@dataclass(frozen=True)
class Installed:
    """A program in its environment, its starts, and why it does not read if it does not."""

    program: Program
    version: str
    num_bytes: int
    starts: tuple[Start, ...]
    failure: str = ""


def ours(wheel: Path) -> Program:
    """This package, from a wheel."""
    return Program("textspot", (str(wheel),), "import textspot\nprint(textspot.load('spotter-s')(sys.argv[1]).text)")


def install(program: Program, folder: Path) -> Path:
    """The Python of a fresh environment in which the program is installed."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip: list[str | Path] = [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *program.requirements], check=True)
    return python


def size_on_disk(folder: Path) -> int:
    """Bytes of the blocks that the files of a folder take, as `du` counts them."""
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*"))


def start(python: Path, code: str, photo: Path) -> Start:
    """Let a fresh process read the photograph, under Linux; a ValueError with its last words if it fails.

    It tells its peak memory itself: the figure of `os.wait4` begins with that of the process that started it.
    """
    command: list[str | Path] = [python, "-I", "-c", f"import sys\n{code}\n{TELL_PEAK}", photo]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=errors, cwd=photo.parent)
        _, status, usage = os.wait4(process.pid, 0)  # for the processor time of this one alone
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise ValueError((errors.read().strip().splitlines() or [f"exit status {process.returncode}"])[-1])
        peak_kib = int(errors.read().split()[-1])
        return Start(wall_s, usage.ru_utime + usage.ru_stime, peak_kib * 1024, output.read().strip())


def version_of(python: Path, name: str) -> str:
    """The version of a package in an environment."""
    code = f"import importlib.metadata\nprint(importlib.metadata.version({name!r}))"
    return subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def measure(program: Program, folder: Path, photo: Path, num_starts: int) -> Installed:
    """Install a program, and let it read in fresh processes; its size is that before it read."""
    python = install(program, folder)
    version, num_bytes = version_of(python, program.name), size_on_disk(folder)
    try:
        start(python, program.code, photo)
        starts = tuple(start(python, program.code, photo) for _ in range(num_starts))
    except ValueError as error:
        return Installed(program, version, num_bytes, (), str(error))
    return Installed(program, version, num_bytes, starts)


def to_row(installed: Installed) -> list[str]:
    """The cells of a program: medians of its starts."""
    starts = installed.starts
    cells = [installed.program.name, installed.version, f"{installed.num_bytes / MEGABYTE:.0f}"]
    if not starts:
        return [*cells, "-", "-", "-"]
    wall_s, processor_s = median(one.wall_s for one in starts), median(one.processor_s for one in starts)
    return [*cells, f"{wall_s:.2f}", f"{processor_s:.2f}", f"{max(one.peak_bytes for one in starts) / MEGABYTE:.0f}"]


def to_markdown(results: Sequence[Installed]) -> str:
    """A table of all programs, then what each read or why it did not."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *map(to_row, results)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    remarks = [
        f"- {one.program.name}: " + (f"`{' '.join(one.starts[0].text.split())}`" if one.starts else one.failure)
        for one in results
    ]
    return "\n".join([table, "", *remarks])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheel", type=Path, required=True, help="wheel of textspot")
    parser.add_argument("--photo", type=Path, help="photograph to read; by default a synthetic one")
    parser.add_argument("--starts", type=int, default=5, help="cold starts of each program")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = (options.photo or draw_examples(folder)[0]).absolute()
        programs = [ours(options.wheel.absolute()), *PEERS]
        results = [measure(program, folder / program.name, photo, options.starts) for program in programs]
    print(to_markdown(results))


if __name__ == "__main__":
    main()
