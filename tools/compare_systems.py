"""What Sui et al. 2018 claim, measured: trains their systems side by side and prints how well and how fast each reads.

    python tools/compare_systems.py --config configs/rfcn_fcr.yaml --out runs/systems

`rfcn_fcr` is the network of that recipe, `ribbon_fcr` the default network of this project, whose trunk, detector and
reader are other ones; `crnn` in place of `fcr` has another reader, `separate` between them shares no convolutions, and
`@0.5` behind a name halves the reader's channels. All learn from the same images for as many steps, once for each seed.
`--start_from` goes on from the weights of an earlier call, with the images of another recipe. Any key of the recipe is
an option, but those that the names and seeds decide. What was measured lies in the folder: run the same command again
to continue.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from textspot.benchmark.cells import CellConfig, measure_cells
from textspot.benchmark.readers import (
    CONTEXT,
    HEAD,
    Reading,
    Times,
    choose_reader,
    format_profiles,
    format_times,
    measure_readers,
    profile_reader,
)
from textspot.benchmark.systems import System
from textspot.benchmark.timing import Timing
from textspot.checkpoint import write_atomically
from textspot.command_line import run_command
from textspot.data.lmdb_records import Reader
from textspot.engine.evaluate import PROTOCOLS, score_reading
from textspot.engine.train import train
from textspot.inference import Spotter, find_weights, load
from textspot.model_card import ModelCard
from textspot.models.fcr import RecognizerConfig
from textspot.models.spotting_network import DETECTORS, RECOGNIZERS, ModelConfig
from textspot.progress import track
from textspot.recipe import Recipe, build_spotting_network, read_command_line
from textspot.runtime.build import RuntimeConfig
from textspot.runtime.protocol import count_cpus
from textspot.runtime.torch_runtime import TorchRuntime, choose_device

SEPARATE = "separate"
FIGURES_FILE = "figures.json"
WHOLE = "network"  # what `measure_cells` calls it
FIGURES = {
    "detection": f"{PROTOCOLS[0]}/hmean",
    "end-to-end": f"{PROTOCOLS[1]}/hmean",
    "words read": "recognition/word_accuracy",
    "1 - NED": "recognition/one_minus_ned",
}
NAMES = [
    f"{detector}_{shared}{reader}" for detector, shared, reader in product(DETECTORS, ("", f"{SEPARATE}_"), RECOGNIZERS)
]


@dataclass(frozen=True)
class Choice:
    """A system by its parts; the reader is one that `choose_reader` knows."""

    detector: str
    shared: bool
    reader: str

    @classmethod
    def of(cls, name: str) -> "Choice":
        """Of its name; one that says something else is a ValueError."""
        if name.partition("@")[0] not in NAMES:
            expected = f"one of {', '.join(NAMES)}, perhaps with the likes of @0.5 behind it"
            raise ValueError(f"no system is called {name!r}; expected {expected}")
        detector, *between, reader = name.split("_")
        choose_reader(RecognizerConfig(), reader)
        return cls(detector, SEPARATE not in between, reader)

    def model(self, base: ModelConfig) -> ModelConfig:
        """The network: that of the recipe if it has this detector, else the default one with it."""
        if self.detector != base.detector.kind:
            base = ModelConfig(detector=replace(base.detector, kind=self.detector))  # type: ignore[arg-type]
        return replace(base, recognizer=choose_reader(base.recognizer, self.reader), shared=self.shared)


def train_systems(
    recipe: Recipe, names: Sequence[str], seeds: Sequence[int], out: Path, start_from: Path | None
) -> Iterator[dict[str, Any]]:
    """The figures of every system and seed, one by one, and where its weights are; what is there is not done again."""
    for seed, name in product(seeds, names):  # one seed of all comes before the next
        folder = out / name / str(seed)
        one = replace(recipe, seed=seed, run=str(folder), model=Choice.of(name).model(recipe.model))
        if start_from is not None:
            one = replace(one, train=replace(recipe.train, init_from=str(start_from / name / str(seed))))
        check_folder(folder, one)
        file = folder / FIGURES_FILE
        if file.exists():
            yield json.loads(file.read_text(encoding="utf-8"))
            continue
        print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
        result = train(one)
        if not result.finished:
            raise KeyboardInterrupt
        weights = result.weights
        reading = score_reading(load(weights), open_validation(recipe), track=track)
        figures = {what: (result.figures | reading)[key] for what, key in FIGURES.items()}
        cell = {"system": name, "seed": seed, "weights": str(weights), **figures}
        write_atomically(file, partial(Path.write_text, data=json.dumps(cell), encoding="utf-8"))
        yield cell


def check_folder(folder: Path, recipe: Recipe) -> None:
    """Note the recipe of a run beside it; a folder that holds another one's is a ValueError. Where it runs does not
    matter."""
    settings = recipe.to_dict()
    del settings["run"], settings["data"]["num_workers"]
    for key in ("device", "num_threads"):
        del settings["train"][key]
    file = folder / "recipe.json"
    if not file.exists():
        write_atomically(file, partial(Path.write_text, data=json.dumps(settings), encoding="utf-8"))
    if json.loads(file.read_text(encoding="utf-8")) != settings:
        raise ValueError(f"{folder} holds another recipe's run: choose another --out")


def open_validation(recipe: Recipe) -> Reader:
    """The images that the recipe is judged by."""
    return Reader(Path(str(recipe.data.validation.path)))


def build_runtimes(recipe: Recipe, names: Sequence[str], device: torch.device) -> dict[str, TorchRuntime]:
    """The networks, untrained: weights take no part in the time, and where a trained R-FCN finds no more words an
    untrained one still does."""
    models = {name: Choice.of(name).model(recipe.model) for name in names}
    networks = {name: build_spotting_network(replace(recipe, model=model)) for name, model in models.items()}
    return {name: TorchRuntime(network, device) for name, network in networks.items()}


def format_figures(cells: Sequence[Mapping[str, Any]], costs: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: of each system the mean over the seeds and their standard deviation, and what it costs."""
    first = next(iter(costs.values()))["cells"][0]
    height, width = first["size"]
    words = first["num_regions"]
    head = [*FIGURES, "parameters", f"GMAC, {height} x {width} px and {words} words", "seeds"]
    lines = [f"| system | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for name, cost in costs.items():
        of_system = [cell for cell in cells if cell["system"] == name]
        columns = []
        for what in FIGURES:
            values = [cell[what] for cell in of_system]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            columns.append(f"{statistics.mean(values):.3f}{spread}")
        gmac = sum(cost["cells"][0]["multiplications"].values()) / first["num_images"] / 1e9
        columns += [f"{cost['parameters'] / 1e6:.2f} M", f"{gmac:.2f}", str(len(of_system))]
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def describe_device(device: torch.device) -> str:
    """Where the networks are timed, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU with {torch.get_num_threads()} thread(s)"


def whole_times(costs: Mapping[str, Mapping[str, Any]]) -> dict[Reading, Times]:
    """Of the whole networks, out of what `measure_cells` gives."""
    rows: dict[Reading, Times] = {}
    for name, cost in costs.items():
        for cell in cost["cells"]:
            row = rows.setdefault(Reading(cell["num_images"], cell["num_regions"]), {})
            row[name] = {WHOLE: Timing.from_dict(cell["times"][WHOLE])}
    return rows


def plot(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The figures of every system, a dot for each seed."""
    from matplotlib.figure import Figure  # an extra

    names = list(dict.fromkeys(cell["system"] for cell in cells))
    figure = Figure(figsize=(12, 0.4 * len(names) + 1.5), layout="constrained")
    for what, axes in zip(FIGURES, figure.subplots(1, len(FIGURES), sharey=True), strict=True):
        for name in names:
            values = [cell[what] for cell in cells if cell["system"] == name]
            axes.barh(name, statistics.mean(values), color="lightsteelblue")
            axes.plot(values, [name] * len(values), "o", color="black", markersize=4)
        axes.set(xlabel=what)
        axes.set_xlim(left=0)
    axes.invert_yaxis()
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=90))


