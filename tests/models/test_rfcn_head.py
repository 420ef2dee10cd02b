"""R-FCN: its vote against a plain loop, its proposals and boxes from hand-made maps, and what it learns from."""

import numpy as np
import pytest
import torch

from textspot.models.boxes import BoxTargets, encode_boxes
from textspot.models.rfcn_head import (
    BINS,
    HARD_EXAMPLES,
    LEAST_NEGATIVES,
    RfcnConfig,
    RfcnHead,
    RfcnMaps,
    draw_no_boxes,
)

STRIDE, h, w = 4, 16, 24  # a map of an image of 64 x 96 pixels
CONFIG = RfcnConfig(anchor_sizes=(8.0, 16.0), anchor_ratios=(1.0, 0.5, 0.25), max_proposals=20)
WORDS = torch.tensor([[8.0, 8, 40, 20], [50, 30, 90, 42]])


@pytest.fixture
def head() -> RfcnHead:
    torch.manual_seed(0)
    return RfcnHead(CONFIG, 8)


def build_features(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 8, h, w, generator=torch.Generator().manual_seed(1))


def build_targets(*images: torch.Tensor, ignored: bool = False) -> BoxTargets:
    """Targets of images with these boxes; an image without any has a box of kind 0."""
    longest = max(1, *map(len, images))
    boxes = torch.stack([torch.cat([image, torch.zeros(longest - len(image), 4)]) for image in images])
    return BoxTargets(boxes, (boxes.amax(dim=2) > 0) * (-1 if ignored else 1))


def sample_bilinear(plane: np.ndarray, x: float, y: float) -> float:
    """A map (h, w) at a point in pixels of the image, whose border cells go on outside."""
    x, y = (np.clip(v / STRIDE - 0.5, 0, side - 1) for v, side in ((x, w), (y, h)))
    left, top = min(int(x), w - 2), min(int(y), h - 2)
    corners = plane[top : top + 2, left : left + 2]
    return float(np.array([1 - (y - top), y - top]) @ corners @ np.array([1 - (x - left), x - left]))


