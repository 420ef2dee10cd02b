"""Position -> Example: chance from (seed, position) alone, every word accounted for."""

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise

import cv2
import numpy as np
import pytest
import torch

from textspot.batch import Labeler
from textspot.data.annotation import Instance
from textspot.data.dataset import DataConfig, SourceConfig, TrainingStream, jitter_ends, jitter_ribbon
from textspot.data.lmdb_records import DamagedRecordError, Reader, Writer
from textspot.data.loader import PositionSampler, build_loader
from textspot.data.mixture import ROUND, Mixture
from textspot.data.mosaic import Mosaic, MosaicConfig
from textspot.data.synthetic.draw import DrawConfig, DrawnStream, StreamConfig, draw_dataset
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.transforms import TransformConfig
from textspot.geometry import box_to_quad, quad_to_ribbon, ribbon_size
from textspot.models.choice import Choice
from textspot.models.rfcn_head import RfcnConfig, RfcnHead
from textspot.models.ribbon_head import RibbonHead, draw_targets, fit_ribbon
from textspot.models.spotting_network import ModelConfig
from textspot.models.text_pooling import ProportionalRoiConfig
from textspot.structures import Sample
from textspot.text.charset import TextConfig

SIZE = (64, 96)
QUAD = box_to_quad([8, 8, 80, 24])
CONFIG = DataConfig((SourceConfig("drawn"),), SourceConfig("none"), image_size=SIZE, region_jitter=0.0)
TEXT = TextConfig("abc")
MAX_SIDE = 1280
STREAM = StreamConfig(5, RendererConfig(96, 128, words_per_image=(2, 4), max_text_height=20))


class Samples:
    """A source in memory; the records in `damaged` cannot be read."""

    def __init__(self, samples, damaged=()):
        self.samples, self.damaged = samples, set(damaged)
        self.least_sides = []

    def __len__(self):
        return len(self.samples)

    def sample(self, index: int, least_side: int) -> Sample:
        self.least_sides.append(least_side)
        if index in self.damaged:
            raise DamagedRecordError(f"drawn: record {index}: damaged")
        return self.samples[index]


def draw_sample(number: int, words: tuple[str, ...] = (), polygon: np.ndarray = QUAD, ignore: bool = False) -> Sample:
    """An image that can be told by its colour, with words below each other."""
    image = np.full((*SIZE, 3), number, dtype=np.uint8)
    polygons = [polygon + np.float32([0, 16 * row]) for row in range(len(words))]
    return Sample(image, polygons, words, np.full(len(words), ignore), f"image {number}")


def _constant(time_steps: int, _: np.ndarray) -> int:
    return time_steps


def mix(sources, config: DataConfig, text: TextConfig = TEXT, time_steps: int = 16, seed: int = 0, **changes):
    """The stream of several sources; `changes` are its other arguments."""
    others = {
        "max_side": MAX_SIDE,
        "count_time_steps": partial(_constant, time_steps),
        "labeler": RibbonHead.build_labeler(None),
    }
    return TrainingStream(sources, config, text, seed, **others | changes)


def build_stream(samples, config: DataConfig = CONFIG, *arguments, **changes):
    """The stream of one source."""
    return mix([samples if isinstance(samples, Samples) else Samples(samples)], config, *arguments, **changes)


def read_number(example) -> int:
    return int(example.image[0, 0, 0])


