"""What one core spends on an image, stage by stage: the figures that `costs.py` reckons with.

  python tools/experiments/scale/measure_stages.py --weights spotter-s.onnx --num_images 200 --out measured.json

Renders photographs of the given size, stores them in an S3 server on this machine and reads them again. The seconds are
those of the processor, in one thread, so that other work on the machine hardly changes them.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from measure_bulk import fill
from s3_server import s3_server

import textspot
from textspot.data.synthetic.renderer import RendererConfig
from textspot.image_files import decode_image
from textspot.stores import list_files, read_file

MOST_SPENT = ("fetch", "decode", "prepare", "network", "text")


class Stages:
    """Seconds of the processor that each stage took, and how often."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def spend(self, stage: str) -> Iterator[None]:
        """What is done within counts for a stage, in whatever thread of this process."""
        started = time.process_time()
        yield
        self.seconds[stage] += time.process_time() - started


def measure(weights: str, num_images: int, renderer: RendererConfig) -> dict[str, float]:
    """Core seconds of an image by stage, its size in MB, and the words found in it."""
    cv2.setNumThreads(1)
    spotter = textspot.load(weights, "cpu", num_threads=1)
    stages, words, num_bytes = Stages(), 0, 0
    with s3_server() as bucket:
        fill(f"{bucket}/photos", num_images + 1, renderer)
        for number, file in enumerate(list_files(f"{bucket}/photos")):
            if number == 1:  # the first one pays for what is made once
                stages, words, num_bytes = Stages(), 0, 0
            with stages.spend("fetch"):
                data = read_file(file.address)
            try:
                with stages.spend("decode"):
                    image = decode_image(data, file.name)
            except ValueError:
                continue
            with stages.spend("prepare"):
                views = spotter.prepare(image)
            with stages.spend("network"):
                found = [
                    spotter.runtime.spot(view.pixels[None], spotter.threshold, spotter.max_regions)[0] for view in views
                ]
            with stages.spend("text"):
                words += len(spotter.finish(found, views).lines())
            num_bytes += len(data)
    per_image = {f"{stage}_core_s": stages.seconds[stage] / num_images for stage in MOST_SPENT}
    return per_image | {"image_mb": num_bytes / num_images / 1e6, "lines": words / num_images}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="spotter-s")
    parser.add_argument("--num_images", type=int, default=200)
    parser.add_argument("--height", type=int, default=960)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--out", type=Path, default=Path("measured.json"))
    given = parser.parse_args()
    renderer = RendererConfig(given.height, given.width, words_per_image=(20, 30))
    measured = measure(given.weights, given.num_images, renderer)
    given.out.write_text(json.dumps({name: round(value, 4) for name, value in measured.items()}, indent=1) + "\n")
    for name, value in measured.items():
        print(f"{name}: {value:.4f}")


if __name__ == "__main__":
    main()
