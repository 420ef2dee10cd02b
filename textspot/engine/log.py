"""What a run tells: a progress bar or plain lines, TensorBoard, one JSON line per event, and experiment trackers."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from textspot.atomic_file import write_text
from textspot.trackers.tracked_run import TrackedRun

LOG_FILE = "log.jsonl"
SECONDS_BETWEEN_LINES = 15.0


class RunLog:
    """The log of one process of a run, of which only the first is not `quiet`.

    A resumed run forgets what an earlier one wrote after the step it resumes from.
    """

    def __init__(
        self, folder: Path, first_step: int, steps: int, quiet: bool = False, tracked: TrackedRun | None = None
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.console = Console(quiet=quiet)
        self.steps = steps
        self._tracked = tracked
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)
        self._file = _reopen(folder / LOG_FILE, first_step)
        self._last_line = 0.0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("training", total=steps, completed=first_step, terms="")

    @contextmanager
    def open(self) -> Iterator["RunLog"]:
        """Show the progress bar; at the end everything is on the disk."""
        ended_well = False
        with nullcontext() if self._progress.disable else self._progress:  # hidden, that of rich 13 writes a line
            try:
                yield self
                ended_well = True
            finally:
                self._file.close()
                self._board.close()
                if self._tracked:
                    self._tracked.close(ended_well)

    def event(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """One JSON line; numbers also go to TensorBoard, and to the trackers, under their names."""
        self._file.write(json.dumps({"event": kind, "step": step, **values}) + "\n")
        self._file.flush()
        numbers = {name: value for name, value in values.items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)
        if self._tracked and numbers:
            for complaint in self._tracked.log(kind, step, numbers):
                self.say(complaint)

    def training(self, step: int, values: Mapping[str, float]) -> None:
        """The mean loss terms since the last call, and times."""
        self.event("train", step, values)
        shown = "  ".join(f"{name} {value:.3g}" for name, value in values.items() if not name.startswith("dropped/"))
        self._progress.update(self._task, completed=step, terms=shown)
        if self._progress.disable and (
            time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES or step == self.steps
        ):
            self._last_line = time.monotonic()
            self.say(f"step {step}/{self.steps}  {shown}")

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """An RGB picture for TensorBoard."""
        self._board.add_image(name, image, step, dataformats="HWC")

    def say(self, words: str) -> None:
        """A line for the person who waits."""
        self.console.print(words, highlight=False, markup=False, soft_wrap=True)


def _reopen(path: Path, first_step: int) -> Any:
    """Open a log to append, without the lines after `first_step` and without a line that a kill cut short; a run that
    starts has nothing to keep."""
    kept = []
    if first_step and path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                break
            if event["step"] <= first_step:
                kept.append(line + "\n")
    write_text(path, "".join(kept))
    return open(path, "a", encoding="utf-8")