def equal(one, other) -> bool:
    """Whether two examples are the same to the last bit."""
    arrays = [(e.image, *e.targets, e.ribbons) for e in (one, other)]
    same = all(a.tobytes() == b.tobytes() for a, b in zip(*arrays, strict=True))
    return same and (one.tokens, one.dropped) == (other.tokens, other.dropped)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": (100, 96)}, r"data.image_size is \(100, 96\), expected multiples of 32"),
        ({"image_size": (0, 96)}, "data.image_size"),
        ({"train": ()}, "data.train needs at least one source"),
        ({"train": (SourceConfig("a", 0.0),)}, "weight above 0"),
        ({"validation": SourceConfig("a", 2.0)}, "data.validation.weight has no effect"),
        ({"validation": SourceConfig(stream=StreamConfig())}, "data.validation.path is missing"),
        ({"train": (SourceConfig("a"), SourceConfig())}, r"data.train\[1\] is made of either the path of an LMDB"),
        ({"train": (SourceConfig("a", stream=StreamConfig()),)}, r"data.train\[0\] .* or a stream"),
        ({"train": (SourceConfig(draw=DrawConfig(), stream=STREAM),)}, r"\[0\].draw goes with data.train\[0\].path"),
        (
            {"train": (SourceConfig("a", mosaic=MosaicConfig()),)},
            r"data.train\[0\].trains is both: a mosaic would mislead",
        ),
        (
            {"train": (SourceConfig(stream=STREAM, mosaic=MosaicConfig(), trains="recognizer"),)},
            r"data.train\[0\].mosaic goes with data.train\[0\].path: give that too, or leave this out",
        ),
        ({"train": (SourceConfig(stream=STREAM, least_score=0.5),)}, r"data.train\[0\].least_score goes with"),
        ({"train": (SourceConfig("a", least_score=1.5),)}, r"data.train\[0\].least_score is 1.5, expected a value in"),
        ({"validation": SourceConfig("a", trains="recognizer")}, "data.validation.trains has no effect"),
        ({"validation": SourceConfig("a", mosaic=MosaicConfig())}, "data.validation.mosaic has no effect"),
        ({"validation": SourceConfig("a", least_score=0.9)}, "data.validation.least_score has no effect"),
        ({"max_regions": -1}, "data.max_regions is -1, expected at least 0"),
        ({"end_jitter": (0.4, -0.1)}, r"data.end_jitter is \[0.4, -0.1\], expected two rising numbers above -0.5"),
        ({"end_jitter": (-0.5, 0.0)}, "data.end_jitter is"),
        ({"region_jitter": -0.1}, "data.region_jitter is -0.1, expected at least 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **settings)


def test_a_source_without_images_is_named():
    config = replace(CONFIG, train=(SourceConfig("full"), SourceConfig("void"), SourceConfig("bare")))
    sources = [Samples([draw_sample(0)]), Samples([]), Samples([])]
    with pytest.raises(ValueError, match="no images to train on in void, bare"):
        mix(sources, config)


def test_an_image_without_text_is_an_example():
    example = build_stream([draw_sample(7)])[0]
    assert example.image.shape == (*SIZE, 3)
    assert example.ribbons.shape == (0, 2, 4, 2)
    assert example.tokens == []
    assert example.dropped == {}
    assert not example.targets.score.any()
    assert example.targets.mask.all()


def test_a_word_is_learned_by_detector_and_reader():
    example = build_stream([draw_sample(7, ("cab",))])[0]
    assert example.tokens == [[3, 1, 2]]
    assert example.ribbons.tolist() == [quad_to_ribbon(QUAD).tolist()]
    assert example.targets.score.max() == 1
    assert example.dropped == {}


def test_a_word_has_the_time_steps_of_its_region():
    sample = draw_sample(7, ("abcabc", "abc"))
    config = ModelConfig(roi=Choice("proportional", ProportionalRoiConfig(columns_per_height=2.5, min_width=4)))
    stream = build_stream([sample], count_time_steps=config.count_time_steps)
    assert config.count_time_steps(quad_to_ribbon(QUAD)) == 6  # 72 x 16 pixels, 11 columns
    assert stream[0].dropped == {}
    longer = replace(sample, transcripts=("abcabca", "abc"))
    stream = build_stream([longer], count_time_steps=config.count_time_steps)
    assert stream[0].dropped == {"too long for the time steps": 1}


def test_a_detector_of_boxes_learns_and_reads_boxes():
    turned = np.array([[8, 30], [60, 8], [70, 20], [18, 44]], dtype=np.float32)
    example = build_stream([draw_sample(7, ("abc",), turned)], labeler=RfcnHead.build_labeler(RfcnConfig()))[0]
    assert example.ribbons.tolist() == [quad_to_ribbon(box_to_quad([8, 8, 70, 44])).tolist()]
    assert (example.targets.boxes.tolist(), example.targets.kind.tolist()) == ([[8, 8, 70, 44]], [1])


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", "no transcript"),
        ("  ", "no transcript"),
        ("abd", "character outside the charset"),
        ("abcabcabc", "too long for the time steps"),
        ("aaaaa", "too long for the time steps"),  # nine steps: a blank between each two
    ],
)
def test_a_word_that_cannot_be_read_is_counted_and_still_detected(word, reason):
    example = build_stream([draw_sample(7, (word, "abcabcab"))], time_steps=8)[0]
    assert example.dropped == {reason: 1}
    assert example.tokens == [[1, 2, 3, 1, 2, 3, 1, 2]]
    assert example.targets.score[4, 11] > 0.5  # the first word's hill
    assert example.targets.mask.all()


