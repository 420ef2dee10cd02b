"""What trackers are told of a run: every step once, however often the run is killed and resumed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from textspot.atomic_file import write_text
from textspot.extras import name_extras
from textspot.trackers import TRACKERS

RECORD = "trackers.json"  # in the run's folder: of each tracker the run's id, and the last step of each kind of event


class TrackerError(OSError):
    """A tracker that takes no run."""


class TrackedRun:
    """A run in the trackers of these kinds.

    A run that resumes from `first_step` goes on in each tracker as the run it was there. What it repeats since its
    checkpoint is not sent again: the record of a step is written before the step is sent, so that a kill in between
    loses it there at worst. A tracker that fails later costs its own figures, not the run.
    """

    def __init__(self, kinds: Sequence[str], folder: Path, settings: Mapping[str, Any], first_step: int):
        self._file = folder / RECORD
        self._records: dict[str, Any] = _read(self._file) if first_step else {}
        flat = dict(flatten(settings))
        self._open = {}
        for kind in kinds:
            record = self._records.setdefault(kind, {"id": None, "steps": {}})
            with name_extras():
                try:
                    self._open[kind] = TRACKERS[kind](folder.name, record["id"], flat)
                except ImportError:
                    raise
                except Exception as error:  # trackers raise whatever their parts do
                    raise TrackerError(f"{kind}: the run cannot be tracked ({error})") from error
            record["id"] = self._open[kind].id
        self._write()

    def log(self, event: str, step: int, values: Mapping[str, float]) -> list[str]:
        """Send the figures of an event, unless they were sent; complaints about trackers that failed."""
        complaints = []
        for kind, tracker in list(self._open.items()):
            steps = self._records[kind]["steps"]
            if step <= steps.get(event, -1):
                continue
            steps[event] = step
            self._write()
            try:
                tracker.log(step, values)
            except Exception as error:
                del self._open[kind]
                complaints.append(f"{kind}: step {step} cannot be tracked, nor what follows ({error})")
        return complaints

    def close(self, ended_well: bool) -> None:
        """End the run in every tracker."""
        for tracker in self._open.values():
            tracker.close(ended_well)

    def _write(self) -> None:
        if self._records:
            write_text(self._file, json.dumps(self._records, indent=1))


def flatten(settings: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dictionaries by dotted names."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
