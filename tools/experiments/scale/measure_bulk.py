"""Whether `textspot bulk` reads each image exactly once, whoever is killed, and how fast it is beside a plain loop.

  python tools/experiments/scale/measure_bulk.py --weights spotter-s.onnx --num_images 20000 --num_timed 1000

Renders images, some of them damaged, into an S3 server on this machine. It times a plain loop and some actors
on `num_timed` of them. Then it reads them all twice: undisturbed, and with the driver killed by SIGKILL at 30 % and a
worker at 60 %. The rows of both must be equal. Prints a table in Markdown; exit status 1 means that rows differ.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from s3_server import s3_server

import textspot
from textspot.bulk.folder import read_rows
from textspot.bulk.manifest import Source
from textspot.data.synthetic.draw import DrawnStream, StreamConfig
from textspot.data.synthetic.renderer import RendererConfig
from textspot.stores import list_files, read_file, write_file

DAMAGED_EVERY = 100  # of the images; each of these is cut off in the middle
LOOK_S = 0.2
RATE = re.compile(r"([\d.]+) images/s")


@dataclass(frozen=True)
class Setting:
    """How the runs read: the arguments all of them share."""

    weights: str
    images_per_part: int

    def command(self, source: str, out: str, actors: int) -> list[str]:
        """The command of a run."""
        return [
            *(sys.executable, "-m", "textspot", "bulk", "--source", source, "--out", out),
            *("--weights", self.weights, "--actors", str(actors)),
            *("--images_per_part", str(self.images_per_part), "--progress_s", "5"),
        ]


@dataclass(frozen=True)
class Measured:
    """A run: images per second; greatest resident memory of a worker in MB, in the first and the last quarter of the
    time after the first part."""

    rate: float
    first_mb: float
    last_mb: float


def draw(stream: DrawnStream, number: int) -> bytes:
    """The JPEG of a synthetic image; every so many end in the middle."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(stream.sample(number).image, cv2.COLOR_RGB2BGR))
    data = encoded.tobytes()
    return data[: len(data) // 2] if number % DAMAGED_EVERY == DAMAGED_EVERY - 1 else data


def fill(folder: str, num_images: int, renderer: RendererConfig) -> float:
    """Render images into a folder of the store; the mean size of one in MB."""
    stream = DrawnStream(StreamConfig(renderer=renderer))
    sizes = []
    with ThreadPoolExecutor(4) as pool:
        for number in range(num_images):
            data = draw(stream, number)
            sizes.append(len(data))
            pool.submit(write_file, f"{folder}/{number:08d}.jpg", data)
    return float(np.mean(sizes)) / 1e6


def time_plain_loop(setting: Setting, source: str) -> float:
    """Images per second of a loop over a spotter, the damaged ones left out."""
    spotter = textspot.load(setting.weights, "cpu", num_threads=1)
    entries = list(Source(source, "url").entries())
    started = time.perf_counter()
    for entry in entries:
        try:
            spotter(read_file(entry.address))
        except ValueError:
            continue
    return len(entries) / (time.perf_counter() - started)


def run_to_end(command: list[str], out: str) -> Measured:
    """A run that nothing disturbs."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    memory: list[float] = []
    while process.poll() is None:
        if not memory and not count_parts(out):
            time.sleep(LOOK_S)
            continue
        memory += [max(rss_mb(worker) for worker in workers)] if (workers := find_workers(process.pid)) else []
        time.sleep(LOOK_S)
    printed = process.stdout.read() if process.stdout else ""
    rates = RATE.findall(printed)
    if not rates:
        raise RuntimeError(f"{' '.join(command)}: ended without a rate: {printed}")
    quarter = max(1, len(memory) // 4)
    return Measured(float(rates[-1]), max(memory[:quarter], default=0), max(memory[-quarter:], default=0))


def run_with_kills(command: list[str], out: str, num_parts: int) -> None:
    """A run whose driver is killed at 30 %, and one of whose workers is killed at 60 % after it was started again."""
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: count_parts(out) >= 0.3 * num_parts, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    print(f"driver killed at {count_parts(out)} of {num_parts} parts", flush=True)
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: count_parts(out) >= 0.6 * num_parts and bool(find_workers(driver.pid)), driver)
    os.kill(find_workers(driver.pid)[0], signal.SIGKILL)
    print(f"worker killed at {count_parts(out)} of {num_parts} parts", flush=True)
    driver.wait()


def wait_until(reached: Callable[[], bool], driver: subprocess.Popen) -> None:
    while not reached():
        if driver.poll() is not None:
            raise RuntimeError("the run ended before it could be killed: read more images, in smaller parts")
        time.sleep(LOOK_S)


def count_parts(out: str) -> int:
    """The parts that are written."""
    return sum(file.name.startswith("part-") for file in list_files(out))


def find_workers(driver: int) -> list[int]:
    """The processes of Ray below a driver that hold a spotter."""
    return [process for process in descendants(driver) if b"MapWorker" in command_line(process)]


def descendants(process: int) -> Iterator[int]:
    """The children of a process, their children, and so on, under Linux."""
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = file.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from descendants(child)


def command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def rss_mb(process: int) -> float:
    """The resident memory of a process."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
    except OSError:
        return 0.0


def count_differences(first: str, second: str) -> int:
    """How many rows of two runs differ."""
    rows, others = list(read_rows(first)), list(read_rows(second))
    return abs(len(rows) - len(others)) + sum(one != other for one, other in zip(rows, others, strict=False))


def measure(
    setting: Setting, num_images: int, num_timed: int, renderer: RendererConfig, actors: Sequence[int] = (1, 2)
) -> bool:
    """Print what is measured; whether the disturbed run gave the rows of the other."""
    with s3_server() as bucket:
        size_mb = fill(f"{bucket}/timed", num_timed, renderer)
        fill(f"{bucket}/photos", num_images, renderer)
        plain = time_plain_loop(setting, f"{bucket}/timed")
        print("| read by | images/s | per actor, to the loop | a worker's memory, first and last quarter |")
        print(f"|{'---|' * 4}")
        print(f"| a plain loop | {plain:.2f} | 1.00 | |", flush=True)
        for number in actors:
            timed = f"{bucket}/timed_{number}"
            done = run_to_end(setting.command(f"{bucket}/timed", timed, number), timed)
            memory = f"{done.first_mb:.0f} MB, {done.last_mb:.0f} MB"
            print(f"| {number} actors | {done.rate:.2f} | {done.rate / plain / number:.2f} | {memory} |", flush=True)
        whole, killed = f"{bucket}/whole", f"{bucket}/killed"
        done = run_to_end(setting.command(f"{bucket}/photos", whole, 2), whole)
        num_parts = count_parts(whole)
        print(f"undisturbed, 2 actors: {done.rate:.2f} images/s, {done.first_mb:.0f} MB, {done.last_mb:.0f} MB")
        run_with_kills(setting.command(f"{bucket}/photos", killed, 2), killed, num_parts)
        rows = list(read_rows(whole))
        words, errors = sum(len(row["instances"]) for row in rows), sum(bool(row["error"]) for row in rows)
        differences = count_differences(whole, killed)
        print(f"{len(rows)} rows, {words} words, {errors} errors, {size_mb:.3f} MB an image; {differences} rows differ")
        return differences == 0 and len(rows) == num_images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="spotter-s")
    parser.add_argument("--num_images", type=int, default=20000, help="images that are read with and without kills")
    parser.add_argument("--num_timed", type=int, default=1000, help="images that rates are measured on")
    parser.add_argument("--images_per_part", type=int, default=64)
    parser.add_argument("--actors", type=int, nargs="+", default=(1, 2), help="numbers of actors that are timed")
    parser.add_argument("--words", type=int, nargs=2, default=(20, 30), help="least and most words of an image")
    parser.add_argument("--side", type=int, default=640, help="height and width in pixels")
    given = parser.parse_args()
    renderer = RendererConfig(given.side, given.side, words_per_image=tuple(given.words), max_text_height=32)
    setting = Setting(given.weights, given.images_per_part)
    equal = measure(setting, given.num_images, given.num_timed, renderer, given.actors)
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
