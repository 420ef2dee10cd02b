"""What earlier versions wrote still says what it said."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_recipe import EVERYTHING, LEAST, change

from textspot.checkpoint import load_model
from textspot.data.synthetic.renderer import RendererConfig
from textspot.inference.spotter import find_weights
from textspot.models.choice import Choice
from textspot.models.ribbon_head import RibbonConfig
from textspot.models.spotting_network import ModelConfig
from textspot.older_recipes import modernize
from textspot.recipe import Recipe, network_recipe_from_dict, recipe_from_dict

STORED = Path(__file__).parent / "older_recipe.json"  # of e4cf9c1: EVERYTHING, as it was


def test_a_stored_recipe_is_the_same_run():
    stored = json.loads(STORED.read_text())
    assert "rfcn" not in stored["model"]["detector"]
    recipe = recipe_from_dict(stored, "trainer.pt")
    later = {"refinement": ModelConfig().refinement, "neck": replace(EVERYTHING.model.neck, smooth_finest=True)}
    model = replace(EVERYTHING.model, **later)  # parts that came after e4cf9c1 are as they had been
    assert {**vars(recipe), "loss": None} == {**vars(EVERYTHING), "loss": None, "model": model}
    assert recipe.loss == {"det/score": 2.0, "det/geometry": 0.5, "rpn/score": 3.0, "rpn/geometry": 3.0, "rec/ctc": 0.0}


def test_the_shipped_weights_are_the_default_network():
    network, card = load_model(find_weights(Path("spotter-s")))
    assert "vit" in card.recipe["model"]["backbone"]
    assert network_recipe_from_dict(card.recipe, "recipe").model == ModelConfig()
    assert network.detector.keep_float == ("score", "geometry")


def test_what_the_chosen_kind_never_used_is_left_out():
    stored = json.loads(STORED.read_text())
    stored["model"]["detector"]["kind"] = "ribbon"
    recipe = recipe_from_dict(stored, "trainer.pt")
    assert recipe.model.detector == Choice("ribbon", RibbonConfig())
    assert recipe.loss == {"det/score": 2.0, "det/geometry": 0.5, "rec/ctc": 0.0}


def test_a_step_from_which_nothing_began_is_left_out():
    """It was accepted in silence."""
    recipe = recipe_from_dict(change("train.predicted_regions_from", 500), "trainer.pt")
    assert recipe.train.predicted_regions_from == 0


def test_settings_of_a_drawing_that_had_no_effect_are_left_out():
    """They were accepted in silence."""
    renderer = {"layout": "sheet", "words_per_image": [2, 3], "drawn_share": 0.5, "degrade": 0.7}
    source = {"path": "drawn", "draw": {"renderer": renderer}}
    recipe = recipe_from_dict({"data": {"train": [source], "validation": source}}, "trainer.pt")
    for one in (*recipe.data.train, recipe.data.validation):
        assert one.draw.renderer == RendererConfig(layout="sheet", degrade=0.7)
    words = {"languages": ["german"], "invented_share": 0.1}
    kept = {"path": "drawn", "draw": {"renderer": {"words": words}}}
    recipe = recipe_from_dict({"data": {"train": [kept], "validation": {"path": "a"}}}, "trainer.pt")
    assert recipe.data.train[0].draw.renderer.words.invented_share == 0.1
    kept = {"stream": {"renderer": {"words_per_image": [2, 3], "backgrounds": "b", "drawn_share": 0.5}}}
    recipe = recipe_from_dict({"data": {"train": [kept], "validation": {"path": "a"}}}, "trainer.pt")
    expected = RendererConfig(words_per_image=(2, 3), backgrounds="b", drawn_share=0.5)
    assert recipe.data.train[0].stream.renderer == expected


@pytest.mark.parametrize("values", [LEAST, EVERYTHING.to_dict(), {}, {"model": {}, "loss": {}}, {"model": None}])
def test_a_recipe_of_today_says_the_same(values):
    modern = modernize(values)
    assert modern.get("model") == values.get("model")
    assert modern.get("loss") == values.get("loss")


@pytest.mark.parametrize("path", ["model.roi.widht", "model.detector.ribbons", "loss.scores", "model.head.kind"])
def test_what_no_version_knows_is_still_an_error(path):
    values = change(path, 1)
    values.setdefault("model", {}).setdefault("backbone", {})["pretrained"] = False
    with pytest.raises(ValueError, match=path.split(".")[-2]):
        recipe_from_dict(values, "trainer.pt")


def test_the_default_recipe_as_it_was():
    """No part of it says its kind."""
    old = {"model": {"roi": {"width": 32}, "recognizer": {"context_blocks": 0}}, "loss": {"ctc": 2.0, "proposals": 9.0}}
    recipe = recipe_from_dict(LEAST | old, "trainer.pt")
    assert isinstance(recipe, Recipe)
    assert (recipe.model.roi.settings.width, recipe.model.recognizer.settings.context_blocks) == (32, 0)
    assert recipe.loss == {"det/score": 1.0, "det/geometry": 1.0, "rec/ctc": 2.0}


def test_a_source_for_the_recogniser_was_one_for_the_reader():
    old = {"data": {**LEAST["data"], "train": [{"path": "words", "trains": "reader"}]}}
    assert recipe_from_dict(LEAST | old, "trainer.pt").data.train[0].trains == "recognizer"
