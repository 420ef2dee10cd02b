import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tiny_spotter import TINY_RECIPE, build_tiny_card, noise, save_tiny_spotter

import textspot
from textspot.image_files import ImageError
from textspot.inference.spotter import Spotter
from textspot.model_card import CheckpointError
from textspot.postprocess import PostprocessConfig
from textspot.text.charset import TextConfig
from textspot.text.language import load_language
from textspot.text.lexicon import ImageLexicons, Lexicon


@pytest.fixture
def spotter(weights):
    return textspot.load(weights)


def rows(prediction):
    """Polygon and both scores of each instance, as numbers (N, 10)."""
    return np.array([[*instance.polygon.ravel(), instance.score, instance.text_score] for instance in prediction])


def texts(prediction):
    return [instance.text for instance in prediction]


def write_png(path, image):
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


def test_threshold_and_language_may_be_given_when_loading(weights, tmp_path):
    (tmp_path / "words").write_text("ABBA\n")
    spotter = textspot.load(weights, threshold=0.25, language=str(tmp_path / "words"))
    assert (spotter.threshold, spotter.language.words) == (0.25, {"abba"})


def test_no_images_give_no_predictions(spotter):
    assert spotter([]) == []
    assert spotter.predict([]) == []


def test_an_image_without_text_gives_an_empty_prediction(spotter):
    spotter.threshold = 1.0
    prediction = spotter(noise(48, 64))
    assert len(prediction) == 0
    assert prediction.size == (48, 64)


@pytest.mark.parametrize("size", [(1, 1), (1, 2500), (2500, 1), (31, 33), (32, 32)])
def test_any_size_works(spotter, size):
    spotter.threshold = 0.5
    prediction = spotter(noise(*size))
    assert prediction.size == size
    assert len(prediction) > 0 or min(size) == 1  # in one pixel no word has its middle
    for instance in prediction:
        assert (instance.polygon >= 0).all()
        assert (instance.polygon <= size[::-1]).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_sides_of_whole_pixels_are_scaled_each_by_itself(tmp_path, axis):
    """78 x 3000 pixels become 6 x 250, not 6.5 x 250; what is found in these is found in those, at its place."""
    spotter = textspot.load(save_tiny_spotter(tmp_path / "model.safetensors", max_side=250))
    spotter.threshold, spotter.tiling = 0.3, False
    large = noise(3000, 78) if axis else noise(78, 3000)
    small = cv2.resize(large, (6, 250) if axis else (250, 6), interpolation=cv2.INTER_AREA)
    of_small, of_large = spotter([small, large])
    assert len(of_small) > 3
    grown = [instance.polygon * ((13, 12) if axis else (12, 13)) for instance in of_small]
    np.testing.assert_allclose([instance.polygon for instance in of_large], grown, atol=1e-3)


def test_instances_unpack_and_come_best_first(spotter):
    prediction = spotter(noise(96, 128))
    polygon, text, score = prediction[0]
    assert polygon.shape == (4, 2)
    assert set(text) <= set("ABCDEFGHIJ")
    scores = [instance.score for instance in prediction]
    assert score == max(scores)
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0.6


def test_the_threshold_starts_as_the_stored_one_and_can_be_set(spotter):
    assert spotter.threshold == 0.6
    image = noise(96, 128)
    many = spotter(image)
    spotter.threshold = 0.7
    few = spotter(image)
    assert texts(few) == [instance.text for instance in many if instance.score > 0.7]
    assert 0 < len(few) < len(many)


def test_a_lexicon_says_what_may_be_read(spotter):
    image = noise(96, 128)
    plain = spotter(image)
    longest = max(texts(plain), key=len)
    spotter.lexicon = Lexicon((longest.lower(),), "own")
    preferred = spotter(image)
    assert longest.lower() in texts(preferred)
    assert {longest, longest.lower()} & set(texts(plain)) == {longest}
    raised = max(instance.score for instance in preferred if instance.text == longest.lower())
    assert raised >= max(instance.score for instance in plain if instance.text == longest)
    spotter.lexicon = Lexicon(("SOMETHING",), "own", complete=True)
    assert longest not in texts(spotter(image))
    spotter.lexicon = None
    assert texts(spotter(image)) == texts(plain)


