import contextlib
import dataclasses
import errno
import json
import math
import os

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_spotter import TINY_RECIPE, build_tiny_network, save_tiny_spotter

from textspot import file_checksum
from textspot.atomic_file import WriteError
from textspot.checkpoint import load_mean, load_model, load_weights, save_model
from textspot.engine.state import TrainerState
from textspot.model_card import CheckpointError, ModelCard
from textspot.models.choice import Choice
from textspot.models.torchvision_backbones import ImageNetConfig
from textspot.recipe import build_spotting_network
from textspot.text.charset import TextConfig


@pytest.fixture
def weights(tmp_path):
    return save_tiny_spotter(tmp_path / "model.safetensors")


def rewrite(path, **changes):
    """Save the file again, without a checksum, with other metadata; None takes a key away."""
    metadata = _metadata(path) | {"checksum": None} | changes
    tensors = load_file(path)
    save_file(tensors, path, {key: value for key, value in metadata.items() if value is not None})


def changed_recipe(part, **changes):
    """The tiny recipe as JSON, with other keys in one of its parts."""
    values = TINY_RECIPE.to_dict()
    return json.dumps(values | {part: values[part] | changes})


def _metadata(path):
    length = int.from_bytes(path.read_bytes()[:8], "little")
    return json.loads(path.read_bytes()[8 : 8 + length])["__metadata__"]


def test_what_is_saved_comes_back(tmp_path):
    network = build_tiny_network()
    metrics = {"icdar2015/end_to_end/hmean": 1 / 3}
    card = ModelCard(TINY_RECIPE.to_dict(), 0.1 + 0.2, 12, metrics, "icdar2015/end_to_end")
    save_model(tmp_path / "deep" / "er" / "model.safetensors", network.state_dict(), card)
    loaded, loaded_card = load_model(tmp_path / "deep" / "er" / "model.safetensors")
    assert loaded_card == card
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)


def test_the_mean_of_several_weights(tmp_path):
    paths, states = [tmp_path / f"{number}.safetensors" for number in range(3)], []
    for number, path in enumerate(paths):
        torch.manual_seed(number)
        states.append(build_spotting_network(TINY_RECIPE).state_dict())
        card = ModelCard(TINY_RECIPE.to_dict(), 0.3 + number / 10, number, {"hmean": 0.5}, "x")
        save_model(path, states[-1], card)
    network, card = load_mean(paths)
    for name, tensor in network.state_dict().items():
        values = [state[name] for state in states]
        torch.testing.assert_close(tensor, sum(values) / 3 if tensor.ndim else values[2])
    assert (card.threshold, card.step, card.metrics, card.threshold_protocol) == (0.5, 2, {}, "")
    assert load_mean(paths[:1])[1].metrics == {"hmean": 0.5}


def test_of_different_networks_there_is_no_mean(weights, tmp_path):
    other = dataclasses.replace(TINY_RECIPE, text=TextConfig("ABCDEFGHIK"))
    path = tmp_path / "other.safetensors"
    save_model(path, build_spotting_network(other).state_dict(), ModelCard(other.to_dict()))
    with pytest.raises(CheckpointError, match=r"other\.safetensors: not the network of .*model\.safetensors"):
        load_mean([weights, path])


def test_keys_of_training_come_and_go(weights):
    values = json.loads(changed_recipe("train", renamed=1)) | {"colour": 1}
    rewrite(weights, recipe=json.dumps({key: value for key, value in values.items() if key not in ("data", "loss")}))
    _, card = load_model(weights)
    assert card.charset.characters == "ABCDEFGHIJ"
    assert card.preprocess == TINY_RECIPE.preprocess
    assert card.postprocess == TINY_RECIPE.postprocess


def test_weights_in_half_precision(tmp_path):
    network, card = build_tiny_network(), ModelCard(TINY_RECIPE.to_dict())
    with torch.no_grad():
        network.detector.tower[1].running_var.fill_(1e-9)  # none in float16
    for half in (False, True):
        save_model(tmp_path / f"{half}.safetensors", network.state_dict(), card, half=half)
    stored = load_file(tmp_path / "True.safetensors")
    halved = {name for name, tensor in stored.items() if tensor.dtype == torch.float16}
    assert halved == {name for name, p in network.named_parameters() if p.ndim > 1}
    loaded, _ = load_model(tmp_path / "True.safetensors")
    for name, tensor in network.state_dict().items():
        assert loaded.state_dict()[name].dtype == tensor.dtype
        expected = tensor.half().float() if name in halved else tensor
        torch.testing.assert_close(loaded.state_dict()[name], expected, rtol=0, atol=0)


