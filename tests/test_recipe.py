"""The recipe: what a YAML file or a checkpoint says is what a run is made of, or an error that names the key."""

import dataclasses
import json
import re
import typing
from pathlib import Path

import docstring_parser
import numpy as np
import pytest
import torch
import yaml

from textspot.batch import collate
from textspot.data.dataset import DataConfig, SourceConfig
from textspot.data.synthetic.draw import DrawConfig, StreamConfig
from textspot.data.synthetic.renderer import RendererConfig
from textspot.data.transforms import TransformConfig
from textspot.geometry import box_to_quad
from textspot.losses import SpottingLoss
from textspot.models.choice import Choice
from textspot.models.crnn import RecurrentConfig, RecurrentRecognizer
from textspot.models.neck import NeckConfig
from textspot.models.refinement import PatchRefinementConfig
from textspot.models.rfcn_head import RfcnConfig, RfcnHead
from textspot.models.spotting_network import PARTS, ModelConfig
from textspot.models.text_pooling import ProportionalRoiConfig, ProportionalTextPooling
from textspot.models.torchvision_backbones import ImageNetConfig
from textspot.postprocess import PostprocessConfig
from textspot.preprocess import PreprocessConfig
from textspot.recipe import (
    Recipe,
    TrainConfig,
    build_charset,
    build_spotting_network,
    build_training_stream,
    read_command_line,
    recipe_from_dict,
)
from textspot.shipped_files import shipped_recipes
from textspot.structures import Sample
from textspot.text.charset import TextConfig

