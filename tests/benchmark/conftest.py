"""A few small images, and a spotter so small that a whole benchmark of it takes a second or two."""

import pytest
from tiny_spotter import write_noise

from textspot.benchmark import timing, torch_counts
from textspot.benchmark.systems import load_systems
from textspot.runtime.build import RuntimeConfig

SIZES = ((64, 96), (64, 96), (96, 128))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A folder of img_1.png, img_2.png, ..., and below it a note that is no image."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, size in enumerate(SIZES, start=1):
        write_noise(folder / f"img_{number}.png", *size, seed=number)
    (folder / "notes").mkdir()
    (folder / "notes" / "read me.txt").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def files(photographs):
    return sorted(photographs.glob("*.png"))


@pytest.fixture
def system(weights):
    """The spotter in PyTorch, on one thread."""
    systems, _ = load_systems([weights], ["pytorch"], ["float32"], RuntimeConfig(num_threads=1))
    return systems["pytorch float32"]


@pytest.fixture(scope="session", autouse=True)
def hurry():
    """No test waits for stable times, or multiplies large matrices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "MOST_WARM_UP_S", 0.0)
        patch.setattr(timing, "WINDOW", 1)
        patch.setattr(timing, "PAUSE_S", 0.0)
        patch.setattr(torch_counts, "MATRIX_SIDE", {"cpu": 64})
        patch.setattr(torch_counts, "COPY_BYTES", {"cpu": 2**16})
        yield
