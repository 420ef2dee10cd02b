"""The folder of a run: who trains there, what an evaluation leaves in it, and all that a restart needs."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from textspot.checkpoint import save_model
from textspot.data.lmdb_records import Reader
from textspot.engine.distributed import World
from textspot.engine.evaluate import THRESHOLD_PROTOCOL, Further, evaluate_further, validate
from textspot.engine.log import RunLog
from textspot.engine.pictures import write_png
from textspot.engine.state import TrainerState, share_newest
from textspot.inference.spotter import Spotter
from textspot.model_card import MODEL_FILE, ModelCard
from textspot.recipe import Recipe
from textspot.runtime.torch_runtime import TorchRuntime
from textspot.trackers.tracked_run import TrackedRun
from textspot.visualize import draw_prediction

STATE_FILE = "trainer.pt"
NUM_PICTURES = 8
MAIN_FIGURES = ("hmean", "word_accuracy_case_insensitive")  # named on the terminal


@contextmanager
def sole_trainer(folder: Path) -> Iterator[None]:
    """Hold the run's folder; a ValueError if another process trains there.

    The lock is the process's own (POSIX): workers do not inherit it, so a killed run can be started again at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"{folder}: another process trains here; wait for it, or choose another folder with --run"
            ) from error
        yield


class RunFolder:
    """The folder of a recipe's run as one of its processes sees it: the first one writes, the others keep a log.

    `data` holds the identities of the data sets by their keys in the recipe.
    """

    def __init__(self, recipe: Recipe, world: World, data: Mapping[str, str]):
        self.recipe, self.world, self.data = recipe, world, data
        self.path = Path(recipe.run)
        self.weights = self.path / "last" / MODEL_FILE
        self.state_file = self.path / "last" / STATE_FILE

    @contextmanager
    def log(self, step: int) -> Iterator[RunLog]:
        """The log of this process, from a step on."""
        is_first = self.world.is_first
        folder = self.path if is_first else self.path / "logs" / f"process_{self.world.rank}"
        trackers = self.recipe.train.trackers if is_first else ()
        tracked = TrackedRun(trackers, self.path, self.recipe.to_dict(), step)
        log = RunLog(folder, step, self.recipe.train.steps, not is_first, tracked)
        with log.open():
            yield log

    def restore(self, state: TrainerState) -> list[str] | None:
        """Go on from the newest checkpoint: remarks about it, or None if there is none."""
        remarks = share_newest(self.world, self.state_file)
        if not self.state_file.exists():
            return None
        return remarks + state.restore(self.state_file, self.recipe, self.world.size, self.data)

    def save(self, state: TrainerState) -> None:
        """Write the averaged weights and all that a restart needs; that comes second, so that a kill in between
        repeats some steps instead of leaving weights that are older than the state says."""
        if self.world.is_first:
            self._save_weights("last", state)
            state.save(self.state_file, self.recipe, self.world.size, self.data)

    def evaluate(self, state: TrainerState, validation: Reader, further: Further, log: RunLog) -> None:
        """Figures on the validation images by the averaged weights, pictures of them, and a copy of the best
        weights."""
        if self.world.is_first:
            spotter = Spotter(TorchRuntime(state.averaged_network, self.world.device), self._card(state))
            evaluation = validate(spotter, validation)
            spotter.threshold = state.threshold = evaluation.threshold
            state.figures = evaluation.figures | evaluate_further(spotter, further)
            log.event("evaluate", state.step, {**state.figures, "threshold": state.threshold})
            main = (f"{name} {value:.3f}" for name, value in state.figures.items() if name.endswith(MAIN_FIGURES))
            log.say(f"step {state.step}: " + "  ".join(main))
            self._show(spotter, validation, state.step, log)
            hmean = state.figures["icdar2015/end_to_end/hmean"]
            if hmean > state.best:
                state.best = hmean
                self._save_weights("best", state)
        self.world.wait()

    def _show(self, spotter: Spotter, validation: Reader, step: int, log: RunLog) -> None:
        for number in range(min(NUM_PICTURES, len(validation))):
            image = validation.sample(number).image
            picture = draw_prediction(image, spotter.predict([image])[0])
            log.picture(f"validation/{number}", step, picture)
            write_png(self.path / "pictures" / f"validation_{number}.png", picture)

    def _save_weights(self, name: str, state: TrainerState) -> None:
        save_model(self.path / name / MODEL_FILE, state.averaged_network.state_dict(), self._card(state))

    def _card(self, state: TrainerState) -> ModelCard:
        protocol = THRESHOLD_PROTOCOL if state.figures else ""
        return ModelCard(self.recipe.to_dict(), state.threshold, state.step, state.figures, protocol)