SHIPPED = shipped_recipes()
LEAST = {"data": {"train": [{"path": "data/train"}], "validation": {"path": "data/val"}}}
EVERYTHING = Recipe(
    data=DataConfig(
        (
            SourceConfig("a", 2.0, DrawConfig(num_images=5)),
            SourceConfig("b"),
            SourceConfig(weight=0.5, stream=StreamConfig(3)),
        ),
        SourceConfig("c"),
        image_size=(64, 96),
        min_text_height=4.5,
        max_regions=7,
        region_jitter=0.2,
        max_damaged=0.5,
        num_workers=0,
        transforms=TransformConfig(0.5, 2.0, 1.5, 0.3, 0.2, 0.7, 0.6, (1, 2, 3)),
    ),
    run="runs/everything",
    seed=9,
    text=TextConfig("ab\u00e9 ", "lower", "skip"),
    model=ModelConfig(
        Choice("resnet18", ImageNetConfig(True)),
        NeckConfig(16),
        Choice("proportional", ProportionalRoiConfig(8, 32, 0.2, (1,), 12.0, 16)),
        Choice("crnn", RecurrentConfig((8, 8, 8, 8), (1, 0, 2), 1, 3, 2)),
        Choice("rfcn", RfcnConfig((8.0, 20.0), (0.5,), 50)),
        Choice("patch", PatchRefinementConfig(0.4, 0.2, (8, 16, 24))),
        shared=False,
    ),
    loss={
        **{"det/score": 2.0, "det/geometry": 0.5, "rpn/score": 3.0, "rpn/geometry": 4.0},
        **{"det/refinement": 5.0, "rec/ctc": 0.0},
    },
    preprocess=PreprocessConfig(640, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
    postprocess=PostprocessConfig(20, 0.5, 4, 1.0, "english"),
    train=TrainConfig(steps=3, batch_size=2, accumulation=2, learning_rate=7e-4, precision="float32", compile=True),
)


def change(path: str, value: object) -> dict:
    """The least recipe with one more key, given as `a.b.c`."""
    values = json.loads(json.dumps(LEAST))
    *groups, key = path.split(".")
    inner = values
    for group in groups:
        inner = inner.setdefault(group, {})
    inner[key] = value
    return values


def write_recipe(folder: Path, name: str, values: dict) -> str:
    file = folder / name
    file.write_text(yaml.safe_dump(values))
    return str(file)


def test_the_least_recipe_is_that_of_the_defaults():
    recipe = recipe_from_dict(LEAST, "model.safetensors")
    assert recipe == Recipe(DataConfig((SourceConfig("data/train"),), SourceConfig("data/val")))


def test_every_setting_of_the_example_differs_from_its_default():
    """So that the round trip below would notice any that is lost."""
    defaults = Recipe(DataConfig((SourceConfig("a"),), SourceConfig("c")))
    for part in ("text", "model", "preprocess", "postprocess"):
        assert_nothing_equal(getattr(EVERYTHING, part), getattr(defaults, part))
    for part in PARTS:
        chosen = getattr(EVERYTHING.model, part).settings
        assert_nothing_equal(chosen, type(chosen)(), {"height"})  # the patch has 8 rows and no other number
    assert 1.0 not in EVERYTHING.loss.values()


def assert_nothing_equal(mine, theirs, but=frozenset()):
    same = {f.name for f in dataclasses.fields(mine) if getattr(mine, f.name) == getattr(theirs, f.name)}
    assert same - set(but) == set()


def test_to_plain_values_and_back():
    values = EVERYTHING.to_dict()
    assert recipe_from_dict(json.loads(json.dumps(values)), "model.safetensors") == EVERYTHING
    assert values["data"]["image_size"] == [64, 96]
    assert values["train"]["learning_rate"] == 7e-4


def test_to_yaml_and_back(tmp_path):
    file = write_recipe(tmp_path, "recipe.yaml", EVERYTHING.to_dict())
    assert read_command_line(["--config", file]) == EVERYTHING


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("seeds", 1, "seeds"),
        ("train.step", 1, "train.*step"),
        ("data.transforms.scale", 2, "scale"),
        ("train.steps", "many", "train.steps.*Expected a <class 'int'>"),
        ("train.steps", 1.5, "train.steps"),
        ("model.backbone.slim_resnet.widths", [1, 2, 3], "model.backbone.slim_resnet.widths"),
        ("model.backbone.kind", "vgg19", "model.backbone.kind.*vgg19.*slim_resnet.*resnet18"),
        ("text.case", "title", "text.case"),
        ("train.steps", 0, "train.steps is 0, expected at least 1"),
        ("train.batch_size", -1, "train.batch_size is -1"),
        ("train.backbone_learning_rate", -1.0, "train.backbone_learning_rate is -1.0"),
        ("train.predicted_regions", 1.5, r"train.predicted_regions is 1.5, expected a value in \[0, 1\]"),
        ("train.predicted_regions_from", -1, "train.predicted_regions_from is -1"),
        ("train.unrefined_regions", 0.5, "train.unrefined_regions goes with model.refinement.kind other than none"),
        ("train.reinitialize", ["trunk"], "train.reinitialize"),
        ("seed", -1, "seed is -1, expected at least 0"),
        ("data.image_size", [100, 100], r"data.image_size is \(100, 100\)"),
        ("data.train", [], "data.train needs at least one source"),
        ("data.train", [{"path": "a", "wieght": 2}], "wieght"),
        ("data.transforms.max_stretch", 0.5, "data.transforms.max_stretch is 0.5"),
    ],
)
def test_what_is_wrong_is_named_with_its_source(path, value, message, tmp_path, capsys):
    with pytest.raises(ValueError, match=rf"(?s)^model\.safetensors: .*{message}"):
        recipe_from_dict(change(path, value), "model.safetensors")
    with pytest.raises(SystemExit, match="2"):
        read_command_line(["--config", write_recipe(tmp_path, "recipe.yaml", change(path, value))])
    assert path.split(".")[-1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--model.detector.rfcn.anchor_sizes=[8]"],
            "model.detector.rfcn.anchor_sizes is a setting of rfcn, and model",
        ),
        (["--model.roi.proportional.min_width=8"], "proportional.min_width is .* model.roi.kind is stretched"),
        (
            ["--model.backbone.kind=resnet18", "--model.backbone.vit.width=96"],
            "vit.width is .*backbone.kind is resnet18",
        ),
        (["--model.recognizer.crnn.context_layers=1"], "crnn.context_layers is .*recognizer.kind is fcr"),
        (["--loss.rpn/score=2"], "loss.rpn/score weighs a term that there is not with model.detector.kind: ribbon"),
        (["--loss.det/colour=2"], "loss.det/colour"),
        (["--model.detector.kind=yolo"], "model.detector.kind.*'yolo' .*'ribbon', 'rfcn'"),
    ],
)
def test_a_setting_of_another_kind_is_an_error_that_names_both(options, words, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        read_command_line(["--config", write_recipe(tmp_path, "recipe.yaml", LEAST), *options])
    assert re.search(words, capsys.readouterr().err)


def test_a_setting_of_another_kind_is_found_in_a_file_too(tmp_path, capsys):
    """Even one that says what would be the default there."""
    roi = {"kind": "stretched", "proportional": {"min_width": 32}}
    with pytest.raises(SystemExit, match="2"):
        read_command_line(["--config", write_recipe(tmp_path, "recipe.yaml", LEAST | {"model": {"roi": roi}})])
    assert "recipe.yaml: model.roi.proportional.min_width is a setting of proportional" in capsys.readouterr().err


SHEET = {"renderer": {"layout": "sheet", "words_per_image": [1, 12]}}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("train.unrefined_regions", 0.25, "train.unrefined_regions goes with model.refinement.kind other than none"),
        ("train.predicted_regions_from", 0, "train.predicted_regions_from goes with train.predicted_regions"),
        ("train.freeze_statistics", False, "train.freeze_statistics goes with train.init_from"),
        ("data.validation.weight", 1.0, "data.validation.weight has no effect: leave it out"),
        (
            "data.validation.draw.renderer.drawn_share",
            0.3,
            "data.validation.draw.renderer.drawn_share goes with data.",
        ),
        ("data.train", [{"stream": {}, "least_score": 0.0}], "data.train[0].least_score goes with data.train[0].path"),
        (
            "data.train",
            [{"path": "a"}, {"path": "b", "draw": SHEET}],
            "data.train[1].draw.renderer.words_per_image goes with data.train[1].draw.renderer.layout: scene",
        ),
        (
            "data.train",
            [{"stream": {"renderer": {"words": {"invented_share": 0.2}}}}],
            "data.train[0].stream.renderer.words.invented_share goes with data.train[0].stream.renderer.words.file",
        ),
    ],
)
def test_a_setting_without_effect_is_an_error_even_at_its_default(path, value, words, tmp_path, capsys):
    """A stored recipe states every setting, so there only one that is not at its default says something."""
    values = change(path, value)
    with pytest.raises(SystemExit, match="2"):
        read_command_line(["--config", write_recipe(tmp_path, "recipe.yaml", values)])
    assert f"recipe.yaml: {words}" in capsys.readouterr().err
    file = write_recipe(tmp_path, "again.yaml", recipe_from_dict(values, "trainer.pt").to_dict())
    assert read_command_line(["--config", file]) == recipe_from_dict(values, "trainer.pt")


