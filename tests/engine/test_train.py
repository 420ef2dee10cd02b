import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_runs import drawing, interrupt_after

from textspot.checkpoint import CheckpointError, load_model
from textspot.data.dataset import SourceConfig
from textspot.data.synthetic.draw import StreamConfig
from textspot.engine.run_folder import sole_trainer
from textspot.engine.state import TrainerState, changed_keys
from textspot.engine.train import TrainingResult, train
from textspot.models.choice import Choice
from textspot.models.crnn import RecurrentConfig
from textspot.models.rfcn_head import RfcnConfig
from textspot.models.text_pooling import ProportionalRoiConfig
from textspot.recipe import Recipe
from textspot.text.charset import TextConfig

ROOT = Path(__file__).parents[2]


def log_without_times(folder: Path) -> list[dict]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in lines]


def brief(recipe: Recipe) -> Recipe:
    """The recipe up to the first line of the log."""
    return replace(recipe, train=replace(recipe.train, steps=3))


def command_line(recipe: Recipe, folder: Path, launcher: tuple[str, ...] = ()) -> list[str]:
    config = folder / "recipe.yaml"
    config.write_text(yaml.safe_dump(recipe.to_dict()))
    return [sys.executable, *launcher, str(ROOT / "tools" / "train.py"), "--config", str(config)]


@pytest.mark.slow
def test_a_run_leaves_weights_log_pictures_and_a_card(tiny_run: tuple[Recipe, TrainingResult]) -> None:
    recipe, result = tiny_run
    folder = Path(recipe.run)
    assert result.finished
    assert result.weights == folder / "last" / "model.safetensors"
    network, card = load_model(result.weights)
    assert not network.training
    assert (card.recipe, card.step) == (recipe.to_dict(), 12)
    assert card.metrics == result.figures
    assert card.threshold_protocol == "icdar2015/end_to_end"
    assert (folder / "best" / "model.safetensors").exists()
    assert len(list((folder / "pictures").glob("validation_*.png"))) == 2
    events = log_without_times(folder)
    assert [event["step"] for event in events if event["event"] == "train"] == [3, 6, 9, 12]
    assert [event["step"] for event in events if event["event"] == "evaluate"] == [6, 12]
    assert {"det/score", "det/geometry", "rec/ctc", "rec/blank_rate", "learning_rate"} <= events[0].keys()
    assert list((folder / "tensorboard").iterdir())


@pytest.mark.slow
def test_two_runs_of_one_seed_agree_in_all_but_times(
    tiny_recipe: Recipe, tiny_run: tuple[Recipe, TrainingResult]
) -> None:
    train(replace(tiny_recipe, data=replace(tiny_recipe.data, num_workers=1)))
    assert log_without_times(Path(tiny_recipe.run)) == log_without_times(Path(tiny_run[0].run))


@pytest.mark.slow
def test_a_term_of_weight_zero_is_absent_from_the_log(tiny_recipe: Recipe) -> None:
    train(replace(brief(tiny_recipe), loss={**tiny_recipe.loss, "rec/ctc": 0.0}))
    assert all("rec/ctc" not in event for event in log_without_times(Path(tiny_recipe.run)))


@pytest.mark.slow
def test_predicted_regions_change_nothing_before_their_step(
    tiny_recipe: Recipe, tiny_run: tuple[Recipe, TrainingResult]
) -> None:
    later = replace(tiny_recipe.train, predicted_regions=1.0, predicted_regions_from=12)
    plain = tiny_run[1].weights
    mixed = train(replace(tiny_recipe, train=later)).weights
    assert plain.read_bytes() != mixed.read_bytes()  # their recipes
    weights, others = load_file(plain), load_file(mixed)
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.slow
def test_images_without_any_word_train_the_detector(tiny_recipe: Recipe, tmp_path: Path) -> None:
    empty = SourceConfig(str(tmp_path / "empty"), draw=drawing(3, seed=3, empty_share=1.0))
    result = train(replace(brief(tiny_recipe), data=replace(tiny_recipe.data, train=(empty,))))
    assert all(event.get("rec/regions", 0) == 0 for event in log_without_times(Path(tiny_recipe.run)))
    assert all(torch.isfinite(tensor).all() for tensor in load_file(result.weights).values())


