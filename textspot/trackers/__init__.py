"""Experiment trackers, which get the figures of a run besides its own log. Each needs its own package."""

from collections.abc import Callable, Mapping
from typing import Any

from textspot.trackers.kinds import MlflowTracker, Tracker, TrackioTracker, WandbTracker

# Each from the run's name, its id in the tracker (None for a new run) and its settings by dotted name.
TRACKERS: dict[str, Callable[[str, str | None, Mapping[str, Any]], Tracker]] = {
    "mlflow": MlflowTracker,
    "trackio": TrackioTracker,
    "wandb": WandbTracker,
}