def test_each_image_may_have_a_lexicon_of_its_own(spotter, tmp_path):
    image = noise(96, 128)
    longest = max(texts(spotter(image)), key=len)
    files = [tmp_path / "img_1.png", tmp_path / "img_2.png"]
    for file in files:
        cv2.imwrite(str(file), image[..., ::-1])
    own, other = Lexicon((longest.lower(),), "strong"), Lexicon(("SOMETHING",), "strong")
    spotter.lexicon = ImageLexicons({"1": own, "2": other}, "strong")
    assert [longest.lower() in texts(found) for found in spotter([*files])] == [True, False]
    with pytest.raises(ValueError, match="no strong lexicon for image ''"):
        spotter(image)


def test_auto_reads_in_the_language_that_the_texts_are_in(spotter):
    card = replace(spotter.card, recipe=replace(TINY_RECIPE, text=TextConfig("ascii")).to_dict())
    spotter, charset = Spotter(spotter.runtime, card), card.charset
    words = ["AUSGANG", "BITTE", "ABFAHRT", "EINGANG"]
    logits = np.zeros((len(words), 16, charset.num_classes), np.float32)
    for word, row in zip(words, logits, strict=True):
        row[:, 0] = 9
        row[: 2 * len(word) : 2, 0] = 0
        row[np.arange(0, 2 * len(word), 2), charset.encode(word)] = 9
    readings = {}
    for language in ("auto", "german", "english"):
        spotter.lean_to(language, spotter.beam)
        readings[language] = spotter.decode_text(logits)
        assert [text for text, _ in readings[language]] == words
        assert spotter.decode_text(logits[:0]) == []
    assert readings["auto"] == readings["german"] != readings["english"], "English words of letters alone score higher"


def test_a_language_is_that_of_the_weights_until_it_is_set(spotter):
    recipe = replace(TINY_RECIPE, postprocess=PostprocessConfig(text_power=0.0, language="english"))
    english = Spotter(spotter.runtime, build_tiny_card(recipe))
    assert spotter.language is None
    assert english.language is load_language("english")
    image = noise(64, 96)
    as_it_is, leaning = spotter(image), english(image)
    assert texts(as_it_is) != texts(leaning)
    polygons = [instance.polygon for instance in as_it_is]
    assert spotter.read(image, polygons) != english.read(image, polygons)
    spotter.language, english.language = english.language, None
    assert (texts(spotter(image)), texts(english(image))) == (texts(leaning), texts(as_it_is))


def test_given_regions_are_read_as_they_are_when_found(tmp_path):
    """All but a few: a region that is found has curved edges, and the quad around it straight ones."""
    spotter = textspot.load(save_tiny_spotter(tmp_path / "model.safetensors", max_side=96))
    small, large = noise(64, 96), np.repeat(np.repeat(noise(64, 96), 2, axis=0), 2, axis=1)
    found = [i for i in spotter(small) if i.polygon.min() > 0 and (i.polygon < (96, 64)).all()]
    spotter.threshold, spotter.lexicon = 1.0, Lexicon(("SOMETHING",), "own", complete=True)  # neither matters
    read = spotter.read(small, [instance.polygon for instance in found])
    equal = [text == instance.text for (text, _), instance in zip(read, found, strict=True)]
    assert sum(equal) > 0.8 * len(found) > 8
    assert spotter.read(large, [2 * instance.polygon for instance in found]) == [
        (text, pytest.approx(score, abs=1e-4)) for text, score in read
    ]
    assert spotter.read(small, []) == []


def test_eight_at_once_equal_one_by_one(spotter):
    images = [noise(96 + 8 * (seed % 3), 128, seed) for seed in range(8)]
    together = spotter.predict(images, batch_size=8)
    alone = [spotter.predict([image])[0] for image in images]
    for batched, single, image in zip(together, alone, images, strict=True):
        assert batched.size == image.shape[:2]
        assert texts(batched) == texts(single)
        np.testing.assert_allclose(rows(batched), rows(single), atol=1e-4)
    assert len({tuple(texts(single)) for single in alone}) == 8


