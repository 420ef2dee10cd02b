"""Images from a spotter alone: layouts, soft transcripts, statistics; on spotters small enough for tests."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_spotter import TINY_RECIPE, VIT_RECIPE, build_tiny_network
from torch import nn
from torch.nn import functional as F

from textspot.compression.synthesis import (
    SPOTTER_SYNTHESIS,
    LayoutConfig,
    SpotterObjective,
    SpotterObjectiveConfig,
    plan_spotter_synthesis,
)
from textspot.compression.synthesis.batchnorm_statistics import watch_statistics
from textspot.compression.synthesis.layout import draw_layout
from textspot.compression.synthesis.soft_ctc import SoftTranscripts, soft_ctc
from textspot.geometry import polygon_to_box, ribbon_sizes
from textspot.models.choice import Choice
from textspot.models.rfcn_head import RfcnConfig
from textspot.quant import QuantConfig, build_method, calibrate, freeze, quantize
from textspot.quant.attention import expose_attention, watch_attention
from textspot.quant.layers import QuantSoftmax
from textspot.quant.synthesis.synthesis import Jitter
from textspot.recipe import build_spotting_network
from textspot.text.ctc import min_time_steps

RECIPES = {"slim_resnet": TINY_RECIPE, "vit": VIT_RECIPE}
SIZE = (96, 128)
WORDS = LayoutConfig(words=(1, 4), length=(1, 4), height=(10, 24))
CONFIG = SpotterObjectiveConfig(words=WORDS, soft=True)
OFF = SpotterObjectiveConfig(0, 0, 0, 0, 0, words=WORDS)
SHORT = replace(SPOTTER_SYNTHESIS, num_images=3, steps=2, warmup_steps=1)
STEPS = TINY_RECIPE.model.count_time_steps
NUM_CLASSES = 11


def transcripts(words: list[list[int]], num_classes: int = NUM_CLASSES, soft: bool = True) -> SoftTranscripts:
    relevant = CONFIG.relevant if soft else None
    return SoftTranscripts.draw(words, num_classes, relevant, CONFIG.irrelevant_std, torch.Generator().manual_seed(0))


def test_hard_soft_ctc_is_ctc_with_its_gradient():
    words = [[1, 1, 2], [3], [4, 5, 4, 4]]
    logits = torch.randn(3, 9, NUM_CLASSES, generator=torch.Generator().manual_seed(0)).requires_grad_()
    got = soft_ctc(logits, transcripts(words, soft=False))
    tokens = torch.tensor([[1, 1, 2, 0], [3, 0, 0, 0], [4, 5, 4, 4]])
    log_probs = logits.log_softmax(dim=2).transpose(0, 1)
    lengths = torch.tensor([3, 1, 4])
    expected = F.ctc_loss(log_probs, tokens, torch.full((3,), 9), lengths, reduction="none")
    torch.testing.assert_close(got, expected)
    ours, theirs = (torch.autograd.grad(loss.sum(), logits, retain_graph=True)[0] for loss in (got, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def collapse(path: tuple[int, ...]) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label]


def test_soft_ctc_is_the_sum_over_all_paths():
    words = [[2, 2], [1, 3], [3]]
    soft = transcripts(words, num_classes=4)
    logits = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1))
    log_probs = logits.log_softmax(dim=2)
    for row, length in enumerate(soft.lengths.tolist()):
        target, total = soft.tokens[row, :length].tolist(), 0.0
        for path in itertools.product(range(soft.labels.shape[1]), repeat=4):
            if collapse(path) == target:
                says = [(soft.labels[row, label] * log_probs[row, step]).sum() for step, label in enumerate(path)]
                total += torch.stack(says).sum().exp().item()
        assert soft_ctc(logits, soft)[row].item() == pytest.approx(-np.log(total), rel=1e-4)


def test_soft_transcripts_mean_what_their_words_say():
    words = [[5, 7, 5], [1]]
    soft = transcripts(words)
    assert soft.lengths.tolist() == [3, 1]
    torch.testing.assert_close(soft.labels.sum(dim=2), torch.ones(2, 3))
    for row, word in enumerate(words):
        assert soft.labels[row, 0].argmax() == 0
        assert soft.labels[row, soft.tokens[row, : len(word)]].argmax(dim=1).tolist() == word
    assert soft.labels[0].amax(dim=1).max() < 1


@pytest.mark.parametrize("size", [SIZE, (64, 256)])
def test_layouts_are_words_apart_that_can_be_read(size):
    rng = np.random.default_rng(0)
    counts = set()
    for _ in range(40):
        layout = draw_layout(size, NUM_CLASSES, STEPS, replace(WORDS, rotation=0.3), rng)
        counts.add(len(layout.tokens))
        boxes = [polygon_to_box(ribbon.reshape(-1, 2)) for ribbon in layout.ribbons]
        for number, box in enumerate(boxes):
            assert (box >= 0).all()
            assert (box <= [size[1], size[0], size[1], size[0]]).all()
            for other in boxes[:number]:
                assert (np.maximum(box[:2], other[:2]) >= np.minimum(box[2:], other[2:]) - 1e-3).any()
        heights = ribbon_sizes(layout.ribbons)[:, 0]
        assert heights.min() >= 9.9
        assert heights.max() <= 24.1
        for word, ribbon in zip(layout.tokens, layout.ribbons, strict=True):
            assert 1 <= len(word) <= 4
            assert set(word) <= set(range(1, NUM_CLASSES))
            assert min_time_steps(word) <= STEPS(ribbon)
        edges = layout.ribbons[:, 0, 3] - layout.ribbons[:, 0, 0]
        np.testing.assert_allclose(np.arctan2(edges[:, 1], edges[:, 0]), layout.angles, atol=1e-4)
        assert np.abs(layout.angles).max() <= 0.3
    assert counts == {1, 2, 3, 4}


def test_no_room_for_a_word():
    with pytest.raises(ValueError, match="finds room in an image of 32 x 32"):
        draw_layout((32, 32), NUM_CLASSES, STEPS, LayoutConfig(height=(40, 50)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="finds room"):
        draw_layout(SIZE, NUM_CLASSES, lambda _: 1, replace(WORDS, length=(3, 4)), np.random.default_rng(0))


@pytest.mark.parametrize("kind", RECIPES)
def test_with_all_weights_at_zero_the_noise_stays(kind):
    synthesis = plan_spotter_synthesis(build_tiny_network(RECIPES[kind]), SIZE, STEPS, OFF, SHORT)
    noise = synthesis.images.detach().clone()
    assert torch.equal(synthesis.run(), noise)
    pixels = synthesis.space.to_pixels(noise)
    assert pixels.min() >= -1e-3
    assert pixels.max() <= 255 + 1e-3
    assert pixels.std() > 30


TERMS = ("layout", "transcripts", "statistics", "attention", "variation")


@pytest.mark.slow
@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_a_switch_and_falls(term):
    network = build_tiny_network(VIT_RECIPE)
    for name, parameter in network.named_parameters():
        if "in_proj_weight" in name:
            nn.init.normal_(parameter, std=0.8)
    config = replace(OFF, **{term: 1.0})
    settings = replace(SPOTTER_SYNTHESIS, num_images=2, steps=25, warmup_steps=3, roll=(0.0,), learning_rate=0.1)
    synthesis = plan_spotter_synthesis(network, SIZE, STEPS, config, settings)
    synthesis.run()
    assert all(step.keys() == {term} for step in synthesis.history)
    values = [step[term] for step in synthesis.history]
    assert values[-1] < 0.9 * values[0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECIPES)
def test_all_terms_together(kind):
    network = build_tiny_network(RECIPES[kind])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    synthesis = plan_spotter_synthesis(network, SIZE, STEPS, CONFIG, SHORT)
    states = []
    images = synthesis.run(save=states.append, save_every=3)
    expected = set(TERMS) - (set() if kind == "vit" else {"attention"})
    assert synthesis.history[0].keys() == expected
    assert images.isfinite().all()
    again = plan_spotter_synthesis(network, SIZE, STEPS, CONFIG, SHORT)
    again.load_state_dict(states[0])
    assert torch.equal(again.run(), images)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    quantized = quantize(expose_attention(network), QuantConfig(build_method("rtn")))
    pixels = synthesis.space.to_pixels(images).split(1)
    calibrate(quantized, pixels, lambda network, image: network.spot(image, 0.0, 3, 3))
    freeze(quantized)
    assert sum(isinstance(module, QuantSoftmax) for module in quantized.modules()) == (2 if kind == "vit" else 0)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quantized.modules())
    assert quantized.spot(pixels[0], 0.0, 3, 3).text_logits.isfinite().all()


@pytest.mark.slow
def test_an_image_learns_its_own_words():
    """Gradients of one image's terms reach no other; statistics, which all share, are off."""
    network = build_tiny_network()
    objective = SpotterObjective(network, SIZE, replace(SHORT, num_images=3), STEPS, replace(CONFIG, statistics=0))
    images = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    together = objective(images, range(3), Jitter())
    alone = [objective(images[k : k + 1], range(k, k + 1), Jitter()) for k in range(3)]
    for name, value in together.items():
        torch.testing.assert_close(value, torch.stack([terms[name] for terms in alone]).sum(), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_statistics_of_what_was_kept_are_near_zero_and_of_the_rest_are_not():
    network, images = build_tiny_network(), torch.randn(4, 3, *SIZE) * 40 + 120
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain mean
    network.train().encode(images)
    network.eval()
    distances = []
    for shown in (images, images * 0.2):
        with watch_statistics(network) as found:
            network.encode(shown)
        distances.append(torch.stack(found).mean().item())
    assert len(found) > 10
    assert distances[0] < 1e-3
    assert distances[1] > 0.1


@torch.no_grad()
def test_distance_of_statistics_by_hand():
    norm = nn.BatchNorm2d(2).eval()
    norm.running_mean.copy_(torch.tensor([1.0, 0.0]))
    norm.running_var.copy_(torch.tensor([4.0, 1.0]))
    x = torch.tensor([[[[2.0, 4.0]], [[-3.0, 3.0]]]])  # means 3 and 0, deviations 1 and 3
    with watch_statistics(norm) as found:
        norm(x)
    assert found[0].item() == pytest.approx(((2**2 + 1**2) / 4 + (0 + 2**2) / 1) / 2, rel=1e-4)


@torch.no_grad()
def test_attention_priors_are_hills_at_the_words():
    objective = SpotterObjective(
        build_tiny_network(VIT_RECIPE), SIZE, replace(SHORT, num_images=4), STEPS, replace(CONFIG, background=0.0)
    )
    with watch_attention(objective.network) as seen:
        objective.network.encode(torch.zeros(4, 3, *SIZE))
    assert objective.block_weights == [0, 1]
    y, x = torch.meshgrid((torch.arange(96) + 0.5) / 96, (torch.arange(128) + 0.5) / 128, indexing="ij")
    points = torch.stack([x, y], dim=-1).flatten(0, 1)[None]
    maps = objective.priors[1].at(points, range(4))[:, :, 0].unflatten(2, (96, 128))
    assert maps.shape[:2] == (4, seen[1].twin.num_heads)
    for image, layout in enumerate(objective.layouts):
        boxes = [polygon_to_box(ribbon.reshape(-1, 2)) for ribbon in layout.ribbons]
        for head in maps[image]:
            place = int(head.argmax())
            row, column = place // 128, place % 128
            assert any(b[0] <= column + 1 <= b[2] + 1 and b[1] <= row + 1 <= b[3] + 1 for b in boxes)


def test_what_cannot_be():
    network = build_tiny_network()
    with pytest.raises(ValueError, match=r"set synthesis\.roll to 0"):
        plan_spotter_synthesis(network, SIZE, STEPS, CONFIG, replace(SHORT, roll=(0.1,)))
    objective = SpotterObjective(network, SIZE, replace(SHORT, num_images=1), STEPS, CONFIG)
    with pytest.raises(ValueError, match=r"set synthesis\.roll to 0"):
        objective(torch.zeros(1, 3, *SIZE), range(1), Jitter(1))
    recipe = replace(TINY_RECIPE, model=replace(TINY_RECIPE.model, detector=Choice("rfcn", RfcnConfig())))
    with pytest.raises(ValueError, match=r"no images can be made .* boxes that it proposes itself"):
        SpotterObjective(build_spotting_network(recipe), SIZE, replace(SHORT, num_images=1), STEPS, CONFIG)
    for values, message in (
        ({"words": (3, 2)}, "layout.words is 3 to 2"),
        ({"length": (0, 2)}, "layout.length is 0 to 2"),
    ):
        with pytest.raises(ValueError, match=message):
            LayoutConfig(**values)
    with pytest.raises(ValueError, match=r"objective\.layout is -1"):
        SpotterObjectiveConfig(layout=-1)