def test_a_source_may_train_one_head_alone():
    """A word that the charset lacks is counted where the recogniser learns, and only there."""
    sample, other = draw_sample(7, ("abc", "xyz")), draw_sample(9, ("abc",))
    examples = {}
    for trains in ("both", "detector", "recognizer"):
        config = replace(CONFIG, train=(SourceConfig("a", trains=trains), SourceConfig("b")))
        stream = mix([Samples([sample]), Samples([other])], config)
        position = next(position for position in range(50) if read_number(stream[position]) == 7)
        assert (stream.trains(position), stream.trains(position + ROUND)) == (trains, trains)
        examples[trains] = stream[position]
    both, detector, reader = examples.values()
    assert [example.tokens for example in examples.values()] == [[[1, 2, 3]], [], [[1, 2, 3]]]
    assert reader.ribbons.tolist() == both.ribbons.tolist()
    assert detector.targets.offsets.tobytes() == both.targets.offsets.tobytes()
    assert (detector.dropped, reader.dropped) == ({}, {"character outside the charset": 1})
    assert not reader.targets.mask.any()
    assert len(reader.targets.cells) == 0


def test_a_mosaic_is_one_of_the_sources(tmp_path):
    """Its images number 0, 1, 2, ... are mixed with others."""
    with Writer(tmp_path / "crops", {}) as writer:
        image = cv2.imencode(".png", np.full((20, 40, 3), 200, np.uint8))[1].tobytes()
        writer.add("a.png", image, [Instance(tuple(map(tuple, (QUAD / 2).tolist())), "ab")])
    layout = MosaicConfig(2, size=SIZE, text_height=(8.0, 8.0))
    mosaic = Mosaic(Reader(tmp_path / "crops"), layout)
    config = replace(CONFIG, train=(SourceConfig("a", 2.0), SourceConfig("b", mosaic=layout, trains="recognizer")))
    stream = mix([Samples([draw_sample(7, ("c",))]), mosaic], config)
    laid = [stream[position] for position in range(30) if stream.trains(position) == "recognizer"]
    assert 4 < len(laid) < 16
    for number, example in enumerate(laid):
        expected = mosaic.sample(number, Counter())
        assert example.image.tobytes() == expected.image.tobytes()
        assert example.tokens == [[1, 2]] * len(expected)


def test_transcripts_are_normalized_before_they_are_checked():
    assert build_stream([draw_sample(7, (" CaB ",))], text=TextConfig("abc", case="lower"))[0].tokens == [[3, 1, 2]]


def test_ignored_words_are_masked_and_neither_read_nor_counted():
    example = build_stream([draw_sample(7, ("abc", "xyz"), ignore=True)])[0]
    assert example.tokens == []
    assert example.dropped == {}
    assert not example.targets.score.any()
    assert not example.targets.mask.all()


@pytest.mark.parametrize(("height", "width", "read"), [(9, 60, 1), (11, 60, 1), (7, 60, 0), (60, 7, 0)])
def test_words_of_too_few_pixels_are_ignored(height, width, read):
    polygon = box_to_quad([2, 1, 2 + width, 1 + height])
    example = build_stream([draw_sample(7, ("a",), polygon)], replace(CONFIG, min_text_height=8.0))[0]
    assert len(example.tokens) == read
    assert example.dropped == {}
    assert bool(example.targets.mask.all()) == bool(read)


