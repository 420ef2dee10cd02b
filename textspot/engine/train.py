"""The training loop."""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from textspot.batch import Batch
from textspot.data.dataset import TOO_LONG
from textspot.data.lmdb_records import Reader
from textspot.data.loader import build_loader
from textspot.engine.distributed import World, join_world
from textspot.engine.doctor import diagnose, measure_gradients, read_lengths
from textspot.engine.evaluate import Further
from textspot.engine.log import RunLog
from textspot.engine.pictures import draw_batch
from textspot.engine.run_folder import RunFolder, sole_trainer
from textspot.engine.schedule import learning_rate_at
from textspot.engine.sources import OpenSource, check_charset, identify, open_further, open_sources
from textspot.engine.state import TrainerState
from textspot.losses import SpottingLoss
from textspot.models.spotting_network import TrainingOutput
from textspot.recipe import Recipe, TrainConfig, build_charset, build_training_stream

FEWEST_DAMAGED = 10  # so that one bad record among the first few does not stop a run


@dataclass(frozen=True)
class TrainingResult:
    """Where the weights are, and whether the run came to its end or was asked to stop before."""

    weights: Path
    figures: dict[str, float]
    finished: bool


def train(recipe: Recipe) -> TrainingResult:
    """Train the recipe's network in its run folder; a run that was stopped or killed resumes from its
    last checkpoint.

    Renders the data sets that the recipe says how to render and that do not exist. Errors in data, recipe or
    checkpoint are ValueErrors or OSErrors whose message names file and remedy.
    """
    with join_world(recipe.train.device) as world:
        if recipe.train.num_threads:
            torch.set_num_threads(recipe.train.num_threads)
        with sole_trainer(Path(recipe.run)) if world.is_first else nullcontext():
            sources, validation = open_sources(recipe.data, world)
            check_charset([*sources, validation], recipe.text)
            return Trainer(recipe, world, sources, validation, open_further(recipe.data)).run()


