"""What many classes cost: seconds per training step, memory, and the size of the weights, by the size of the charset.

    OMP_NUM_THREADS=1 python tools/experiments/languages/class_costs.py

Trains the network of spotter-s a few steps for each size, on the same rendered sheets: 4 of 448 x 448 pixels a step.
Only ASCII is written there: what the other classes cost does not depend on what they stand for. Then it reads one image
with the trained weights: 100 regions, since the threshold is 0. Seconds are of a processor, so that whatever else runs
counts little: those of a run of some steps more than a run of one, over these steps.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.model_card import MODEL_FILE
from textspot.text.charset import PRINTABLE_ASCII

NUM_CLASSES = (94, 287, 3_500, 7_000)
FIRST_IDEOGRAPH = 0x4E00
SIDE = 448
MIB = 2**20


@dataclass(frozen=True)
class Costs:
    """What a process took: seconds of a processor, and the most MiB of memory."""

    seconds: float
    memory: float


def build_recipe(folder: Path, num_classes: int, steps: int) -> dict[str, Any]:
    """A recipe of so many characters; its images are rendered once for all."""
    characters = PRINTABLE_ASCII + "".join(map(chr, range(FIRST_IDEOGRAPH, FIRST_IDEOGRAPH + num_classes)))
    renderer = {"height": SIDE, "width": SIDE, "layout": "sheet"}
    draw = {"num_images": 16, "seed": 1, "renderer": renderer}
    return {
        "run": str(folder / f"{num_classes}_{steps}"),
        "text": {"characters": characters[:num_classes]},
        "data": {
            "image_size": [SIDE, SIDE],
            "num_workers": 0,
            "train": [{"path": str(folder / "train"), "draw": draw}],
            "validation": {"path": str(folder / "val"), "draw": draw | {"num_images": 2, "seed": 2}},
        },
        "train": {"steps": steps, "batch_size": 4, "warmup_steps": 0, "evaluate_every": steps, "doctor_every": 0},
    }


def run(*arguments: str | Path) -> Costs:
    """Run a command of textspot. One that fails is a SystemExit."""
    process = subprocess.Popen(
        [sys.executable, "-m", "textspot", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    words = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(words)
    return Costs(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)  # KiB on Linux


def train(folder: Path, num_classes: int, steps: int) -> tuple[Costs, Path]:
    """Train so many steps; also where the weights are."""
    recipe, file = build_recipe(folder, num_classes, steps), folder / "recipe.yaml"
    file.write_text(json.dumps(recipe), encoding="utf-8")  # which is YAML too
    return run("train", "--config", file), Path(recipe["run"]) / "last" / MODEL_FILE


def measure(folder: Path, num_classes: int, steps: int) -> list[str]:
    """The cells of one row."""
    first, _ = train(folder, num_classes, 1)
    more, weights = train(folder, num_classes, 1 + steps)
    reading = run("infer", folder / "page.png", "--weights", weights, "--threshold", "0", "--out", folder / "out")
    seconds, size = (more.seconds - first.seconds) / steps, weights.stat().st_size / MIB
    return [f"{num_classes:,}", f"{seconds:.2f}", f"{more.memory:,.0f}", f"{reading.memory:,.0f}", f"{size:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, nargs="*", default=NUM_CLASSES, help="sizes of the charset")
    parser.add_argument("--steps", type=int, default=10, help="training steps that are measured")
    options = parser.parse_args()
    print("| characters | seconds per step | MiB to train | MiB to read | MiB of weights |\n|---|---|---|---|---|")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_page(folder / "page.png")
        train(folder, len(PRINTABLE_ASCII), 2)  # renders the images
        for num_classes in options.classes:
            print("| " + " | ".join(measure(folder, num_classes, options.steps)) + " |", flush=True)


def write_page(file: Path) -> None:
    """An image dense with words."""
    Image.fromarray(Renderer(RendererConfig(SIDE, SIDE, layout="sheet")).render(3, 0).image).save(file)


if __name__ == "__main__":
    main()