def vote_slowly(votes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Logit and offsets (5,) of a box: bin by bin, each from a map of its own at four points."""
    side = (box[2:] - box[:2]) / BINS
    total = np.zeros(5)
    for output in range(5):
        for row in range(BINS):
            for column in range(BINS):
                plane = votes[output * BINS * BINS + row * BINS + column]
                for right in (0.25, 0.75):
                    for down in (0.25, 0.75):
                        x, y = box[:2] + side * [column + right, row + down]
                        total[output] += sample_bilinear(plane, x, y) / (4 * BINS * BINS)
    return total


@pytest.mark.parametrize("box", [[8, 8, 40, 20], [33.3, 21.7, 36.1, 23.9], [60, 40, 96, 64], [0, 0, 96, 5]])
def test_the_vote_is_that_of_a_plain_loop(head, box):
    """A box narrower than a cell among them."""
    votes = np.random.default_rng(0).normal(size=(5 * BINS * BINS, h, w))
    boxes = torch.tensor(box, dtype=torch.float32).view(1, 1, 4)
    logits, offsets = head._vote(torch.tensor(votes, dtype=torch.float32)[None], boxes)
    expected = vote_slowly(votes, np.array(box, dtype=float))
    np.testing.assert_allclose([logits.item(), *offsets.flatten()], expected, atol=1e-5)


def test_anchors_lie_around_the_centres_of_the_cells(head):
    anchors = head._anchors(torch.zeros(1, h, w))
    assert anchors.shape == (h * w * 6, 4)
    centres = ((anchors[:, :2] + anchors[:, 2:]) / 2).view(h, w, 6, 2)
    assert centres[3, 5].tolist() == [[22, 14]] * 6
    ratios = (anchors[:6, 3] - anchors[:6, 1]) / (anchors[:6, 2] - anchors[:6, 0])
    np.testing.assert_allclose(ratios, [1, 1, 0.5, 0.5, 0.25, 0.25], rtol=0.25)  # their sides are whole pixels


def test_a_proposal_is_the_anchor_of_its_logit_moved_by_its_offsets(head):
    """The order of cells and anchors is the same in logits, offsets and boxes."""
    with torch.no_grad():
        maps = head(build_features())
        for image, proposals in enumerate(maps.proposals):
            best = maps.anchor_logits[image].argmax()
            anchor = head._anchors(maps.votes)[best]
            moved = encode_boxes(proposals[0], anchor)
            inside = (proposals[0] > 0).all() and (proposals[0, 2:] < torch.tensor([96.0, 64])).all()
            assert inside
            np.testing.assert_allclose(moved, maps.anchor_offsets[image, best], atol=1e-4)
        logits = head.rpn([build_features()])[0][0]
        anchor = int(maps.anchor_logits[0].argmax())
        row, column, number = anchor // 6 // w, anchor // 6 % w, anchor % 6
        assert logits[0, number, row, column] == maps.anchor_logits[0].max()


def build_maps(proposals: torch.Tensor, text: float = 0.0) -> RfcnMaps:
    """Maps of one image with these proposals, whose votes are `text` everywhere and move no box."""
    votes = torch.zeros(1, 5 * BINS * BINS, h, w)
    votes[:, : BINS * BINS] = text
    padded = torch.cat([proposals, torch.zeros(CONFIG.max_proposals - len(proposals), 4)])
    num_anchors = h * w * 6
    return RfcnMaps(torch.zeros(1, num_anchors), torch.zeros(1, num_anchors, 4), votes, padded[None])


def test_boxes_come_best_first_and_what_lies_behind_has_score_0(head):
    maps = build_maps(WORDS)
    maps.votes[0, : BINS * BINS, :, 12:] = 2.0  # the second word is the surer one
    ribbons, scores = head.peaks(maps, 5)
    np.testing.assert_allclose(scores[0], [1 / (1 + np.exp(-2)), 0.5, 0, 0, 0], atol=1e-5)
    corners = ribbons[0, :2][:, [0, 1], [0, 3]].flatten(1)
    np.testing.assert_allclose(corners, WORDS[[1, 0]], atol=1e-4)
    assert [head.count_peaks(maps, threshold) for threshold in (0.0, 0.5, 0.6, 0.9)] == [2, 2, 1, 0]


def test_of_two_identical_boxes_one_is_found(head):
    maps = build_maps(WORDS[[0, 0]], text=1.0)
    assert head.count_peaks(maps, 0.5) == head.count_peaks(maps, 0.0) == 1
    assert head.count_peaks(maps, -1.0) == maps.proposals.shape[1]  # the other one, and room for more


@pytest.mark.parametrize("num_regions", [0, 1, 20, 30])
def test_any_number_of_regions(head, num_regions):
    """Also more than there are proposals."""
    with torch.no_grad():
        ribbons, scores = head.peaks(head(build_features()), num_regions)
    assert ribbons.shape == (2, num_regions, 2, 4, 2)
    assert scores.shape == (2, num_regions)
    assert not scores[:, 20:].any()


def test_a_box_ends_at_the_border_of_the_image(head):
    maps = build_maps(torch.tensor([[80.0, 50, 96, 64]]))
    maps.votes[:, BINS * BINS : 2 * BINS * BINS] = 4.0  # moves it to the right by four tenths of its width
    ribbons, _ = head.peaks(maps, 1)
    assert ribbons[0, 0, :, -1, 0].tolist() == [96, 96]


def test_an_image_without_proposals(head):
    """Every anchor is moved out of the image."""
    with torch.no_grad():
        head.rpn.bbox_pred.bias.view(-1, 4)[:, 0] = 1e3
    maps = head(build_features())
    assert not maps.proposals.any()
    assert head.count_peaks(maps, 0.0) == 0
    ribbons, scores = head.peaks(maps, 3)
    assert ribbons.isfinite().all()
    assert not scores.any()
    terms = head.loss_terms(maps, build_targets(WORDS, WORDS[:0]))
    assert terms["det/score"][1] == 2  # the annotated boxes are examples nevertheless
    sum(total for total, _ in terms.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_images_without_text_teach_background_alone(head):
    maps = head(build_features())
    terms = head.loss_terms(maps, build_targets(WORDS[:0], WORDS[:0]))
    assert [terms[name][0].item() for name in ("rpn/geometry", "det/geometry")] == [0, 0]
    assert [int(terms[name][1]) for name in ("rpn/geometry", "det/geometry")] == [0, 0]
    assert int(terms["rpn/score"][1]) == 2 * LEAST_NEGATIVES
    sum(total for total, _ in terms.values()).backward()
    assert (head.rpn.cls_logits.bias.grad > 0).any()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_what_is_ignored_teaches_nothing(head):
    everything = torch.tensor([[0.0, 0, 96, 64]])
    terms = head.loss_terms(head(build_features(1)), build_targets(everything, ignored=True))
    outside = int(terms["rpn/score"][1])  # anchors that hang over the border by more than half
    assert outside <= LEAST_NEGATIVES
    assert [int(terms[name][1]) for name in ("rpn/geometry", "det/score", "det/geometry")] == [0, 0, 0]


def test_an_image_of_which_nothing_counts_teaches_nothing(head):
    """Neither do the anchors that hang over its border."""
    nothing = draw_no_boxes((64, 96))
    targets = BoxTargets(*(torch.from_numpy(array)[None] for array in nothing))
    terms = head.loss_terms(head(build_features(1)), targets)
    assert [int(count) for _, count in terms.values()] == [0, 0, 0, 0]


def test_every_weight_learns_from_words(head):
    maps = head(build_features())
    terms = head.loss_terms(maps, build_targets(WORDS, WORDS[:1]))
    sum(total for total, _ in terms.values()).backward()
    assert [name for name, parameter in head.named_parameters() if not parameter.grad.any()] == []


def test_terms_and_denominators_add_up_over_images(head):
    features, targets = build_features(), build_targets(WORDS, WORDS[:1])
    head.eval()
    whole = head.loss_terms(head(features), targets)
    halves = [head.loss_terms(head(features[[b]]), BoxTargets(targets.boxes[[b]], targets.kind[[b]])) for b in range(2)]
    for name, (total, count) in whole.items():
        np.testing.assert_allclose(total.item(), sum(half[name][0].item() for half in halves), rtol=1e-4)
        assert count == sum(half[name][1] for half in halves)
    assert whole["det/score"][1] <= 2 * HARD_EXAMPLES


def test_perfect_maps_cost_nothing(head):
    maps = build_maps(WORDS, text=20.0)
    targets = build_targets(WORDS)
    terms = head.loss_terms(maps, targets)
    assert float(terms["det/score"][0]) < 1e-6
    assert float(terms["det/geometry"][0]) < 1e-6
    wrong = head.loss_terms(maps._replace(votes=-maps.votes), targets)
    assert float(wrong["det/score"][0]) == pytest.approx(20 * 4, rel=1e-3)  # two proposals, two annotated boxes


def test_maps_are_float32_under_autocast(head):
    with torch.autocast("cpu", torch.bfloat16):
        maps = head(build_features())
    assert {tensor.dtype for tensor in maps} == {torch.float32}


@torch.no_grad()
def test_a_batch_gives_what_its_images_give_one_by_one(head):
    head.eval()
    features = build_features()
    together = head.peaks(head(features), 20)
    for image in range(2):
        for one, both in zip(head.peaks(head(features[[image]]), 20), together, strict=True):
            np.testing.assert_allclose(one[0], both[image], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"anchor_sizes": ()}, r"model.detector.rfcn.anchor_sizes is \(\)"),
        ({"anchor_ratios": (0.5, -1.0)}, "model.detector.rfcn.anchor_ratios is .* expected numbers above 0"),
        ({"max_proposals": 0}, "model.detector.rfcn.max_proposals is 0, expected at least 1"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        RfcnConfig(**settings)