@pytest.mark.slow
def test_accumulated_passes_and_one_big_batch_see_the_same_images(tiny_recipe: Recipe, tmp_path: Path) -> None:
    settings = replace(brief(tiny_recipe).train, precision="float32")
    halves = replace(settings, batch_size=1, accumulation=2)
    train(replace(tiny_recipe, train=settings))
    train(replace(tiny_recipe, run=str(tmp_path / "halves"), train=halves))
    whole, parts = log_without_times(Path(tiny_recipe.run)), log_without_times(tmp_path / "halves")
    assert whole[0]["rec/regions"] == pytest.approx(2 * parts[0]["rec/regions"])


@pytest.mark.slow
def test_a_charset_that_misses_characters_stops_before_training(tiny_recipe: Recipe) -> None:
    recipe = replace(brief(tiny_recipe), text=TextConfig("ABC"))
    with pytest.raises(ValueError, match=r"the charset misses \d+ characters of the data: .*text.unknown: skip"):
        train(recipe)
    result = train(replace(recipe, text=TextConfig("ABC", unknown="skip")))
    assert result.finished
    assert any("dropped/character outside the charset" in e for e in log_without_times(Path(recipe.run)))


@pytest.mark.slow
def test_a_stream_is_drawn_while_training(tiny_recipe: Recipe, tmp_path: Path) -> None:
    """No data set is written, and the characters it may show are checked as those of any other source."""
    stream = SourceConfig(stream=StreamConfig(4, drawing(0, 0).renderer))
    before = set(tmp_path.iterdir())
    recipe = replace(brief(tiny_recipe), data=replace(tiny_recipe.data, train=(stream,)))
    with pytest.raises(ValueError, match="the charset misses 33 characters of the data: "):
        train(replace(recipe, text=TextConfig("ABC")))
    assert train(recipe).finished
    assert set(tmp_path.iterdir()) == before | {Path(recipe.run)}
    assert all(event["rec/regions"] > 3 for event in log_without_times(Path(recipe.run)) if event["event"] == "train")


def test_missing_and_empty_data_are_named(tiny_recipe: Recipe, tmp_path: Path) -> None:
    data = replace(tiny_recipe.data, train=(SourceConfig(str(tmp_path / "nowhere")),))
    with pytest.raises((ValueError, OSError), match="nowhere"):
        train(replace(tiny_recipe, data=data))
    data = replace(tiny_recipe.data, train=(SourceConfig(str(tmp_path / "none"), draw=drawing(0, seed=1)),))
    with pytest.raises(ValueError, match=r"no images to train on in .*none"):
        train(replace(tiny_recipe, data=data))


def test_drawn_data_that_no_longer_fits_the_recipe_is_refused(tiny_recipe: Recipe) -> None:
    data = replace(tiny_recipe.data, validation=SourceConfig(tiny_recipe.data.validation.path, draw=drawing(2, seed=9)))
    with pytest.raises(ValueError, match="validation: exists, and was not rendered as the recipe says"):
        train(replace(tiny_recipe, data=data))


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_validation_images_are_refused_before_training(tiny_recipe: Recipe, tmp_path: Path, count: int) -> None:
    data = replace(tiny_recipe.data, validation=SourceConfig(str(tmp_path / "few"), draw=drawing(count, seed=2)))
    with pytest.raises(ValueError, match=f"few: holds {count} images; .*at least 2"):
        train(replace(tiny_recipe, data=data))
    assert not (Path(tiny_recipe.run) / "log.jsonl").exists()


@pytest.mark.slow
def test_an_empty_folder_that_a_kill_left_is_drawn_into(tiny_recipe: Recipe) -> None:
    train_folder = Path(tiny_recipe.data.train[0].path)
    shutil.rmtree(train_folder)
    train_folder.mkdir()
    assert train(brief(tiny_recipe)).finished