def test_weights_of_loss_terms_are_those_of_the_detector_unless_they_are_given(tmp_path):
    file = write_recipe(tmp_path, "recipe.yaml", LEAST | {"loss": {"det/score": 2.0}})
    assert read_command_line(["--config", file]).loss == {"det/score": 2.0, "det/geometry": 1.0, "rec/ctc": 1.0}


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match=r"model\.safetensors: .*data\.train"):
        recipe_from_dict({}, "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors: data\.validation\.path is missing"):
        recipe_from_dict({"data": {"train": LEAST["data"]["train"]}}, "model.safetensors")


def test_later_files_and_options_override_earlier_ones(tmp_path):
    first = write_recipe(tmp_path, "first.yaml", LEAST | {"seed": 1, "train": {"steps": 10, "batch_size": 2}})
    second = write_recipe(tmp_path, "second.yaml", {"seed": 2, "train": {"steps": 20}})
    recipe = read_command_line(["--config", first, "--config", second, "--train.steps", "30"])
    assert (recipe.seed, recipe.train.steps, recipe.train.batch_size) == (2, 30, 2)
    assert recipe.data.train[0].path == "data/train"


def test_a_later_file_that_chooses_a_kind_replaces_what_earlier_ones_say_of_others(tmp_path, capsys):
    recognizer = {"kind": "crnn", "crnn": {"context_layers": 1}}
    first = write_recipe(tmp_path, "first.yaml", LEAST | {"model": {"recognizer": recognizer}})
    second = write_recipe(tmp_path, "second.yaml", {"model": {"recognizer": {"kind": "fcr"}}})
    third = write_recipe(tmp_path, "third.yaml", {"model": {"recognizer": {"crnn": {"context_layers": 3}}}})
    chosen = read_command_line(["--config", first, "--config", second]).model.recognizer
    assert chosen == ModelConfig().recognizer
    chosen = read_command_line(["--config", first, "--config", third]).model.recognizer
    assert (chosen.kind, chosen.settings.context_layers) == ("crnn", 3)
    with pytest.raises(SystemExit, match="2"):
        read_command_line(["--config", first, "--config", second, "--config", third])
    assert "crnn.context_layers is a setting of crnn, and model.recognizer.kind is fcr" in capsys.readouterr().err


def test_a_wrong_option_ends_the_program_with_a_short_message(tmp_path, capsys):
    file = write_recipe(tmp_path, "recipe.yaml", LEAST)
    with pytest.raises(SystemExit, match="2"):
        read_command_line(["--config", file, "--train.stesp", "3"])
    message = capsys.readouterr().err
    assert "--train.stesp" in message
    assert len(message.splitlines()) < 5


def explained_configs(config=Recipe):
    """The dataclasses a recipe is made of, however deep."""
    yield config
    for kind in typing.get_type_hints(config).values():
        for inner in (kind, *typing.get_args(kind)):
            if dataclasses.is_dataclass(inner) and inner is not Choice:
                yield from explained_configs(inner)
    if config is ModelConfig:
        yield from (module.Config for kinds in PARTS.values() for module in kinds.values())


