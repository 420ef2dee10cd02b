"""The systems of Sui et al. 2018 side by side: what each is, how well it reads once trained, and what it costs."""

import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from recognizer_heads import choose_reader

from textspot.atomic_file import write_atomically, write_text
from textspot.data.lmdb_records import Reader
from textspot.engine.evaluate import PROTOCOLS, score_reading
from textspot.engine.state import changed_keys
from textspot.engine.train import train
from textspot.inference.spotter import load
from textspot.losses import RECOGNIZER_TERM
from textspot.models.choice import Choice
from textspot.models.spotting_network import DETECTORS, RECOGNIZERS, ModelConfig
from textspot.progress import track
from textspot.quant.folding import fold_batchnorm
from textspot.recipe import Recipe, build_spotting_network, recipe_from_dict
from textspot.runtime.torch_runtime import TorchRuntime

SEPARATE = "separate"
FIGURES_FILE, RECIPE_FILE = "figures.json", "recipe.json"
FIGURES = {
    "detection": f"{PROTOCOLS[0]}/hmean",
    "end-to-end": f"{PROTOCOLS[1]}/hmean",
    "words read": "recognition/word_accuracy",
    "1 - NED": "recognition/one_minus_ned",
}
NAMES = [  # the paper's own systems first
    f"{detector}_{shared}{reader}"
    for detector, shared, reader in product(sorted(DETECTORS), ("", f"{SEPARATE}_"), RECOGNIZERS)
]


@dataclass(frozen=True)
class System:
    """A system by its parts; the recogniser is one that `choose_reader` knows."""

    detector: str
    shared: bool
    reader: str

    @classmethod
    def parse(cls, name: str) -> "System":
        """A system by its name; one that says something else is a ValueError."""
        if name.partition("@")[0] not in NAMES:
            expected = f"one of {', '.join(NAMES)}, perhaps with the likes of @0.5 behind it"
            raise ValueError(f"no system is called {name!r}; expected {expected}")
        detector, *between, reader = name.split("_")
        choose_reader(ModelConfig().recognizer, reader)
        return cls(detector, SEPARATE not in between, reader)

    def model(self, base: ModelConfig) -> ModelConfig:
        """The network: that of the recipe if it has this detector, else the default one with it."""
        if self.detector != base.detector.kind:
            base = ModelConfig(detector=Choice(self.detector, DETECTORS[self.detector].Config()))
        return replace(base, recognizer=choose_reader(base.recognizer, self.reader), shared=self.shared)


def with_network(recipe: Recipe, name: str) -> Recipe:
    """The recipe with the network of a system; weights of loss terms that this network has not are left out."""
    model = System.parse(name).model(recipe.model)
    terms = {*model.loss_weights, RECOGNIZER_TERM}
    return replace(recipe, model=model, loss={term: weight for term, weight in recipe.loss.items() if term in terms})


def recipe_of(recipe: Recipe, name: str, seed: int, out: Path, start_from: Path | None) -> Recipe:
    """The recipe of one run: network, seed, folder below `out`, and what it starts from, if it does."""
    one = replace(with_network(recipe, name), seed=seed, run=str(out / name / str(seed)))
    if start_from is None:
        return one
    return replace(one, train=replace(one.train, init_from=str(start_from / name / str(seed))))


def check_run(recipe: Recipe, starts_from_run: bool) -> None:
    """A ValueError if the folder of a run holds another recipe's, or if the run that it starts from did not end."""
    folder, init_from = Path(recipe.run), recipe.train.init_from
    if (folder / FIGURES_FILE).exists() or (folder / "last").exists():
        file = folder / RECIPE_FILE
        kept = recipe_from_dict(json.loads(file.read_text(encoding="utf-8")), str(file))
        if changed := changed_keys(_what_matters(kept), _what_matters(recipe)):
            raise ValueError(f"{folder} holds another recipe's run ({', '.join(changed)}): choose another --out")
    is_missing = starts_from_run and not (Path(str(init_from)) / FIGURES_FILE).exists()
    if is_missing and not (folder / FIGURES_FILE).exists():
        raise ValueError(
            f"{init_from}: no run came to its end there; --start_from expects the --out of an earlier call"
        )