def test_polygons_are_in_pixels_of_the_original_image(tmp_path):
    small, large = noise(64, 96), np.repeat(np.repeat(noise(64, 96), 2, axis=0), 2, axis=1)
    spotter = textspot.load(save_tiny_spotter(tmp_path / "model.safetensors", max_side=96))
    of_small, of_large = spotter([small, large])
    assert of_large.size == (128, 192)
    np.testing.assert_allclose(rows(of_large)[:, :8], 2 * rows(of_small)[:, :8], atol=1e-3)


def test_paths_and_arrays_alone_or_in_a_list_give_the_same(spotter, tmp_path):
    image = noise(40, 60)
    path = write_png(tmp_path / "shop.png", image)
    alone = spotter(image)
    for prediction in (spotter(path), spotter(str(path)), *spotter([path, image, str(path)], batch_size=2)):
        assert texts(prediction) == texts(alone)
        np.testing.assert_allclose(rows(prediction), rows(alone), atol=1e-4)
    assert [prediction.name for prediction in spotter([path, image])] == [str(path), ""]


def test_of_a_long_list_few_images_wait(spotter, monkeypatch):
    images = [noise(32 + 32 * (number % 3), 32, number) for number in range(9)]
    spot, batches = spotter.runtime.spot, []

    def note(pixels, *rest):
        batches.append(pixels.shape[:2])
        return spot(pixels, *rest)

    monkeypatch.setattr("textspot.inference.spotter.MOST_WAITING", 4)
    monkeypatch.setattr(spotter.runtime, "spot", note)
    predictions = spotter.predict(images, batch_size=3)
    assert [prediction.size for prediction in predictions] == [image.shape[:2] for image in images]
    assert batches == [(2, 32), (2, 64), (2, 96), (1, 32), (1, 64), (1, 96)]


def test_stages_one_by_one_are_the_whole(spotter):
    image = noise(96, 128)
    views = spotter.prepare(image)
    regions = spotter.runtime.spot(views[0].pixels[None], spotter.threshold, spotter.max_regions)
    np.testing.assert_array_equal(rows(spotter.finish(regions, views)), rows(spotter(image)))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=lambda image: f"{image.shape}-{image.dtype}",
)
def test_other_arrays_are_refused(spotter, image):
    with pytest.raises(ValueError, match=r"expected an RGB image of shape \(H, W, 3\) and type uint8, found \("):
        spotter(image)
    with pytest.raises(ValueError, match="expected an RGB image"):
        spotter.predict([noise(8, 8), image])


def test_bad_files_are_named(spotter, tmp_path):
    (tmp_path / "note.jpg").write_text("no image")
    with pytest.raises(ImageError, match=r"note\.jpg: cannot be decoded"):
        spotter(tmp_path / "note.jpg")
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg"):
        spotter([tmp_path / "absent.jpg"])


def test_a_batch_holds_at_least_one_image(spotter):
    with pytest.raises(ValueError, match="batch_size is 0, expected at least 1"):
        spotter([noise(8, 8)], batch_size=0)


@pytest.mark.parametrize(("device", "words"), [("gpu", "expected auto, cpu"), ("cuda:99", r"torch sees \d+ GPU")])
def test_a_device_that_is_not_there_is_named(weights, device, words):
    with pytest.raises(ValueError, match=f"device is '{device}'.*{words}"):
        textspot.load(weights, device)


def test_the_device_may_be_left_to_the_machine(weights):
    assert textspot.load(weights, "auto").runtime.device.type in ("cpu", "cuda")


def test_a_run_folder_stands_for_its_last_weights(weights):
    for folder in (weights.parent, weights.parent.parent):
        assert textspot.load(folder).card.step == 7


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds neither model\.safetensors nor last/model\.safetensors"):
        textspot.load(tmp_path)


def test_importing_the_package_does_not_import_torch():
    code = "import sys, textspot; sys.exit('torch' in sys.modules or not callable(textspot.load))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
