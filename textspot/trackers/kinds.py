"""One class for each tracker. Where the figures go, and under which project, its own variables say:
`MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME`, `WANDB_PROJECT` and `WANDB_MODE`, `TRACKIO_PROJECT`."""

import os
import re
from collections.abc import Mapping
from typing import Any, Protocol

PROJECT = "textspot"  # unless a variable names another
MOST_PARAMETERS, MOST_CHARACTERS = 100, 500  # of one request to MLflow, and of one parameter


class Tracker(Protocol):
    """A run in a tracker: a new one, or the one of an `id` that an earlier process began."""

    id: str

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a step."""
        ...

    def close(self, ended_well: bool) -> None:
        """Send what is left; nothing follows."""
        ...


class MlflowTracker:
    """A run of MLflow."""

    def __init__(self, name: str, id: str | None, settings: Mapping[str, Any]):
        import mlflow

        self._mlflow = mlflow
        if id is None and "MLFLOW_EXPERIMENT_NAME" not in os.environ:
            mlflow.set_experiment(PROJECT)
        self.id = mlflow.start_run(run_id=id, run_name=name).info.run_id
        if id is None:
            parameters = [(key, str(value)[:MOST_CHARACTERS]) for key, value in settings.items()]
            for start in range(0, len(parameters), MOST_PARAMETERS):
                mlflow.log_params(dict(parameters[start : start + MOST_PARAMETERS]))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        allowed = {re.sub(r"[^\w\-./ :]", "_", name): value for name, value in values.items()}
        self._mlflow.log_metrics(allowed, step=step)

    def close(self, ended_well: bool) -> None:
        self._mlflow.end_run("FINISHED" if ended_well else "FAILED")


class WandbTracker:
    """A run of Weights & Biases."""

    def __init__(self, name: str, id: str | None, settings: Mapping[str, Any]):
        import wandb

        project = os.environ.get("WANDB_PROJECT", PROJECT)
        self._run = wandb.init(project=project, name=name, id=id, resume="allow", config=dict(settings))
        self.id = self._run.id

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self, ended_well: bool) -> None:
        self._run.finish(exit_code=0 if ended_well else 1)


class TrackioTracker:
    """A run of trackio, which knows runs by their names."""

    def __init__(self, name: str, id: str | None, settings: Mapping[str, Any]):
        import trackio

        self._trackio = trackio
        project = os.environ.get("TRACKIO_PROJECT", PROJECT)
        resume = "never" if id is None else "must"
        self.id = trackio.init(project=project, name=id or name, resume=resume, config=dict(settings)).name

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log(dict(values), step=step)

    def close(self, ended_well: bool) -> None:  # noqa: ARG002  # it knows no runs that failed
        self._trackio.finish()