@pytest.mark.slow
def test_a_kill_between_weights_and_state_repeats_the_steps(
    tiny_recipe: Recipe, tiny_run: tuple[Recipe, TrainingResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = TrainerState.save, []

    def die_at_the_last(self, *arguments):
        saved.append(self.step)
        if self.step == 12 and saved.count(12) == 1:
            raise KeyboardInterrupt
        save(self, *arguments)

    monkeypatch.setattr(TrainerState, "save", die_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe)
    assert train(tiny_recipe).finished
    assert saved == [4, 8, 12, 12]
    assert_same_runs(Path(tiny_run[0].run), Path(tiny_recipe.run))


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_is_explained(tiny_recipe: Recipe) -> None:
    with pytest.raises(ValueError, match=r"step \d+: the gradient is not finite .*lower train.learning_rate"):
        train(replace(tiny_recipe, loss={**tiny_recipe.loss, "rec/ctc": float("inf")}))


@pytest.mark.slow
def test_a_finished_run_that_is_started_again_says_so(
    finished: Recipe, tiny_run: tuple[Recipe, TrainingResult]
) -> None:
    weights = Path(finished.run) / tiny_run[1].weights.relative_to(tiny_run[0].run)
    assert train(finished) == replace(tiny_run[1], weights=weights)
    assert train(replace(finished, train=replace(finished.train, steps=6))).finished


@pytest.mark.slow
def test_two_trainers_do_not_share_a_folder(finished: Recipe) -> None:
    processes = multiprocessing.get_context("fork")  # which has torch already
    held, done = processes.Event(), processes.Event()

    def hold() -> None:
        with sole_trainer(Path(finished.run)):
            held.set()
            done.wait()

    other = processes.Process(target=hold)
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(ValueError, match="another process trains here"):
            train(finished)
    finally:
        done.set()
        other.join()
    assert train(finished).finished


def test_another_number_of_processes_is_a_warning(tiny_recipe: Recipe, tmp_path: Path) -> None:
    state = TrainerState.build(tiny_recipe, torch.device("cpu"))
    state.save(tmp_path / "trainer.pt", tiny_recipe, world_size=2)
    assert state.restore(tmp_path / "trainer.pt", tiny_recipe, world_size=2) == []
    (warning,) = state.restore(tmp_path / "trainer.pt", tiny_recipe, world_size=1)
    assert warning.startswith("2 processes then, 1 now")


@pytest.mark.slow
def test_another_recipe_in_the_same_folder_is_refused(finished: Recipe) -> None:
    with pytest.raises(CheckpointError, match=r"written with another recipe: train.learning_rate changed"):
        train(replace(finished, train=replace(finished.train, learning_rate=0.5)))


@pytest.mark.slow
def test_a_data_set_that_was_moved_is_the_same_and_another_is_not(finished: Recipe, tmp_path: Path) -> None:
    """What tells data sets apart is what they hold, not where they lie."""
    (source,), validation = finished.data.train, finished.data.validation
    shutil.move(source.path, tmp_path / "moved")
    shutil.copytree(validation.path, tmp_path / "copied")
    data = replace(
        finished.data,
        train=(replace(source, path=str(tmp_path / "moved")),),
        validation=replace(validation, path=str(tmp_path / "copied")),
    )
    assert train(replace(finished, data=data)).finished
    swapped = replace(finished.data, train=(replace(source, path=validation.path, draw=None),))
    with pytest.raises(CheckpointError, match=r"written with other images: train\[0\] holds another data set now"):
        train(replace(finished, data=swapped))
    assert train(finished).finished  # drawn again where it lay: the same images


@pytest.mark.slow
def test_another_batch_size_goes_on_with_a_warning(tiny_recipe: Recipe, capsys) -> None:
    train(brief(tiny_recipe))
    config = replace(tiny_recipe.train, steps=4, batch_size=tiny_recipe.train.batch_size + 1)
    assert train(replace(tiny_recipe, train=config)).finished
    said = capsys.readouterr().out
    assert "train.batch_size changed since the checkpoint: the run no longer equals one without a break" in said


@pytest.mark.slow
def test_a_truncated_trainer_state_is_named(finished: Recipe) -> None:
    state = Path(finished.run) / "last" / "trainer.pt"
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"trainer.pt: cannot be read .*Delete it"):
        train(finished)
    torch.save({"model": 1}, state)
    with pytest.raises(CheckpointError, match=r"trainer.pt: not the state of a training run"):
        train(finished)


def test_trainer_state_holds_plain_data(tiny_recipe: Recipe, tmp_path: Path) -> None:
    state = TrainerState.build(tiny_recipe, torch.device("cpu"))
    state.save(tmp_path / "trainer.pt", tiny_recipe)
    values = torch.load(tmp_path / "trainer.pt", weights_only=True)
    assert values["recipe"] == tiny_recipe.to_dict()


def test_changed_keys_names_what_differs() -> None:
    assert changed_keys({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 3}) == ["a.c", "d", "e"]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"doctor_every": 2}, {"predicted_regions": 0.5, "predicted_regions_from": 3}])
def test_ctrl_c_saves_and_the_run_goes_on_bit_for_bit(tiny_recipe: Recipe, tmp_path: Path, changes: dict) -> None:
    tiny_recipe = replace(tiny_recipe, train=replace(tiny_recipe.train, steps=9, **changes))
    broken = replace(tiny_recipe, run=str(tmp_path / "broken"))
    interrupt_after(5, broken)
    assert train(broken).finished
    train(tiny_recipe)
    assert_same_runs(Path(tiny_recipe.run), Path(broken.run))


