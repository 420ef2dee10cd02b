import pytest
from tiny_spotter import write_noise

from textspot.benchmark.stages import STAGES, Stopwatch, decode_texts, run_network, synchronizer, time_stages
from textspot.image_files import read_image


def test_a_stopwatch_adds_up_by_stage_and_waits_at_both_ends():
    now, waits = [0.0], []
    watch = Stopwatch(lambda: waits.append(now[0]), lambda: now[0])
    for name, seconds in (("a", 1), ("b", 10), ("a", 2)):
        with watch.stage(name):
            now[0] += seconds
    assert watch.times == {"a": 3, "b": 10}
    assert waits == [0, 1, 1, 11, 11, 13]


def test_the_stages_of_pytorch(system, files):
    times = time_stages(system.spotter, files[0])
    assert set(times) == set(STAGES) - {"network"}
    assert all(seconds >= 0 for seconds in times.values())
    assert sum(times.values()) > 0


def test_a_graph_is_one_stage(system, files):
    class Graph:
        name = "onnxruntime"
        spot = staticmethod(system.spotter.runtime.spot)

    system.spotter.runtime = Graph()
    assert set(time_stages(system.spotter, files[0])) == {
        *("decode", "preprocess", "network", "suppression", "CTC decoding")
    }


def test_a_large_images_tiles_are_timed_together(system, tmp_path):

    write_noise(tmp_path / "wide.png", 40, 2600)
    assert len(system.spotter.prepare(read_image(tmp_path / "wide.png"))) > 1
    assert set(time_stages(system.spotter, tmp_path / "wide.png")) == set(STAGES) - {"network"}


def test_the_stages_together_are_the_network(system, files):
    spotter = system.spotter
    (view,) = spotter.prepare(read_image(files[0]))
    limits = view.pixels[None], spotter.threshold, spotter.max_regions
    (by_stages,) = run_network(spotter.runtime, *limits, Stopwatch().stage)
    (at_once,) = spotter.runtime.spot(*limits)
    for array, other in zip(by_stages, at_once, strict=True):
        assert (array == other).all()
    prediction = spotter.finish([by_stages], [view])
    texts = [text for text, _ in decode_texts(spotter, by_stages)]
    assert len(prediction) > 0
    assert {instance.text for instance in prediction} <= set(texts)


def test_nothing_waits_on_a_cpu(system):
    assert synchronizer(system.spotter.runtime)() is None


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_nor_in_runtimes_that_answer_when_done(name):
    class Graph:
        pass

    Graph.name = name
    assert synchronizer(Graph())() is None
