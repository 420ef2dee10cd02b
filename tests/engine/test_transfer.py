"""Fine-tuning: what is taken over from given weights, what begins anew, and what is refused."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_train import assert_same_runs
from tiny_runs import CHARACTERS, drawing
from torch import Tensor

from textspot.checkpoint import load_model, save_model
from textspot.data.lmdb_records import Reader
from textspot.data.synthetic.draw import draw_dataset
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.engine.evaluate import Further, evaluate_further, validate
from textspot.engine.state import TrainerState
from textspot.engine.train import train
from textspot.engine.transfer import NATS_BEHIND, take_over
from textspot.inference.spotter import Spotter, find_weights, load
from textspot.model_card import CheckpointError, ModelCard
from textspot.models.choice import Choice
from textspot.models.neck import NeckConfig
from textspot.recipe import Recipe, TrainConfig, build_spotting_network, network_recipe_from_dict
from textspot.runtime.torch_runtime import TorchRuntime
from textspot.text.charset import LATIN, TextConfig

CPU = torch.device("cpu")


@pytest.fixture
def given(tiny_recipe: Recipe, tmp_path: Path) -> str:
    """Weights of another seed, with BatchNorm statistics that are no longer those of a new network."""
    torch.manual_seed(7)
    network = build_spotting_network(tiny_recipe)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    path = tmp_path / "given" / "last" / "model.safetensors"
    save_model(path, network.state_dict(), ModelCard(tiny_recipe.to_dict(), step=70))
    return str(tmp_path / "given")


def tensors_of(given: str) -> dict[str, Tensor]:
    return load_file(Path(given) / "last" / "model.safetensors")


def tuned(recipe: Recipe, given: str, **changes: object) -> Recipe:
    return replace(recipe, train=replace(recipe.train, init_from=given, **changes))


def start(recipe: Recipe) -> tuple[TrainerState, list[str]]:
    state = TrainerState.build(recipe, CPU)
    return state, state.start_from(recipe.train.init_from, recipe)


def events(recipe: Recipe, kind: str) -> list[dict]:
    lines = map(json.loads, (Path(recipe.run) / "log.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == kind]


def test_everything_is_taken_over_where_the_recipes_agree(tiny_recipe: Recipe, given: str) -> None:
    state, report = start(tuned(tiny_recipe, given))
    for network in (state.network, state.averaged_network):
        found = network.state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors_of(given).items())
    assert report == [
        f"{given}: the weights of its step 70 are where this run starts",
        "characters whose classes are taken over: 36 of 36",
    ]


def test_another_language_is_reported(tiny_recipe: Recipe, given: str) -> None:
    english = replace(tiny_recipe, postprocess=replace(tiny_recipe.postprocess, language="english"))
    _, report = start(tuned(english, given))
    assert report[2:] == ["the language was no language and is english here: see postprocess.language"]


@pytest.mark.parametrize(
    ("characters", "shared", "new", "left"),
    [
        ("é" + CHARACTERS[::-1] + "ß", CHARACTERS, "éß", ""),
        ("C0A", "C0A", "", "".join(c for c in CHARACTERS if c not in "C0A")),
        ("xyA", "A", "xy", "".join(c for c in CHARACTERS if c != "A")),
        ("xy", "", "xy", CHARACTERS),
    ],
    ids=["larger, in another order", "smaller", "overlapping", "apart"],
)
def test_classes_follow_their_characters(
    tiny_recipe: Recipe, given: str, characters: str, shared: str, new: str, left: str
) -> None:
    recipe = replace(tuned(tiny_recipe, given), text=TextConfig(characters))
    state, report = start(recipe)
    found, theirs = state.network.state_dict(), tensors_of(given)
    for name in ("recognizer.classifier.weight", "recognizer.classifier.bias"):
        assert torch.equal(found[name][0], theirs[name][0])
        for number, character in enumerate(characters, 1):
            known = character in CHARACTERS
            expected = theirs[name][1 + CHARACTERS.index(character)] if known else torch.tensor(0.0)
            if not known and name.endswith("bias"):
                expected = torch.tensor(-NATS_BEHIND)
            assert (found[name][number] == expected).all(), character
    assert all(torch.equal(found[name], theirs[name]) for name in found if "classifier" not in name)
    assert report[1] == f"characters whose classes are taken over: {len(shared)} of {len(characters)}"
    assert (f"characters the weights do not know, which begin anew: {new}" in report) == bool(new)
    assert (f"characters the weights know and the recipe leaves out: {left}" in report) == bool(left)


def test_a_new_character_begins_as_the_one_it_looks_like(tiny_recipe: Recipe, given: str) -> None:
    recipe = replace(tuned(tiny_recipe, given), text=TextConfig("ÉØ" + CHARACTERS))
    state, report = start(recipe)
    found, theirs = state.network.state_dict(), tensors_of(given)
    for number, known in enumerate("EO", 1):
        row = 1 + CHARACTERS.index(known)
        weight, bias = (f"recognizer.classifier.{name}" for name in ("weight", "bias"))
        assert torch.equal(found[weight][number], theirs[weight][row])
        assert found[bias][number] == theirs[bias][row] - NATS_BEHIND
    assert "characters the weights do not know, which begin as those they look like: ÉØ" in report


@pytest.mark.slow
def test_latin_reads_ascii_as_the_weights_it_starts_from(tiny_recipe: Recipe) -> None:
    """The classes of spotter-s stand at other places, and no new one wins before it is trained."""
    weights, card = load_model(find_weights(Path("spotter-s")))
    parts = network_recipe_from_dict(card.recipe, "spotter-s")
    text = TextConfig("latin", unknown="skip")
    recipe = replace(tiny_recipe, text=text, model=parts.model, preprocess=parts.preprocess)
    network = build_spotting_network(recipe)
    report = take_over(network, recipe, "spotter-s")
    assert report[1] == f"characters whose classes are taken over: 94 of {len(LATIN)}"
    image = Renderer(RendererConfig(layout="sheet", height=320, width=320, max_text_height=20, degrade=0)).render(5, 1)
    old = Spotter(TorchRuntime(weights, CPU), card)
    new = Spotter(TorchRuntime(network.eval(), CPU), replace(card, recipe=recipe.to_dict()))
    for spotter in (old, new):
        spotter.language = None
    texts = [text for text, _ in old.read(image.image, image.polygons)]
    assert [text for text, _ in new.read(image.image, image.polygons)] == texts
    assert len(set(texts)) > 15


def test_another_width_is_refused_unless_its_parts_begin_anew(tiny_recipe: Recipe, given: str) -> None:
    wider = replace(tuned(tiny_recipe, given), model=replace(tiny_recipe.model, neck=NeckConfig(24)))
    state = TrainerState.build(wider, CPU)
    before = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"detector\.geometry\.weight has shape \(16, 16, 1, 1\).*reinitialize"):
        state.start_from(given, wider)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.network.state_dict().items())

    state, report = start(replace(wider, train=replace(wider.train, reinitialize=("neck", "detector", "recognizer"))))
    theirs = tensors_of(given)
    for name, tensor in state.network.state_dict().items():
        assert torch.equal(tensor, theirs[name] if name.startswith(("backbone.", "normalize.")) else before[name]), name
    assert report[1:] == ["begin anew, as train.reinitialize says: neck, detector, recognizer"]


def test_a_deeper_network_starts_as_what_the_weights_are(tiny_recipe: Recipe, given: str) -> None:
    model = tiny_recipe.model
    plain = replace(model, roi=Choice("stretched", replace(model.roi.settings, taps=(2,))))
    file = find_weights(Path(given))
    save_model(
        file,
        build_spotting_network(replace(tiny_recipe, model=plain)).state_dict(),
        ModelCard(replace(tiny_recipe, model=plain).to_dict()),
    )
    slim = model.backbone.settings
    deeper = replace(
        model,
        backbone=Choice("slim_resnet", replace(slim, blocks=(3, *slim.blocks[1:]))),
        recognizer=Choice("fcr", replace(model.recognizer.settings, blocks=(0, 1, 0), context_blocks=1)),
        roi=Choice("stretched", replace(model.roi.settings, taps=(1, 2))),
    )
    recipe = replace(tuned(tiny_recipe, given), model=deeper)
    state, report = start(recipe)
    theirs, _ = load_model(file)
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        for ours, expected in zip(
            state.network.eval().spot(image, 0.0, 2, 2), theirs.spot(image, 0.0, 2, 2), strict=True
        ):
            torch.testing.assert_close(ours, expected)
    assert report[1].startswith(
        "parts the weights lack, which change nothing until they are trained: backbone.stages.0."
    )
    for part in ("recognizer.patches.2.3.", "recognizer.context.1.", "recognizer.taps.1."):
        assert part in report[1]
    with pytest.raises(CheckpointError, match=r"lacks backbone\.stages\.0\.1.*would keep what no image"):
        start(replace(recipe, train=replace(recipe.train, freeze_statistics=True)))
    _, report = start(replace(recipe, train=replace(recipe.train, reinitialize=("backbone",))))
    assert not any("backbone.stages" in line for line in report)


def test_another_normalisation_is_refused(tiny_recipe: Recipe, given: str) -> None:
    recipe = replace(tiny_recipe, preprocess=replace(tiny_recipe.preprocess, mean=(0.0, 0.0, 0.0)))
    with pytest.raises(CheckpointError, match=r"trained with preprocess\.mean \(123\.7, .*say the same"):
        start(tuned(recipe, given))


def test_weights_that_are_not_there_are_named(tiny_recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such file"):
        train(tuned(tiny_recipe, str(tmp_path / "nowhere")))


@pytest.mark.parametrize("changes", [{"reinitialize": ("neck",)}, {"freeze_statistics": True}])
def test_what_needs_given_weights_says_so(changes: dict) -> None:
    with pytest.raises(ValueError, match=rf"train\.{next(iter(changes))} goes with train\.init_from"):
        TrainConfig(**changes)


def test_the_average_leaves_the_given_weights_slowly(tiny_recipe: Recipe, given: str) -> None:
    """That of a random start follows the network at once."""
    state, _ = start(tuned(tiny_recipe, given, ema_decay=0.9))
    with torch.no_grad():
        state.network.detector.score.bias += 1
    state.average.update_parameters(state.network)
    moved = state.averaged_network.detector.score.bias - tensors_of(given)["detector.score.bias"]
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1))


@pytest.mark.slow
def test_the_backbone_may_keep_weights_and_statistics(tiny_recipe: Recipe, given: str) -> None:
    result = train(tuned(tiny_recipe, given, steps=3, freeze_statistics=True, backbone_learning_rate=0.0))
    found, theirs = load_file(result.weights), tensors_of(given)
    for name, tensor in found.items():
        if not name.endswith("num_batches_tracked"):
            still = name.startswith(("backbone.", "normalize."))
            assert torch.equal(tensor, theirs[name]) == still, name


@pytest.mark.slow
def test_figures_of_the_given_weights_and_of_the_old_data_stand_beside_the_new(tiny_recipe: Recipe, given: str) -> None:
    old = tiny_recipe.data.train[0].path
    data = replace(tiny_recipe.data, also_evaluate={"old": old}, also_read={"old_words": old})
    recipe = tuned(replace(tiny_recipe, data=data), given, steps=6)
    result = train(recipe)
    evaluations = events(recipe, "evaluate")
    assert [event["step"] for event in evaluations] == [0, 6]
    spotter = load(given)
    expected = validate(spotter, Reader(recipe.data.validation.path))
    spotter.threshold = expected.threshold
    before = expected.figures | evaluate_further(spotter, Further({"old": Reader(old)}, {"old_words": Reader(old)}))
    further = {"old/icdar2015/end_to_end/hmean", "old_words/recognition/word_accuracy"}
    assert further | {"icdar2015/end_to_end/hmean"} <= before.keys() == result.figures.keys()
    assert {name: evaluations[0][name] for name in before} == before
    (told,) = events(recipe, "init_from")
    assert told["report"][1] == "characters whose classes are taken over: 36 of 36"


@pytest.mark.parametrize("setting", ["also_evaluate", "also_read"])
def test_further_data_without_images_is_refused(tiny_recipe: Recipe, tmp_path: Path, setting: str) -> None:
    draw_dataset(tmp_path / "none", drawing(0, seed=1))
    data = replace(tiny_recipe.data, **{setting: {"old": str(tmp_path / "none")}})
    with pytest.raises(ValueError, match=rf"data\.{setting}\.old: .*none holds no image"):
        train(replace(tiny_recipe, data=data))


@pytest.mark.slow
def test_a_resumed_run_goes_on_from_its_own_checkpoint(
    tiny_recipe: Recipe, given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tuned(tiny_recipe, given, steps=9, freeze_statistics=True, backbone_learning_rate=0.5)
    broken = replace(whole, run=str(tmp_path / "broken"))
    train(whole)
    update, steps = torch.optim.AdamW.step, []

    def step_then_interrupt(self, *arguments):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step_then_interrupt)
        assert not train(broken).finished
    shutil.rmtree(given)  # what it started from is no longer needed
    capsys.readouterr()
    assert train(broken).finished
    assert f"resumes from its own checkpoint; {given} was used at its start" in capsys.readouterr().out
    assert_same_runs(Path(whole.run), Path(broken.run))