def test_large_images_are_seen_as_small_as_inference_sees_them():
    """A word of 24 pixels in an image twice as long as `max_side` has 12; zoomed, it needs the image larger."""
    image = np.zeros((96, 160, 3), np.uint8)
    samples = Samples([Sample(image, [box_to_quad([20, 30, 140, 54])], ["a"], np.zeros(1, bool))])
    for zoom, height, least_side in ((1.0, 12, 80), (2.0, 24, 160), (0.97, 11.64, 80)):
        config = replace(CONFIG, min_text_height=1.0, transforms=TransformConfig(zoom, zoom))
        example = build_stream(samples, config, max_side=80)[0]
        found = [ribbon_size(ribbon)[0] for ribbon in example.ribbons]
        assert found == pytest.approx([height] * len(found), abs=1e-3)
        assert samples.least_sides[-1] == least_side
    assert len(found) == 1


def test_of_too_many_words_some_are_chosen_by_chance():
    stream = build_stream([draw_sample(7, ("a", "b", "c"))], replace(CONFIG, max_regions=2))
    examples = [stream[position] for position in range(40)]
    assert {len(example.ribbons) for example in examples} == {2}
    assert Counter(token for example in examples for (token,) in example.tokens).keys() == {1, 2, 3}
    for example in examples:
        rows = [round(float(ribbon[0, 0, 1] - 8) / 16) for ribbon in example.ribbons]
        assert example.tokens == [[row + 1] for row in rows]
        assert (example.targets.score == 1).sum() == 3  # the detector learns them all


def test_detection_only_reads_nothing():
    assert build_stream([draw_sample(7, ("a", "b"))], replace(CONFIG, max_regions=0))[0].tokens == []


def test_the_regions_to_read_are_moved_and_the_targets_are_not():
    still, moved = (
        build_stream([draw_sample(7, ("abc",))], replace(CONFIG, region_jitter=jitter))[3] for jitter in (0.0, 0.2)
    )
    assert still.targets.offsets.tobytes() == moved.targets.offsets.tobytes()
    distance = np.abs(still.ribbons - moved.ribbons).max()
    assert 0 < distance <= 0.2 * 16


def test_jitter_moves_corners_and_keeps_edges_straight():
    ribbon, rng = quad_to_ribbon(QUAD), np.random.default_rng(0)
    assert jitter_ribbon(ribbon, 0.0, rng).tolist() == ribbon.tolist()
    moved = np.array([jitter_ribbon(ribbon, 3.0, rng) for _ in range(200)])
    np.testing.assert_allclose(moved[:, :, 1], (2 * moved[:, :, 0] + moved[:, :, 3]) / 3, atol=1e-4)
    corners = (moved - ribbon)[:, :, [0, 3]]
    assert np.abs(corners).max() <= 3
    assert np.abs(corners).max(axis=0).min() > 2.5  # each corner, each way
    assert np.abs(corners.mean(axis=0)).max() < 0.5


def test_the_ends_of_the_regions_are_moved_along_the_line():
    """QUAD is 72 x 16 pixels; its ends move outwards by up to 8 of them, and by no more than 4 inwards."""
    sample, config = draw_sample(7, ("abc",)), replace(CONFIG, end_jitter=(-0.25, 0.5))
    regions = np.array([build_stream([sample], config)[position].ribbons[0] for position in range(60)])
    np.testing.assert_allclose(regions[..., 1], np.broadcast_to([[8], [24]], (60, 2, 4)), atol=1e-4)
    left, right = 8 - regions[:, 0, 0, 0], regions[:, 0, 3, 0] - 80
    for moved in (left, right):
        assert -4 <= moved.min() < -2
        assert 6 < moved.max() <= 8
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.4
    np.testing.assert_allclose(regions[:, 0], regions[:, 1] - [0, 16], atol=1e-4)


def test_an_end_that_is_not_moved_leaves_old_recipes_as_they_were():
    sample = draw_sample(7, ("abc", "cab"))
    config = replace(CONFIG, region_jitter=0.1)
    still, moved = (build_stream([sample], replace(config, end_jitter=ends))[5] for ends in ((0.0, 0.0), (0.0, 1e-9)))
    assert still.tokens == moved.tokens
    np.testing.assert_allclose(still.ribbons[0], moved.ribbons[0], atol=1e-4)