def test_help_explains_every_key(capsys):
    with pytest.raises(SystemExit, match="0"):
        read_command_line(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    configs = set(explained_configs())
    assert {Recipe, SourceConfig, DrawConfig, RendererConfig, TrainConfig} <= configs
    for config in configs:
        meanings = {p.arg_name: p.description for p in docstring_parser.parse(config.__doc__).params}
        kinds = typing.get_type_hints(config)
        for key in dataclasses.fields(config):
            if dataclasses.is_dataclass(kinds[key.name]):
                continue  # a heading, with the keys below it
            assert " ".join(meanings[key.name].split()).rstrip(".") in words, f"{config.__name__}.{key.name}"


def test_an_error_names_the_file_it_stands_in(tmp_path, capsys):
    good = write_recipe(tmp_path, "good.yaml", EVERYTHING.to_dict())
    bad = tmp_path / "bad.yaml"
    for text, words in (("train: {stepz: 3}", "stepz"), ("train: {steps: : 3", "expected node content")):
        bad.write_text(text)
        with pytest.raises(SystemExit, match="2"):
            read_command_line(["--config", good, f"--config={bad}"])
        message = capsys.readouterr().err
        assert f"{bad}: " in message
        assert words in message
        assert "good.yaml" not in message


def read_shipped(name: str) -> Recipe:
    """The recipe of the command on the first line of a file that ships, which ends in its name."""
    first = SHIPPED[name].read_text(encoding="utf-8").splitlines()[0]
    command = first.removeprefix("# textspot train ").split()
    assert command[-2:] == ["--config", name], first
    return read_command_line(command)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_that_ships_is_one(name):
    recipe = read_shipped(name)
    assert recipe_from_dict(recipe.to_dict(), name) == recipe
    assert recipe.run.removeprefix("runs/") in (name, "mine_tuned")
    assert build_charset(recipe).num_classes > 10
    assert recipe.train.warmup_steps < recipe.train.steps


def test_the_sources_on_the_page_about_data_are_some():
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    data = recipe_from_dict(yaml.safe_load(recipe), "data.md").data
    assert [source.weight for source in data.train] == [5, 2, 3, 2, 1, 1, 4]
    assert [source.trains for source in data.train] == ["both"] * 4 + ["detector", "recognizer", "recognizer"]
    assert data.train[3].stream.renderer.layout == "sheet"
    assert (data.train[6].mosaic.seed, data.train[6].least_score) == (3, 0.95)
    assert all(f"`{key.name}`" in page for key in dataclasses.fields(TransformConfig) if key.name != "border")


class TwoSamples:
    """A source of one image with two words, and one with none."""

    def __len__(self):
        return 2

    def sample(self, index: int, least_side: int) -> Sample:  # noqa: ARG002
        words = [box_to_quad([8, 8, 64, 24]), box_to_quad([20, 32, 80, 56])][: 2 * index]
        image = np.random.default_rng(index).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        return Sample(image, words, ("A7", "AB")[: len(words)], np.zeros(len(words), dtype=bool))


def test_a_part_of_a_recipe_says_that_it_is_one(capsys):
    with pytest.raises(SystemExit, match="2"):
        read_command_line(["--config", "rfcn_crnn"])
    assert "its first line says behind which" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_that_ships_takes_a_step(name):
    """On smaller images: every weight takes part and gets a finite gradient."""
    recipe = read_shipped(name)
    recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, image_size=(64, 96)))
    stream = build_training_stream(recipe, [TwoSamples()] * len(recipe.data.train))
    batch = collate([stream[position] for position in range(3)])
    torch.manual_seed(0)
    network = build_spotting_network(recipe)
    output = network(batch.image, batch.ribbons, batch.region_slot)
    loss = SpottingLoss(recipe.loss, network.loss_terms, torch.clone)
    total, terms = loss(output, batch)
    total.backward()
    assert {"det/score", "det/geometry", "rec/ctc"} <= terms.keys()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    torch.optim.SGD(network.parameters(), 1e-3).step()


def test_the_network_is_built_from_the_recipe():
    network = build_spotting_network(EVERYTHING)
    assert build_charset(EVERYTHING).characters == "ab\u00e9 "
    assert network.recognizer.num_classes == 5
    assert network.recognizer.classifier.weight.shape[0] == 5
    assert isinstance(network.recognizer, RecurrentRecognizer)
    assert isinstance(network.roi, ProportionalTextPooling)
    assert isinstance(network.detector, RfcnHead)
    assert network.detector.max_proposals == 50
    assert network.reading_trunk is not None
    assert network.backbone.channels == (64, 64, 128, 256, 512)
    assert network.neck.channels == 16
    assert (network.roi.height, network.roi.width) == (8, 32)
    assert network.normalize.mean.flatten().tolist() == [1, 2, 3]
    assert network.normalize.std.flatten().tolist() == [4, 5, 6]


@pytest.mark.parametrize("key", ["learning_rate", "weight_decay", "clip_norm", "ema_decay"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"train.{key} is {value}, expected a finite number"):
        TrainConfig(**{key: value})
