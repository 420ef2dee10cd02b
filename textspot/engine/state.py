"""All that a restart needs, in one file that `torch.load(weights_only=True)` loads."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from textspot import file_checksum
from textspot.atomic_file import write_atomically
from textspot.checkpoint import CheckpointError
from textspot.engine.distributed import World
from textspot.engine.schedule import parameter_groups
from textspot.engine.transfer import take_over
from textspot.models.spotting_network import SpottingNetwork
from textspot.recipe import Recipe, build_spotting_network, recipe_from_dict

PROGRESS = ("step", "best", "threshold", "figures", "sums", "words", "damaged")  # the plain values of a TrainerState
LONG_AVERAGED = 1_000_000  # updates after which the decay of `ramped_average` is the one it was given


def ramped_average(decay: float):
    """The moving average of `AveragedModel`, with a decay that starts low, so that the first weights are soon
    forgotten."""

    def update(averages: list[Tensor], values: list[Tensor], num_averaged: Tensor) -> None:
        share = 1 - min(decay, (1 + int(num_averaged)) / (10 + int(num_averaged)))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, share)
            else:  # counters of BatchNorm
                average.copy_(value)

    return update


@dataclass
class TrainerState:
    """Network, its moving average, optimiser, and how far the run is.

    `threshold` and `figures` are those of the last evaluation, `best` is the best end-to-end hmean so far; `sums`
    holds what the next line of the log is the mean of, `words` counts what the recogniser was shown, `damaged` the
    records that could not be used.
    """

    network: SpottingNetwork
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0
    best: float = -1.0
    threshold: float = 0.5
    figures: dict[str, float] = field(default_factory=dict)
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    words: int = 0
    damaged: int = 0

    @classmethod
    def build(cls, recipe: Recipe, device: torch.device) -> "TrainerState":
        """The state before the first step: a function of the recipe and its seed alone."""
        torch.manual_seed(recipe.seed)
        train = recipe.train
        from_imagenet = train.init_from is None or "backbone" in train.reinitialize
        network = build_spotting_network(recipe, from_imagenet).to(device).to(memory_format=torch.channels_last)
        groups = parameter_groups(network, train.weight_decay, network.backbones, train.backbone_learning_rate)
        return cls(
            network,
            AveragedModel(network, multi_avg_fn=ramped_average(recipe.train.ema_decay), use_buffers=True),
            torch.optim.AdamW(groups, lr=recipe.train.learning_rate),
        )

    @property
    def averaged_network(self) -> SpottingNetwork:
        """What is evaluated and kept."""
        return self.average.module  # type: ignore[return-value]

    def start_from(self, path: str, recipe: Recipe) -> list[str]:
        """Take over given weights (see `take_over`) before the first step, into the moving average too; what was done,
        in words.

        The average has nothing random to forget then: it leaves the given weights at the recipe's decay.
        """
        report = take_over(self.network, recipe, path)
        self.averaged_network.load_state_dict(self.network.state_dict())
        self.average.n_averaged.fill_(LONG_AVERAGED)
        return report

    def save(self, path: Path, recipe: Recipe, world_size: int = 1, data: Mapping[str, str] | None = None) -> None:
        """Write everything, atomically; `world_size` is the number of processes that train, `data` holds the identities
        of the LMDBs by their keys in the recipe."""
        values = {
            "recipe": recipe.to_dict(),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": {name: getattr(self, name) for name in PROGRESS},
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),
            "num_threads": torch.get_num_threads(),
            "world_size": world_size,
            "data": dict(data or {}),
        }

        def write(temporary: Path) -> None:
            torch.save(values, temporary)
            file_checksum.seal_zip(temporary)

        write_atomically(path, write)

    def restore(
        self, path: Path, recipe: Recipe, world_size: int = 1, data: Mapping[str, str] | None = None
    ) -> list[str]:
        """Load what `save` wrote, in place. Returns warnings in words; a recipe of another network is an error, and so
        is another data set. One that was moved is the same."""
        values = _load(path)
        known = values.get("data") or data or {}  # there is none in files from before it was kept
        if others := [key for key, identity in (data or {}).items() if known.get(key, identity) != identity]:
            raise CheckpointError(
                f"{path} was written with other images: {', '.join(others)} holds another data set now. Choose another "
                "folder with --run, or bring the data set back"
            )
        before = recipe_from_dict(values["recipe"], str(path))
        same = known.keys() & (data or {}).keys() if values.get("data") else set()
        changed = changed_keys(_without_paths(before.to_dict(), same), _without_paths(recipe.to_dict(), same))
        fixed = [key for key in changed if key not in RESUMABLE_CHANGES]
        if fixed:
            raise CheckpointError(
                f"{path} was written with another recipe: {', '.join(fixed)} changed. Choose another folder with "
                "--run, or delete this one to start again"
            )
        self.network.load_state_dict(values["network"])
        self.average.load_state_dict(values["average"])
        self.optimizer.load_state_dict(values["optimizer"])
        for name in PROGRESS:
            setattr(self, name, values["progress"][name])
        torch.set_rng_state(values["random"])
        if len(values["random_cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(values["random_cuda"])
        warnings = [
            f"{key} changed since the checkpoint: the run no longer equals one without a break" for key in changed
        ]
        if values["num_threads"] != torch.get_num_threads():
            warnings.append(
                f"{values['num_threads']} CPU threads then, {torch.get_num_threads()} now: results will differ in the "
                "last bits"
            )
        if values["world_size"] != world_size:
            warnings.append(
                f"{values['world_size']} processes then, {world_size} now: some images come twice or not at all, and a "
                "step has another number of images"
            )
        return warnings


def read_step(path: Path) -> int:
    """The step that the run of a checkpoint had reached; -1 if there is no such file."""
    return int(_load(path)["progress"]["step"]) if path.exists() else -1


def share_newest(world: World, path: Path) -> list[str]:
    """Have the newest checkpoint of all nodes at `path` on each of them, in words what was brought where.

    Nodes may have disks of their own, and a node that comes back may have another number than before: the process that
    begins to write checkpoints need not have the last one. A disk that all nodes share is left as it is.
    """
    if world.size == 1:
        return []
    steps = world.gather(read_step(path))
    newest, owner = max(steps), steps.index(max(steps))
    if min(steps) == newest:
        return []
    data = world.send(path.read_bytes() if world.rank == owner else b"", owner)
    if steps[world.rank] < newest and world.is_first_here:
        write_atomically(path, lambda temporary: temporary.write_bytes(data))
    world.wait()
    behind = ", ".join(str(rank) for rank, step in enumerate(steps) if step < newest)
    return [f"the checkpoint of step {newest} was brought from process {owner} to the nodes of {behind}"]


# What may differ when a run is resumed; everything else defines the run.
RESUMABLE_CHANGES = frozenset(
    {
        "run",
        "train.steps",
        "train.device",
        "train.num_threads",
        "train.compile",
        "train.log_every",
        "train.evaluate_every",
        "train.save_every",
        "train.picture_every",
        "train.doctor_every",
        "train.trackers",
        "data.num_workers",
        # Which images a step shows is a function of these, so that some come twice or not at all.
        "train.batch_size",
        "train.accumulation",
    }
)


WHERE = ("path", "cache")  # the keys of a source that do not say what it holds


def _without_paths(recipe: dict[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """A recipe without the paths of the sources at these keys, `train[0]` or `validation`, whose content is known."""
    data = recipe.get("data", {})
    sources = data.get("train", [])
    train = [
        {name: value for name, value in source.items() if name not in WHERE or f"train[{number}]" not in keys}
        for number, source in enumerate(sources)
    ]
    validation = dict(data.get("validation", {}))
    if "validation" in keys:
        validation = {name: value for name, value in validation.items() if name not in WHERE}
    return recipe | {"data": data | {"train": train, "validation": validation}} if data else recipe


def _load(path: Path) -> dict[str, Any]:
    try:
        file_checksum.check_zip(path)
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises on a damaged archive depends on where the damage is
        raise CheckpointError(
            f"{path}: cannot be read ({error}). Delete it to start the run again; model.safetensors beside it is "
            "complete"
        ) from error
    if not isinstance(values, dict) or not {"recipe", "progress", "world_size"} <= values.keys():
        raise CheckpointError(f"{path}: not the state of a training run of this program; delete it to start again")
    return values


def changed_keys(old: Any, new: Any, prefix: str = "") -> list[str]:
    """Dotted names of the values that differ between two nested dicts."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [prefix.removesuffix(".")]
    keys = sorted(old.keys() | new.keys())
    return [name for key in keys for name in changed_keys(old.get(key), new.get(key), f"{prefix}{key}.")]
