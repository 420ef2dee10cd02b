"""What many classes cost: seconds per training step, memory, and the size of the weights, by the size of the charset.

    OMP_NUM_THREADS=1 python tools/experiments/languages/class_costs.py

Trains the network of spotter-s a few steps for each size, on the same rendered images, batches of 8 images of 448 x 448
pixels in bf16. Only ASCII is written there: what the other classes cost does not depend on what they stand for. Then
it reads one image with the trained weights.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.model_card import MODEL_FILE
from textspot.text.charset import PRINTABLE_ASCII

NUM_CLASSES = (94, 287, 3_500, 7_000)
FIRST_STEPS = 2  # slower than the others: memory is fetched
FIRST_IDEOGRAPH = 0x4E00
SIDE = 448
MIB = 2**20


def build_recipe(folder: Path, num_classes: int, steps: int) -> dict[str, Any]:
    """A recipe of so many characters; its images are rendered once for all."""
    characters = PRINTABLE_ASCII + "".join(map(chr, range(FIRST_IDEOGRAPH, FIRST_IDEOGRAPH + num_classes)))
    renderer = {"height": SIDE, "width": SIDE, "layout": "sheet"}
    draw = {"num_images": 24, "seed": 1, "renderer": renderer}
    return {
        "run": str(folder / str(num_classes)),
        "text": {"characters": characters[:num_classes]},
        "data": {
            "image_size": [SIDE, SIDE],
            "num_workers": 0,
            "train": [{"path": str(folder / "train"), "draw": draw}],
            "validation": {"path": str(folder / "val"), "draw": draw | {"num_images": 2, "seed": 2}},
        },
        "train": {"steps": steps, "warmup_steps": 1, "evaluate_every": steps, "log_every": 1, "doctor_every": 0},
    }


def run(*arguments: str | Path) -> float:
    """Run a command of textspot; the most memory that it held, in MiB. One that fails is a SystemExit."""
    process = subprocess.Popen(
        [sys.executable, "-m", "textspot", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    words = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(words)
    return usage.ru_maxrss * 1024 / MIB  # KiB on Linux


def measure(folder: Path, num_classes: int, steps: int) -> list[str]:
    """The cells of one row."""
    file = folder / "recipe.yaml"
    recipe = build_recipe(folder, num_classes, steps)
    file.write_text(json.dumps(recipe), encoding="utf-8")  # which is YAML too
    training = run("train", "--config", file)
    log = (Path(recipe["run"]) / "log.jsonl").read_text(encoding="utf-8")
    events = [event for event in map(json.loads, log.splitlines()) if event["event"] == "train"]
    seconds = median(event["time/step_s"] for event in events[FIRST_STEPS:])
    weights = Path(recipe["run"]) / "last" / MODEL_FILE
    reading = run("infer", folder / "page.png", "--weights", weights, "--out", folder / "out")
    size = weights.stat().st_size / MIB
    return [f"{num_classes:,}", f"{seconds:.2f}", f"{training:,.0f}", f"{reading:,.0f}", f"{size:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="*", default=NUM_CLASSES, help="sizes of the charset")
    parser.add_argument("--steps", type=int, default=10, help="training steps; the first two are not counted")
    options = parser.parse_args()
    print("| characters | seconds per step | MiB to train | MiB to read | MiB of weights |\n|---|---|---|---|---|")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_page(folder / "page.png")
        for num_classes in options.classes:
            print("| " + " | ".join(measure(folder, num_classes, options.steps)) + " |", flush=True)


def write_page(file: Path) -> None:
    """An image dense with words."""
    Image.fromarray(Renderer(RendererConfig(SIDE, SIDE, layout="sheet")).render(3, 0).image).save(file)


if __name__ == "__main__":
    main()