@pytest.mark.parametrize("width", [0.0, 2.0])
def test_a_narrow_word_keeps_half_of_its_width(width):
    ribbon = quad_to_ribbon(box_to_quad([8, 8, 8 + width, 24]))
    moved = jitter_ends(ribbon, (-0.4, -0.4), np.random.default_rng(0))
    assert ribbon_size(moved)[1] == pytest.approx(width / 2)


def test_every_epoch_visits_each_image_once_in_another_order():
    stream = build_stream([draw_sample(number) for number in range(12)])
    epochs = [[read_number(stream[12 * epoch + offset]) for offset in range(12)] for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_sources_are_mixed_by_their_weights():
    config = replace(CONFIG, train=(SourceConfig("a", 1.0), SourceConfig("b", 3.0)))
    stream = mix([Samples([draw_sample(number)] * 5) for number in (1, 2)], config)
    counts = Counter(read_number(stream[position]) for position in range(400))
    assert counts[2] / counts.total() == pytest.approx(0.75, abs=0.06)


def test_a_mixture_keeps_to_its_weights_and_each_source_to_its_order():
    """Of nine sources, more than are ever shown at once; the rarest has one turn in a thousand."""
    sources = [Samples([draw_sample(10 * number + image) for image in range(3)]) for number in range(9)]
    mixture = Mixture(sources, [1e-6, *[1.0] * 8], seed=0)
    shown = [int(mixture.sample(position, MAX_SIDE, Counter()).image[0, 0, 0]) for position in range(2 * ROUND)]
    counts = Counter(number // 10 for number in shown)
    assert counts[0] == 2
    assert all(240 <= counts[number] <= 262 for number in range(1, 9))
    for number in range(1, 9):
        images = [image % 10 for image in shown if image // 10 == number]
        epochs = [images[start : start + 3] for start in range(0, len(images) - 2, 3)]
        assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2]] * len(epochs)
    assert [int(mixture.sample(position, MAX_SIDE, Counter()).image[0, 0, 0]) for position in (1999, 3, 700)] == [
        shown[position] for position in (1999, 3, 700)
    ]


def test_a_stream_shows_each_image_once():
    """Its images number 0, 1, 2, ... as the renderer draws them, whatever is mixed in between."""
    stream, samples = DrawnStream(STREAM), Samples([draw_sample(7)])
    mixture = Mixture([samples, stream], [1.0, 2.0], seed=3)
    names = [mixture.sample(position, MAX_SIDE, Counter()).name for position in range(30)]
    drawn = [name for name in names if name != "image 7"]
    assert drawn == [f"5_{number:06d}" for number in range(len(drawn))]
    assert 12 < len(drawn) < 28
    shown = mixture.sample(names.index("5_000002"), MAX_SIDE, Counter())
    expected = Renderer(STREAM.renderer).render(5, 2)
    assert shown.image.tobytes() == expected.image.tobytes()
    assert shown.transcripts == expected.transcripts


def test_an_example_depends_on_seed_and_position_alone():
    config = replace(
        CONFIG, transforms=TransformConfig(0.7, 1.4, 1.2, 0.2, 0.3, colour=0.5, degrade=0.5), region_jitter=0.1
    )
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (80, 120, 3), dtype=np.uint8) for _ in range(5)]
    samples = [Sample(image, [QUAD, QUAD + 20], ["ab", "c"], np.zeros(2, bool)) for image in images]
    one, same, other = (build_stream(samples, config, seed=seed) for seed in (4, 4, 5))
    there = [one[position] for position in range(8)]
    back = [same[position] for position in reversed(range(8))][::-1]
    assert all(equal(a, b) for a, b in zip(there, back, strict=True))
    assert not any(equal(a, other[position]) for position, a in enumerate(there))
    assert not any(equal(a, b) for a, b in pairwise(there))


def test_a_damaged_record_is_named_and_counted_and_the_next_one_taken():
    samples = Samples([draw_sample(number) for number in range(6)], damaged=[2, 3])
    stream = build_stream(samples)
    with pytest.warns(UserWarning, match="drawn: record [23]: damaged"):
        examples = [stream[position] for position in range(6)]
    assert {read_number(example) for example in examples} == {0, 1, 4, 5}
    assert sum(example.dropped.get("damaged record", 0) for example in examples) >= 2
    assert equal(examples[5], stream[5])