class Trainer:
    """One run: its state, its data, its log."""

    def __init__(
        self,
        recipe: Recipe,
        world: World,
        sources: list[OpenSource],
        validation: Reader,
        further: Further,
    ):
        self.recipe, self.config, self.world = recipe, recipe.train, world
        self.validation, self.further = validation, further
        self.folder = RunFolder(recipe, world, identify(sources, validation))
        self.charset = build_charset(recipe)
        self.state = TrainerState.build(recipe, world.device)
        self.notes, self.report = self._begin()
        self.stream = build_training_stream(recipe, sources)
        self.loss = SpottingLoss(recipe.loss, self.state.network.loss_terms, world.mean)
        self.module: nn.Module = self.state.network
        if self.config.compile:
            self.state.network.compile_parts()
        if world.size > 1:
            self.module = nn.parallel.DistributedDataParallel(join_batchnorm(self.module, self.config, world.device))
        self.module.train()
        if self.config.freeze_statistics:
            for backbone in self.state.network.backbones:
                backbone.eval()

    def _begin(self) -> tuple[list[str], list[str]]:
        """Go on from the run's checkpoint, else start from the weights the recipe names, if it names any: remarks about
        the former, and the report of what was taken over from the latter."""
        init_from, remarks = self.config.init_from, self.folder.restore(self.state)
        if remarks is not None:
            if init_from:
                remarks.append(f"resumes from its own checkpoint; {init_from} was used at its start")
            return remarks, []
        return [], self.state.start_from(init_from, self.recipe) if init_from else []

    def run(self) -> TrainingResult:
        """Train to the last step, or until a signal asks to stop."""
        state, config = self.state, self.config
        with self.folder.log(state.step) as log, stop_signals() as asked_to_stop:
            for note in (*self.notes, *self.report):
                log.say(note)
            where = f"{self.world.size} process(es) on {self.world.device}"
            log.say(f"{self.folder.path}: step {state.step} of {config.steps}, {where}")
            if self.world.size > 1 or config.accumulation > 1:
                log.say(describe_step(config, self.world.size))
            if self.report:
                log.event("init_from", state.step, {"report": self.report})
                self.folder.evaluate(state, self.validation, self.further, log)
            batches = iter(self._loader())
            while state.step < config.steps and not self.world.any(bool(asked_to_stop)):
                batch, output = self.step(batches)
                takes_part = self.world.is_first or config.sync_batchnorm  # which measures only with all processes
                if config.doctor_every and state.step % config.doctor_every == 0 and takes_part:
                    for name, value in measure_gradients(state.network, self.loss, batch, config.precision).items():
                        self._add(name, value)
                if state.step % config.log_every == 0:
                    self._log_training(log)
                if state.step % config.picture_every == 0:
                    log.picture("regions", state.step, draw_batch(state.network, self.charset, batch, output))
                if state.step % config.evaluate_every == 0 or state.step == config.steps:
                    self.folder.evaluate(state, self.validation, self.further, log)
                if state.step % config.save_every == 0 or state.step == config.steps:
                    self.folder.save(state)
            finished = state.step >= config.steps
            if not finished:
                self.folder.save(state)
            return TrainingResult(self.folder.weights, state.figures, finished)

    def _loader(self):
        passes = self.config.accumulation
        return build_loader(
            self.stream,
            self.state.step * passes,
            self.config.steps * passes,
            self.config.batch_size,
            self.recipe.data.num_workers,
            self.world.rank,
            self.world.size,
            pin_memory=self.world.device.type == "cuda",
        )

    def step(self, batches: Iterator[Batch]) -> tuple[Batch, TrainingOutput]:
        """One update of the weights; the last batch and the network's output for it."""
        state, passes = self.state, self.config.accumulation
        started = time.perf_counter()
        state.optimizer.zero_grad(set_to_none=True)
        for number in range(passes):
            asked = time.perf_counter()
            batch = next_batch(batches)
            self._add("time/wait_s", time.perf_counter() - asked)
            batch = batch.to(self.world.device)
            predicted, unrefined = self._choose_predicted(batch, number), self._choose_unrefined(batch, number)
            with self._exchange(last=number == passes - 1):
                with torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
                    output = self.module(batch.image, batch.ribbons, batch.region_slot, predicted, unrefined)
                total, terms = self.loss(output, batch)
                (total / passes).backward()
            self._count(batch, output, terms)
        norm = float(nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip_norm))
        if not math.isfinite(norm):
            shown = ", ".join(f"{name} {float(value):.3g}" for name, value in terms.items())
            raise ValueError(
                f"step {state.step + 1}: the gradient is not finite ({shown}). Start again with a lower "
                "train.learning_rate, or with train.precision: float32"
            )
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate_at(state.step, self.config) * group["share"]
        state.optimizer.step()
        state.average.update_parameters(state.network)
        state.step += 1
        self._add("gradient_norm", norm)
        self._add("time/step_s", time.perf_counter() - started)
        return batch, output

    def _exchange(self, last: bool) -> AbstractContextManager:
        """Within it a forward and backward pass adds to the gradient; the processes average theirs in the last one."""
        if last or not isinstance(self.module, nn.parallel.DistributedDataParallel):
            return nullcontext()
        return self.module.no_sync()

    def _choose_predicted(self, batch: Batch, number: int) -> Tensor | None:
        """The slots (B, K) to be read where the network detects them in forward pass `number` of this step: a function
        of the seed and the step. None if there are none to choose."""
        config, step = self.config, self.state.step
        if not config.predicted_regions or step < config.predicted_regions_from:
            return None
        rng = np.random.default_rng((self.recipe.seed, step, number, self.world.rank))
        chosen = rng.random(batch.ribbons.shape[:2]) < config.predicted_regions
        return torch.from_numpy(chosen).to(self.world.device)

    def _choose_unrefined(self, batch: Batch, number: int) -> Tensor | None:
        """The slots (B, K) to be read without a refinement: likewise."""
        rng = np.random.default_rng((self.recipe.seed, self.state.step, number, self.world.rank, 1))
        chosen = rng.random(batch.ribbons.shape[:2]) < self.config.unrefined_regions
        return torch.from_numpy(chosen).to(self.world.device)

    def _count(self, batch: Batch, output: TrainingOutput, terms: dict[str, Tensor]) -> None:
        """Add one pass to what the next line of the log is the mean of; regions and drops are this process's own."""
        for name, value in zip(terms, self.world.mean(torch.stack(list(terms.values()))).tolist(), strict=True):
            self._add(name, value)
        self._add("rec/regions", batch.num_regions)
        if batch.num_regions:
            self._add("rec/blank_rate", float((output.text_logits.argmax(dim=2) == 0).float().mean()))
            self._add("rec/length", float(batch.token_lengths.float().mean()))
            self._add("rec/read_length", float(read_lengths(output.text_logits).float().mean()))
            if self.config.predicted_regions:
                moved = (output.ribbons != batch.ribbons).flatten(2).any(dim=2)
                self._add("rec/predicted", float(moved.flatten()[batch.region_slot].float().mean()))
        for reason, count in batch.dropped.items():
            self._add(f"dropped/{reason}", count)
        state = self.state
        state.words += batch.num_regions
        state.damaged += batch.dropped.get("damaged record", 0)
        images = (state.step + 1) * self.config.accumulation * self.config.batch_size
        if state.damaged > max(FEWEST_DAMAGED, self.recipe.data.max_damaged * images):
            raise ValueError(
                f"{state.damaged} of about {images} records were damaged, more than data.max_damaged "
                f"({self.recipe.data.max_damaged}) allows: find them with textspot prepare verify, and build the "
                "data again"
            )

    def _add(self, name: str, value: float) -> None:
        total, count = self.state.sums.get(name, (0.0, 0))
        self.state.sums[name] = (total + value, count + 1)

    def _log_training(self, log: RunLog) -> None:
        """One line: means since the last one, and of what was dropped the sum."""
        values = {
            name: total if name.startswith("dropped/") else total / count
            for name, (total, count) in sorted(self.state.sums.items())
        }
        words, too_long = (self.state.sums.get(name, (0.0, 0))[0] for name in ("rec/regions", f"dropped/{TOO_LONG}"))
        values["rec/infeasible"] = too_long / max(1.0, words + too_long)
        self.state.sums.clear()
        values["learning_rate"] = self.state.optimizer.param_groups[0]["lr"]
        images = self.config.batch_size * self.config.accumulation * self.world.size
        values["time/images_per_s"] = images / values["time/step_s"]
        log.training(self.state.step, values)
        every = self.config.doctor_every
        if every and self.state.step % every < self.config.log_every:  # the doctor looked since the last line
            self._warn(log, diagnose(values, self.state.words * self.world.size))

    def _warn(self, log: RunLog, findings: list[str]) -> None:
        if findings:
            log.event("doctor", self.state.step, {"findings": findings})
        for finding in findings:
            log.say(f"step {self.state.step}: {finding}")


