"""What Sui et al. 2018 claim, measured: trains their systems side by side and prints how well and how fast each reads.

    python tools/experiments/sui2018/compare_systems.py --config configs/rfcn_fcr.yaml --out runs/systems

`rfcn_fcr` is the network of that recipe, `ribbon_fcr` the default network of this project, whose trunk, detector and
recogniser are other ones; `crnn` in place of `fcr` has another recogniser, `separate` between them shares no
convolutions, and `@0.5` behind a name halves the recogniser's channels. All learn from the same images for as many
steps, once for each seed. `--start_from` starts from the weights of an earlier call, with the images of another recipe.
Any key of the recipe is an option, but those that the names and seeds decide. What was trained lies in the folder and
is not trained again: rerun the command to resume. Times are taken anew by each call, of the systems it
names. Without `--systems` and `--seeds` it trains 24 networks.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recognizer_heads import (
    CONTEXT,
    HEAD,
    Reading,
    format_profiles,
    format_times,
    measure_readers,
    profile_reader,
)
from trained_systems import (
    NAMES,
    build_runtimes,
    check_run,
    format_differences,
    format_figures,
    open_validation,
    plot_figures,
    recipe_of,
    train_systems,
)

from textspot.atomic_file import write_text
from textspot.benchmark.cells import BELOW_ALL, CellConfig, measure_cells, resize
from textspot.benchmark.systems import System
from textspot.benchmark.timing import Timing
from textspot.cli.command import run_command
from textspot.device import choose_device
from textspot.inference.spotter import Spotter
from textspot.model_card import ModelCard
from textspot.recipe import Recipe, read_command_line
from textspot.runtime.build import RuntimeConfig
from textspot.runtime.protocol import count_cpus
from textspot.runtime.torch_runtime import TorchRuntime


def plan_runs(options: argparse.Namespace, recipe: Recipe) -> dict[tuple[str, int], Recipe]:
    """The recipe of each system and seed, one seed of all before the next. What makes no sense is a ValueError, before
    anything is trained."""
    for what, values in (("systems", options.systems), ("seeds", options.seeds)):
        if len(set(values)) < len(values):
            raise ValueError(f"{what}: {' '.join(map(str, values))} holds one twice")
    if options.rounds < 1 or min(options.seeds) < 0:
        raise ValueError("expected rounds of at least 1 and seeds of at least 0")
    if options.start_from is not None and recipe.train.init_from is not None:
        raise ValueError("--start_from says where each run begins: leave train.init_from out")
    recipes = {
        (name, seed): recipe_of(recipe, name, seed, options.out, options.start_from)
        for seed, name in product(options.seeds, options.systems)
    }
    for one in recipes.values():
        check_run(one, options.start_from is not None)
    return recipes


def compare(options: argparse.Namespace, recipe: Recipe) -> int:
    """Train what is missing, time all, and print the page."""
    recipes = plan_runs(options, recipe)
    device = choose_device(options.device)
    config = CellConfig((options.side,), tuple(options.words), tuple(options.images))
    cells = list(train_systems(recipes))
    torch.set_num_threads(count_cpus())
    costs, times = measure(recipe, options, device, config)
    began = f", begun with the weights of {options.start_from}" if options.start_from else ""
    trained = f"{recipe.train.steps} steps of {recipe.train.batch_size} images{began}"
    parts = [
        f"{trained}; times: {describe_device(device)}, float32, in turn, medians",
        format_figures(cells, costs),
        format_differences(cells),
        *times,
    ]
    page = "\n\n".join(part for part in parts if part) + "\n"
    print(page)
    write_text(options.out / "systems.md", page)
    try:
        plot_figures(cells, options.out / "systems.png")
    except ImportError as error:
        print(f"no plot: {error}", file=sys.stderr)
    return 0


def measure(
    recipe: Recipe, options: argparse.Namespace, device: torch.device, config: CellConfig
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What each system costs, as `measure_cells` gives it, and the times of whole and parts as Markdown."""
    runtimes = build_runtimes(recipe, options.systems, device)
    card, where = ModelCard(recipe.to_dict()), RuntimeConfig("pytorch", str(device), num_threads=count_cpus())
    systems = {name: System(Path(name), where, Spotter(runtime, card)) for name, runtime in runtimes.items()}
    image = open_validation(recipe).sample(0).image
    check_words(runtimes, resize(image, options.side), max(options.words))
    costs = measure_cells(systems, image, options.rounds, config)
    rows = whole_times(costs)
    parts = [f"The whole network:\n\n{format_times(rows)}"]
    for part in (HEAD, CONTEXT):
        timings = {reading: measure_readers(runtimes, reading, part, options.rounds) for reading in rows}
        parts.append(f"Of it {part}:\n\n{format_times(timings)}")
    first = next(iter(rows))
    profiles = {name: profile_reader(runtime, first) for name, runtime in runtimes.items()}
    where_read = f"images {first.num_images}, words {first.num_regions}"
    return costs, [*parts, f"Where the time of {HEAD} goes, {where_read}:\n\n{format_profiles(profiles)}"]


def check_words(runtimes: Mapping[str, TorchRuntime], pixels: np.ndarray, num_words: int) -> None:
    """A ValueError if a network cannot read so many words in an image (H, W, 3) uint8."""
    for name, runtime in runtimes.items():
        found = len(runtime.spot(pixels[None], BELOW_ALL, num_words)[0].scores)
        if found < num_words:
            raise ValueError(
                f"{name} reads {found} words where {num_words} are asked for: choose a larger --side, or fewer --words"
            )


def whole_times(costs: Mapping[str, Mapping[str, Any]]) -> dict[Reading, dict[str, Timing]]:
    """Of the whole networks, out of what `measure_cells` gives."""
    rows: dict[Reading, dict[str, Timing]] = {}
    for name, cost in costs.items():
        for cell in cost["cells"]:
            row = rows.setdefault(Reading(cell["num_images"], cell["num_regions"]), {})
            row[name] = Timing.from_dict(cell["times"]["network"])
    return rows


def describe_device(device: torch.device) -> str:
    """Where the networks are timed, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU with {torch.get_num_threads()} thread(s)"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    what = "recipe that says what is read, or a change to the one before; its keys are options too"
    parser.add_argument("--config", required=True, action="append", help=what)
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    names = f"of {', '.join(NAMES)}, or such as rfcn_crnn@0.5; times are compared with those of the first"
    parser.add_argument("--systems", nargs="+", default=NAMES, metavar="NAME", help=names)
    seeds = "of weights and order of the images; %(default)s unless said"
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help=seeds)
    start_from = "--out of an earlier call: each run starts from its namesake's weights there"
    parser.add_argument("--start_from", type=Path, help=start_from)
    timed = {
        "side": (640, "pixels of the longer side of the image that is timed"),
        "rounds": (5, "of the timing"),
        "device": ("cpu", "of the timing: cpu, a GPU such as cuda:0, or auto; that of the training is train.device"),
    }
    for name, (default, what) in timed.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{what}; %(default)s unless said")
    for name, numbers, what in (("words", [10, 1, 50], "that are read in it"), ("images", [1, 8], "of a timed batch")):
        parser.add_argument(f"--{name}", nargs="+", type=int, default=numbers, help=f"{what}; %(default)s unless said")
    options, of_recipe = parser.parse_known_args(arguments)
    recipe = read_command_line([*(f"--config={file}" for file in options.config), *of_recipe])
    return run_command(lambda: compare(options, recipe), "interrupted: the same command continues")


if __name__ == "__main__":
    sys.exit(main())
