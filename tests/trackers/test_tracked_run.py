"""Trackers are told every step once, by fakes here and by the real libraries where they are installed."""

import json
import sys
from pathlib import Path

import pytest

from textspot.engine.log import RunLog
from textspot.extras import MissingExtraError
from textspot.trackers import TRACKERS
from textspot.trackers.tracked_run import RECORD, TrackedRun, TrackerError, flatten

SETTINGS = {"train": {"steps": 10, "reinitialize": ()}, "seed": 1}


class Fake:
    """Keeps what it is told, by run."""

    def __init__(self, name, id, settings):
        self.id = id or f"{name}-{len(self.told)}"
        self.told.setdefault(self.id, [])
        self.settings.append(dict(settings))

    def log(self, step, values):
        if values.get("fails"):
            raise RuntimeError("no answer")
        self.told[self.id].append((step, dict(values)))

    def close(self, ended_well):
        self.ended.append(ended_well)


@pytest.fixture
def fake(monkeypatch):
    class Kept(Fake):
        told, settings, ended = {}, [], []

    monkeypatch.setitem(TRACKERS, "mlflow", Kept)
    return Kept


def write_log(folder: Path, first_step: int, steps: range, kinds=("mlflow",)) -> None:
    log = RunLog(folder, first_step, 10, True, TrackedRun(kinds, folder, SETTINGS, first_step))
    with log.open():
        for step in steps:
            log.event("train", step, {"loss": step / 2, "findings": ["words"]})
            log.event("evaluate", step, {"hmean": step / 4})


def test_a_resumed_run_repeats_no_step(fake, tmp_path):
    folder = tmp_path / "mine"
    write_log(folder, 0, range(1, 5))
    write_log(folder, 3, range(4, 7))  # the checkpoint is that of step 3
    (told,) = fake.told.values()
    assert [step for step, _ in told] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert told[:2] == [(1, {"loss": 0.5}), (1, {"hmean": 0.25})]
    assert fake.settings[0] == {"train.steps": 10, "train.reinitialize": (), "seed": 1}
    assert fake.ended == [True, True]


def test_a_run_that_starts_anew_is_another(fake, tmp_path):
    for _ in range(2):
        write_log(tmp_path, 0, range(1, 3))
    assert [len(told) for told in fake.told.values()] == [4, 4]


def test_a_run_that_fails_is_told_so(fake, tmp_path):
    log = RunLog(tmp_path, 0, 10, True, TrackedRun(["mlflow"], tmp_path, SETTINGS, 0))
    with pytest.raises(ValueError, match="not finite"), log.open():
        raise ValueError("not finite")
    assert fake.ended == [False]


def test_a_tracker_that_fails_costs_its_figures_alone(fake, tmp_path, capsys):
    log = RunLog(tmp_path, 0, 10, False, TrackedRun(["mlflow"], tmp_path, SETTINGS, 0))
    with log.open():
        log.event("train", 1, {"fails": 1})
        log.event("train", 2, {"loss": 1})
    assert "mlflow: step 1 cannot be tracked, nor what follows (no answer)" in capsys.readouterr().out
    assert list(fake.told.values()) == [[]]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_a_tracker_that_takes_no_run_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(TRACKERS, "wandb", lambda *_: 1 / 0)
    with pytest.raises(TrackerError, match="wandb: the run cannot be tracked"):
        TrackedRun(["wandb"], tmp_path, SETTINGS, 0)


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_package_that_is_missing_is_named(kind, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'textspot\[{kind}\]'"):
        TrackedRun([kind], tmp_path, SETTINGS, 0)


def test_no_tracker_leaves_no_record(tmp_path):
    write_log(tmp_path, 0, range(1, 2), kinds=())
    assert not (tmp_path / RECORD).exists()


def test_nested_settings_have_dotted_names():
    assert dict(flatten({"a": {"b": {"c": 1}}, "d": 2})) == {"a.b.c": 1, "d": 2}
    assert dict(flatten({})) == {}


@pytest.mark.slow
def test_mlflow_on_sqlite(monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs pip install 'textspot[mlflow]'")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    folder = tmp_path / "mine"
    write_log(folder, 0, range(1, 5))
    write_log(folder, 3, range(4, 7))
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("textspot").experiment_id])
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert run.data.params == {"train.steps": "10", "train.reinitialize": "()", "seed": "1"}
    assert [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")] == [
        (step, step / 2) for step in range(1, 7)
    ]


@pytest.mark.slow
def test_wandb_offline(monkeypatch, tmp_path):
    pytest.importorskip("wandb", reason="needs pip install 'textspot[wandb]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    write_log(tmp_path / "mine", 0, range(1, 5), ["wandb"])
    write_log(tmp_path / "mine", 3, range(4, 7), ["wandb"])
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len({run.name.rpartition("-")[2] for run in runs}) == 1  # one id
    assert json.loads((tmp_path / "mine" / RECORD).read_text())["wandb"]["steps"] == {"train": 6, "evaluate": 6}


@pytest.mark.slow
def test_trackio_on_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # which it reads when it is imported
    pytest.importorskip("trackio", reason="needs pip install 'textspot[trackio]'")
    write_log(tmp_path / "mine", 0, range(1, 5), ["trackio"])
    write_log(tmp_path / "mine", 3, range(4, 7), ["trackio"])
    assert list((tmp_path / "trackio").rglob("*.db"))