def test_a_card_for_use_tells_nothing_of_the_training():
    card = ModelCard(TINY_RECIPE.to_dict(), 0.4, 12, {"a": 0.5}, "b")
    assert set(card.for_use().recipe) == {"text", "model", "preprocess", "postprocess"}
    assert card.for_use().to_metadata() == card.to_metadata() | {"recipe": json.dumps(card.for_use().recipe)}


def test_channels_last_weights_are_saved_as_they_are(tmp_path):
    network = build_tiny_network().to(memory_format=torch.channels_last)
    save_model(tmp_path / "model.safetensors", network.state_dict(), ModelCard(TINY_RECIPE.to_dict()))
    loaded, _ = load_model(tmp_path / "model.safetensors")
    name = "detector.tower.0.weight"
    torch.testing.assert_close(loaded.state_dict()[name], network.state_dict()[name], rtol=0, atol=0)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(ValueError, match=r"expected a value in \[0, 1\]"):
        ModelCard(TINY_RECIPE.to_dict(), threshold)


@pytest.mark.parametrize("kept_bytes", [0, 4, 200, -1])
def test_a_file_that_was_cut_short(weights, kept_bytes):
    weights.write_bytes(weights.read_bytes()[:kept_bytes])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cut short, or not a safetensors file"):
        load_model(weights)


def test_a_file_of_another_format(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "trainer.pt")
    with pytest.raises(CheckpointError, match=r"trainer\.pt: cut short, or not a safetensors file"):
        load_model(tmp_path / "trainer.pt")


def test_no_file(tmp_path):
    for path in (tmp_path / "absent.safetensors", tmp_path):
        with pytest.raises(CheckpointError, match=r"no such file, or no regular one; expected the model"):
            load_model(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": None}, "not a model of this program: its metadata says format None, expected 'textspot-1'"),
        ({"format": "pt"}, "format 'pt'"),
        ({"threshold": None}, "its metadata lacks 'threshold'"),
        ({"recipe": "{"}, "its metadata cannot be used"),
        ({"recipe": "[]"}, "its metadata cannot be used"),
        ({"recipe": json.dumps({})}, "its metadata lacks 'text'"),
        ({"recipe": changed_recipe("model", colour=1)}, "Option .model.colour. is not accepted"),
        ({"recipe": changed_recipe("preprocess", colour=1)}, "unexpected keyword argument 'colour'"),
        ({"recipe": changed_recipe("text", characters="")}, "the charset is empty"),
        ({"threshold": "7"}, "the score threshold is 7"),
        ({"threshold": '"high"'}, "its metadata cannot be used"),
    ],
)
def test_metadata_that_is_not_ours(weights, changes, words):
    rewrite(weights, **changes)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_model(weights)
    assert str(caught.value).startswith(str(weights))


def test_a_file_without_metadata(weights):
    save_file(load_file(weights), weights)
    with pytest.raises(CheckpointError, match="format None"):
        load_model(weights)


def test_weights_of_another_charset_are_named(weights):
    recipe = dataclasses.replace(TINY_RECIPE, text=TextConfig("ABC"))
    network = build_spotting_network(recipe)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"bias has shape \(11,\), the network wants \(4,\)") as caught:
        load_weights(network, load_file(weights), "other.safetensors")
    assert "recognizer.classifier.weight has shape (11, 16, 1, 1)" in str(caught.value)
    assert str(caught.value).startswith("other.safetensors: does not fit the recipe's network (another charset")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_checkpoint_whose_recipe_and_weights_disagree(weights):
    recipe = dataclasses.replace(TINY_RECIPE, text=TextConfig("ABC"))
    rewrite(weights, recipe=json.dumps(recipe.to_dict()))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not fit .*recognizer\.classifier\.weight"):
        load_model(weights)


def test_missing_and_surplus_weights_are_named_and_not_by_the_hundred(weights):
    tensors = load_file(weights)
    tensors["surplus"] = tensors.pop("detector.score.bias")
    with pytest.raises(CheckpointError, match=r"detector\.score\.bias is missing; surplus has no place in the network"):
        load_weights(build_spotting_network(TINY_RECIPE), tensors, "x")
    other = dataclasses.replace(TINY_RECIPE.model, backbone=Choice("resnet18", ImageNetConfig()))
    network = build_spotting_network(dataclasses.replace(TINY_RECIPE, model=other))
    with pytest.raises(CheckpointError, match=r"and \d+ more$") as caught:
        load_weights(network, tensors, "x")
    assert len(str(caught.value)) < 2000