def compare(options: argparse.Namespace, recipe: Recipe) -> int:
    """Train what is missing, time all, and print the page. What makes no sense is a ValueError before anything is
    trained."""
    for what, values in (("systems", options.systems), ("seeds", options.seeds)):
        if len(set(values)) < len(values):
            raise ValueError(f"{what}: {' '.join(map(str, values))} holds one twice")
    if options.rounds < 1 or min(options.seeds) < 0:
        raise ValueError("expected rounds of at least 1 and seeds of at least 0")
    if options.start_from is not None and recipe.train.init_from is not None:
        raise ValueError("--start_from says where each run begins: leave train.init_from out")
    for name, seed in product(options.systems, options.seeds):
        Choice.of(name).model(recipe.model)
        if options.start_from is not None and not (options.out / name / str(seed) / FIGURES_FILE).exists():
            find_weights(options.start_from / name / str(seed))
    device = choose_device(options.device)
    config = CellConfig((options.side,), tuple(options.words), tuple(options.images))
    cells = list(train_systems(recipe, options.systems, options.seeds, options.out, options.start_from))
    torch.set_num_threads(count_cpus())
    runtimes = build_runtimes(recipe, options.systems, device)
    card, where = ModelCard(recipe.to_dict()), RuntimeConfig("pytorch", str(device))
    systems = {name: System(Path(name), where, Spotter(runtime, card)) for name, runtime in runtimes.items()}
    costs = measure_cells(systems, open_validation(recipe).sample(0).image, options.rounds, config)
    times = whole_times(costs)
    heads = {reading: measure_readers(runtimes, reading, options.rounds) for reading in times}
    first = next(iter(times))
    profiles = {name: profile_reader(runtime, first) for name, runtime in runtimes.items()}
    began = f", begun with the weights of {options.start_from}" if options.start_from else ""
    steps = f"{recipe.train.steps} steps of {recipe.train.batch_size} images{began}"
    parts = [
        f"{steps}; times: {describe_device(device)}, in turn, medians",
        format_figures(cells, costs),
        f"The whole network:\n\n{format_times(times, WHOLE)}",
        *(f"Of it {part}:\n\n{format_times(heads, part)}" for part in (HEAD, CONTEXT)),
        f"Where its time goes, images {first.num_images}, words {first.num_regions}:\n\n{format_profiles(profiles)}",
    ]
    page = "\n\n".join(parts) + "\n"
    print(page)
    write_atomically(options.out / "systems.md", lambda file: file.write_text(page, encoding="utf-8"))
    try:
        plot(cells, options.out / "systems.png")
    except ImportError as error:
        print(f"no plot: {error}", file=sys.stderr)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of everything that is made")
    parser.add_argument(
        "--systems", nargs="+", default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}, or such as rfcn_crnn@0.5"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of weights and order of the images")
    parser.add_argument(
        "--start_from", type=Path, help="--out of an earlier call: each run starts from its namesake's weights there"
    )
    parser.add_argument("--side", type=int, default=640, help="pixels of the longer side of the image that is timed")
    parser.add_argument("--words", nargs="+", type=int, default=[10, 1, 50], help="that are read in it")
    parser.add_argument("--images", nargs="+", type=int, default=[1, 8], help="of a batch that is timed")
    parser.add_argument("--rounds", type=int, default=5, help="of the timing")
    parser.add_argument("--device", default="cpu", help="of the timing: cpu, a GPU such as cuda:0, or auto")
    options, of_recipe = parser.parse_known_args(arguments)
    recipe = read_command_line(of_recipe)
    return run_command(lambda: compare(options, recipe), "interrupted: the same command continues")


if __name__ == "__main__":
    sys.exit(main())
