import numpy as np
import pytest

from textspot.benchmark import soak as module
from textspot.benchmark.soak import Soak, soak
from textspot.image_files import read_image

MIB = 2**20


def test_start_middle_end_are_medians_of_a_tenth():
    memory = [100.0] * 100
    memory[3], memory[50], memory[99] = 900.0, 900.0, 900.0
    assert Soak.of(memory) == Soak(100, 100, 100, 100, 900)


def test_growth_is_that_of_the_second_half():
    slope = [500 * MIB + 1000.0 * number for number in range(2000)]
    assert Soak.of(slope).growth_bytes == pytest.approx(1000 * 1000)
    arena = [min(1000, 100 + number) * float(MIB) for number in range(0, 10_000, 5)]
    assert Soak.of(arena).growth_bytes == 0
    assert "start, 1000 in the middle, 1000 at the end, 1000 at most; +0.0 MiB per 1000" in str(Soak.of(arena))


def test_three_images_are_the_least():
    assert Soak.of([1, 2, 3]) == Soak(3, 1, 2, 3, 3)
    with pytest.raises(ValueError, match="a soak of 2 images"):
        Soak.of([1, 2])


def test_cut_outs_of_many_sizes_by_seed(files, monkeypatch):
    monkeypatch.setattr(module, "memory_bytes", lambda _field: 5)

    def run(seed):
        seen = []
        assert soak(seen.append, files, 20, seed) == Soak(20, 5, 5, 5, 5)
        return seen

    seen = run(0)
    assert len({image.shape for image in seen}) > 10
    whole = [read_image(file) for file in files]
    for image in seen:
        height, width = image.shape[:2]
        assert any(np.array_equal(image, one[:height, :width]) for one in whole)
    assert all(np.array_equal(a, b) for a, b in zip(seen, run(0), strict=True))
    assert [image.shape for image in seen] != [image.shape for image in run(1)]


def test_memory_that_nobody_knows(files, monkeypatch):
    monkeypatch.setattr(module, "memory_bytes", lambda _field: None)
    with pytest.raises(ValueError, match="does not say how much memory"):
        soak(lambda image: image, files, 3)


def test_a_leak_is_seen(files):
    if module.memory_bytes("VmRSS") is None:
        pytest.skip("this system does not say how much memory a process has")
    kept = []
    leak = soak(lambda _image: kept.append(np.ones(2 * MIB, np.uint8)), files, 40)
    assert leak.end_bytes - leak.start_bytes > 40 * MIB