def test_a_full_disk_leaves_the_old_file(weights, monkeypatch):
    before = weights.read_bytes()

    def fill_disk(_tensors, path, _metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("textspot.checkpoint.save_file", fill_disk)
    with pytest.raises(WriteError, match=r"No space left on device.*untouched: make room"):
        save_model(weights, build_tiny_network().state_dict(), ModelCard(TINY_RECIPE.to_dict()))
    assert weights.read_bytes() == before
    assert list(weights.parent.iterdir()) == [weights]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "run").write_text("a file where the folder should be")
    with pytest.raises(WriteError, match=r"run/last/model\.safetensors: could not be written"):
        save_model(tmp_path / "run" / "last" / "model.safetensors", {}, ModelCard(TINY_RECIPE.to_dict()))


def flip_each(path, num_flips, load, seed=0):
    """Flip one bit of a file at a time; how many of the files loaded as if nothing had happened."""
    data, loaded = path.read_bytes(), 0
    rng = np.random.default_rng(seed)
    for place, bit in zip(rng.integers(len(data), size=num_flips), rng.integers(8, size=num_flips), strict=True):
        damaged = bytearray(data)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):
            load()
            loaded += 1
    path.write_bytes(data)
    load()
    return loaded


def test_every_flipped_bit_of_weights_is_noticed(weights):
    assert flip_each(weights, 200, lambda: load_model(weights)) == 0


def test_every_flipped_bit_of_a_header_is_noticed(weights):
    length = int.from_bytes(weights.read_bytes()[:8], "little") + 8
    data = weights.read_bytes()
    for place in range(0, length, 17):
        damaged = bytearray(data)
        damaged[place] ^= 1 << (place % 8)
        weights.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
            load_model(weights)


def test_every_flipped_bit_of_a_trainers_state_is_noticed(tmp_path):
    state = TrainerState.build(TINY_RECIPE, torch.device("cpu"))
    path = tmp_path / "trainer.pt"
    state.save(path, TINY_RECIPE)
    assert torch.load(path, weights_only=True)["progress"]["step"] == 0  # torch itself still reads it
    assert flip_each(path, 200, lambda: state.restore(path, TINY_RECIPE)) == 0
    data = path.read_bytes()
    for place in range(len(data) - 110, len(data)):  # where the checksum stands
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(CheckpointError, match=r"trainer\.pt: cannot be read"):
            state.restore(path, TINY_RECIPE)


def test_files_from_before_there_were_checksums_still_load(weights, tmp_path):
    rewrite(weights)
    load_model(weights)
    values = {"recipe": {}, "progress": {}, "world_size": 1}
    torch.save(values, tmp_path / "trainer.pt")
    file_checksum.check_zip(tmp_path / "trainer.pt")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(weights, value):
    tensors = load_model(weights)[0].state_dict() | {"recognizer.classifier.bias": torch.full((11,), value)}
    save_model(weights, tensors, load_model(weights)[1])
    with pytest.raises(CheckpointError, match=r"recognizer\.classifier\.bias .*hold values that are not finite"):
        load_model(weights)


def test_a_file_without_room_for_a_checksum_cannot_be_sealed(tmp_path):
    (tmp_path / "a").write_bytes(b"PK")
    for seal in (file_checksum.seal, file_checksum.seal_zip):
        with pytest.raises((ValueError, OSError)):
            seal(tmp_path / "a")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"context_layers": 10**9}, r"model\.recognizer\.context_layers is 1000000000, expected at most \d+"),
        ({"blocks": [0, 0, 10**9]}, r"model\.recognizer\.blocks is 1000000000"),
        ({"widths": [8, 8, 16, 10**12]}, r"model\.recognizer\.widths is 1000000000000"),
        ({"widths": [8] * 1000}, r"model\.recognizer\.widths holds 1000 values, expected at most 64"),
    ],
)
def test_a_network_that_no_memory_holds_is_refused_before_it_is_built(weights, changes, words):
    model = TINY_RECIPE.to_dict()["model"]
    rewrite(weights, recipe=changed_recipe("model", recognizer=model["recognizer"] | changes))
    with pytest.raises(CheckpointError, match=words):
        load_model(weights)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("recipe", "[" * 100_000, "its metadata cannot be used"),
        ("threshold", "NaN", "the score threshold is nan"),
        ("recipe", changed_recipe("preprocess", max_side=1), "preprocess.max_side is 1, expected 32 to 16384"),
        ("recipe", changed_recipe("preprocess", max_side=10**9), "preprocess.max_side is 1000000000"),
        ("recipe", changed_recipe("preprocess", mean=[float("nan")] * 3), "preprocess.mean is"),
        ("recipe", changed_recipe("preprocess", std=[float("inf")] * 3), "preprocess.std is"),
    ],
)
def test_absurd_metadata_is_refused_with_its_key(weights, key, value, words):
    rewrite(weights, **{key: value})
    with pytest.raises(CheckpointError, match=words):
        load_model(weights)