@pytest.mark.slow
def test_so_does_the_system_of_the_paper(tiny_recipe: Recipe, tmp_path: Path) -> None:
    """R-FCN chooses its examples without chance; so a run that stopped goes on as if it had not."""
    model = replace(
        tiny_recipe.model,
        detector=Choice("rfcn", RfcnConfig(anchor_sizes=(16.0, 32.0), max_proposals=50)),
        recognizer=Choice("crnn", RecurrentConfig(**vars(tiny_recipe.model.recognizer.settings))),
        roi=Choice("proportional", ProportionalRoiConfig(width=64)),
    )
    recipe = replace(tiny_recipe, model=model, train=replace(tiny_recipe.train, steps=9))
    broken = replace(recipe, run=str(tmp_path / "broken"))
    interrupt_after(5, broken)
    assert train(broken).finished
    train(recipe)
    assert_same_runs(Path(recipe.run), Path(broken.run))
    events = log_without_times(Path(recipe.run))
    assert {"rpn/score", "rpn/geometry", "det/score", "det/geometry", "rec/ctc"} <= events[0].keys()


def assert_same_runs(whole: Path, broken: Path) -> None:
    """Weights, optimiser, averages, progress and log, to the last bit."""
    expected = torch.load(whole / "last" / "trainer.pt", weights_only=True)
    found = torch.load(broken / "last" / "trainer.pt", weights_only=True)
    assert found["progress"] == expected["progress"]
    for name in ("network", "average", "optimizer", "random"):
        left = torch.utils._pytree.tree_leaves(expected[name])
        right = torch.utils._pytree.tree_leaves(found[name])
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    weights, others = load_file(whole / "last" / "model.safetensors"), load_file(broken / "last" / "model.safetensors")
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert log_without_times(whole) == log_without_times(broken)


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)])
def test_a_killed_run_goes_on_bit_for_bit(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: int, status: int
) -> None:
    """The signal reaches the workers too, as that of a job scheduler does."""
    recipe = replace(
        tiny_recipe, train=replace(tiny_recipe.train, steps=21), data=replace(tiny_recipe.data, num_workers=1)
    )
    broken = replace(recipe, run=str(tmp_path / "broken"))
    command = command_line(broken, tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # sums of two threads are where runs drift apart
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 240
    while not (tmp_path / "broken" / "last" / "trainer.pt").exists():
        assert run.poll() is None, "the run ended before its first checkpoint"
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.005)
    os.killpg(run.pid, sent)
    assert run.wait() == status
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "read your own photograph with" in again.stdout
    subprocess.run(command_line(recipe, tmp_path), check=True, stdout=subprocess.DEVNULL)
    assert_same_runs(Path(recipe.run), Path(broken.run))


@pytest.mark.slow
def test_torchrun_trains_with_two_processes(tiny_recipe: Recipe, tmp_path: Path) -> None:
    """Half of the images hold no word, so that now and then one process has nothing to read."""
    data = replace(
        tiny_recipe.data,
        train=(
            *tiny_recipe.data.train,
            SourceConfig(str(tmp_path / "empty"), draw=drawing(3, seed=3, empty_share=1.0)),
        ),
    )
    settings = replace(tiny_recipe.train, batch_size=1, doctor_every=3, predicted_regions=0.5)
    recipe = replace(tiny_recipe, data=data, train=settings)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run = subprocess.run(command_line(recipe, tmp_path, launcher), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    _, card = load_model(Path(recipe.run) / "last" / "model.safetensors")
    assert card.step == 12


@pytest.mark.slow
def test_a_compiled_network_trains_the_same_weights(tiny_recipe: Recipe, tmp_path: Path) -> None:
    settings = replace(tiny_recipe.train, steps=2, precision="float32", save_every=2, evaluate_every=2, doctor_every=1)
    train(replace(tiny_recipe, train=settings))
    train(replace(tiny_recipe, run=str(tmp_path / "compiled"), train=replace(settings, compile=True)))
    eager, compiled = (
        load_file(Path(run) / "last" / "model.safetensors") for run in (tiny_recipe.run, tmp_path / "compiled")
    )
    assert eager.keys() == compiled.keys()
    for name, tensor in eager.items():
        torch.testing.assert_close(compiled[name], tensor, atol=2e-3, rtol=1e-2)