def join_batchnorm(network: nn.Module, config: TrainConfig, device: torch.device) -> nn.Module:
    """The network with BatchNorm as the recipe says: of this process, or of all; its parameters stay the same ones."""
    if not config.sync_batchnorm:
        return network
    if device.type == "cpu":
        raise ValueError("train.sync_batchnorm is for GPUs, PyTorch has none for CPUs: leave it out")
    return nn.SyncBatchNorm.convert_sync_batchnorm(network)


def describe_step(config: TrainConfig, world_size: int) -> str:
    """How many images a step shows, and that the learning rate does not know of it."""
    factor = config.accumulation * world_size
    return (
        f"a step shows {config.batch_size * factor} images: {config.batch_size} x {config.accumulation} passes x "
        f"{world_size} processes. train.learning_rate stays {config.learning_rate:g}: it is not scaled. If it was "
        f"found for steps of {config.batch_size} images, {factor**0.5:.3g} to {factor} times as much is a usual start "
        "(square root: Malladi et al. 2022; linear: Goyal et al. 2017), with a longer train.warmup_steps"
    )


def next_batch(batches: Iterator[Batch]) -> Batch:
    """The next batch; what went wrong in a worker process is a ValueError in words instead of two tracebacks."""
    try:
        return next(batches)
    except (ValueError, OSError) as error:
        raise ValueError(str(error).rstrip().splitlines()[-1]) from error
    except RuntimeError as error:
        if not any(part in str(error) for part in ("DataLoader worker", "Pin memory thread")):
            raise
        raise ValueError(
            f"a process that prepares images died ({str(error).splitlines()[0]}). Is memory, or shared memory "
            "(/dev/shm), too small? Set data.num_workers: 0 to do without these processes"
        ) from error


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that fills when Ctrl-C or SIGTERM asks to stop: the step in progress ends and is saved. A second Ctrl-C
    does not wait."""
    received: list[int] = []

    def note(number: int, _: object) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