def test_nothing_but_damaged_records_stops_with_the_path():
    stream = build_stream(Samples([draw_sample(0)] * 3, damaged=range(3)))
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(ValueError, match=r"every record is damaged; build it again\. The last one: drawn: record \d"),
    ):
        stream[0]


def test_other_errors_are_not_swallowed():
    class Broken(Samples):
        def sample(self, index: int, least_side: int) -> Sample:
            raise OSError(f"disk gone at {index}, {least_side}")

    with pytest.raises(OSError, match="disk gone"):
        build_stream(Broken([draw_sample(0)]))[0]


def test_processes_share_the_positions_of_a_batch():
    whole = list(PositionSampler(3, 7, batch_size=6, rank=0, world_size=1))
    ranks = [list(PositionSampler(3, 7, batch_size=2, rank=rank, world_size=3)) for rank in range(3)]
    assert [list(chain(*batches)) for batches in zip(*ranks, strict=True)] == whole
    assert list(chain(*whole)) == list(range(18, 42))
    assert len(PositionSampler(3, 7, 2, 0, 3)) == 4


def test_a_run_without_steps_left_has_no_batches():
    assert list(build_loader(build_stream([draw_sample(0)]), start=5, stop=5, batch_size=2, num_workers=0)) == []


def test_the_loader_begins_where_it_is_told():
    stream = build_stream([draw_sample(number) for number in range(12)])
    batches = list(build_loader(stream, start=2, stop=4, batch_size=3, num_workers=0))
    numbers = [batch.image[:, 0, 0, 0].tolist() for batch in batches]
    assert numbers == [[read_number(stream[position]) for position in row] for row in ((6, 7, 8), (9, 10, 11))]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores, on purpose
@pytest.mark.parametrize(
    ("context", "num_workers"),
    [("fork", 1), ("fork", 4), *(pytest.param(name, 2, marks=pytest.mark.slow) for name in ("spawn", "forkserver"))],
)
def test_batches_do_not_depend_on_the_number_of_workers(context, num_workers, tmp_path, monkeypatch):
    """From an LMDB and a stream, mixed."""
    drawing = DrawConfig(5, seed=1, renderer=STREAM.renderer)
    draw_dataset(tmp_path / "drawn", drawing)
    transforms = TransformConfig(0.7, 1.4, 1.2, 0.2, 0.3, colour=0.5, degrade=0.5)
    train = (SourceConfig(str(tmp_path / "drawn")), SourceConfig(stream=STREAM))
    config = replace(CONFIG, train=train, transforms=transforms, region_jitter=0.1)
    stream = mix([Reader(tmp_path / "drawn"), DrawnStream(STREAM)], config, TextConfig())
    alone, shared = (build_loader(stream, 1, 8, batch_size=3, num_workers=count) for count in (0, num_workers))
    monkeypatch.setattr(shared, "multiprocessing_context", context)
    batches = list(zip(alone, shared, strict=True))
    assert len(batches) == 7
    assert sum(batch.num_regions for batch, _ in batches) > 20
    for one, other in batches:
        leaves = [torch.utils._pytree.tree_leaves(vars(batch)) for batch in (one, other)]
        for value, shared_value in zip(*leaves, strict=True):
            same = torch.equal(value, shared_value) if isinstance(value, torch.Tensor) else value == shared_value
            assert same


def test_a_detector_that_cannot_leave_an_image_out():
    samples = Samples([Sample(np.zeros((96, 160, 3), np.uint8), [], [], np.zeros(0, bool))])
    source = replace(CONFIG.train[0], trains="recognizer")
    with pytest.raises(ValueError, match="this detector cannot leave an image out: its labeler has no draw_nothing"):
        TrainingStream(
            [samples],
            replace(CONFIG, train=(source,)),
            TextConfig(),
            0,
            80,
            lambda _: 32,
            Labeler(fit_ribbon, draw_targets),
        )