def _what_matters(recipe: Recipe) -> dict[str, Any]:
    """The settings of a recipe without those that say where and how it runs."""
    settings = recipe.to_dict()
    del settings["run"], settings["data"]["num_workers"]
    for key in ("device", "num_threads", "log_every"):
        del settings["train"][key]
    return settings


def train_systems(recipes: Mapping[tuple[str, int], Recipe]) -> Iterator[dict[str, Any]]:
    """The figures of every system and seed, one by one; what is there is not done again."""
    for (name, seed), recipe in recipes.items():
        folder = Path(recipe.run)
        file = folder / FIGURES_FILE
        if not file.exists():
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            _write_json(folder / RECIPE_FILE, _what_matters(recipe))
            result = train(recipe)
            if not result.finished:
                raise KeyboardInterrupt
            reading = score_reading(load(result.weights), open_validation(recipe), track=track)
            figures = {what: (result.figures | reading)[key] for what, key in FIGURES.items()}
            _write_json(file, {"system": name, "seed": seed, **figures})
        yield json.loads(file.read_text(encoding="utf-8"))


def _write_json(file: Path, value: Any) -> None:
    write_text(file, json.dumps(value))


def open_validation(recipe: Recipe) -> Reader:
    """The images that the recipe is evaluated on."""
    return Reader(Path(str(recipe.data.validation.path)))


def build_runtimes(recipe: Recipe, names: Sequence[str], device: torch.device) -> dict[str, TorchRuntime]:
    """The networks as they run once trained, but untrained: weights take no part in the time."""
    runtimes = {}
    for name in names:
        torch.manual_seed(0)
        network = build_spotting_network(with_network(recipe, name))
        runtimes[name] = TorchRuntime(fold_batchnorm(network), device)
    return runtimes


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


def format_differences(cells: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: joint minus separate training, and FCR minus CRNN, of systems that differ in nothing else: the mean
    over the seeds that both have, the lowest and the highest. A seed is the same order of images for both. Nothing if
    no two systems are such a pair."""
    figures = {(cell["system"], cell["seed"]): cell for cell in cells}
    lines = [f"| difference | {' | '.join(FIGURES)} |", "|---" * (len(FIGURES) + 1) + "|"]
    for name in dict.fromkeys(system for system, _ in figures):
        detector, *_, reader = name.split("_")
        for other in (f"{detector}_{SEPARATE}_{reader}", name.replace("_fcr", "_crnn")):
            seeds = [seed for system, seed in figures if system == name and (other, seed) in figures]
            if other != name and seeds:
                columns = []
                for what in FIGURES:
                    values = [figures[name, seed][what] - figures[other, seed][what] for seed in seeds]
                    columns.append(f"{statistics.mean(values):+.3f} ({min(values):+.3f} to {max(values):+.3f})")
                lines.append(f"| {name} - {other} | {' | '.join(columns)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def plot_figures(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The figures of every system: a dot for each seed, a line for their mean."""
    from matplotlib.figure import Figure  # an extra

    names = list(dict.fromkeys(cell["system"] for cell in cells))
    figure = Figure(figsize=(12, 0.4 * len(names) + 1.5), layout="constrained")
    for what, axes in zip(FIGURES, figure.subplots(1, len(FIGURES), sharey=True), strict=True):
        for name in names:
            values = [cell[what] for cell in cells if cell["system"] == name]
            axes.plot(values, [name] * len(values), "o", color="steelblue", markersize=5, alpha=0.7)
            axes.plot(statistics.mean(values), name, "|", color="black", markersize=16)
        axes.set(xlabel=what)
        axes.grid(axis="x", alpha=0.3)
        axes.locator_params(axis="x", nbins=4)
    axes.invert_yaxis()
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=90))
