"""Whatever the bytes: a result or the documented error, and nothing else. `FUZZ_SECONDS=3600 pytest tests/fuzz` for an
hour of each; `FUZZ_SEED` repeats what a failure names."""

import contextlib
import json
import os
import random
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from fuzz import inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.checkpoint import load_model
from textspot.data.annotation import AnnotatedImage
from textspot.data.card import load_card
from textspot.data.formats import PER_DATASET, PER_IMAGE
from textspot.data.parsing import AnnotationError
from textspot.image_files import ImageError, decode_image
from textspot.image_pages import read_pages
from textspot.metrics import RrcFormatError, read_ground_truths
from textspot.model_card import CheckpointError, ModelCard

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0.2"))  # for each kind
LEAST_INPUTS = 20  # also on a busy machine
SEED = int(os.environ.get("FUZZ_SEED", "0"))
SLOWEST_S = 10.0


def fuzz(samples: Mapping[str, bytes], use: Callable[[str, bytes], object], error: type[Exception]) -> Counter[str]:
    """Change samples until the time is over; how often there was a result, and how often the error. Anything else is
    raised, with the seed that repeats it."""
    counts: Counter[str] = Counter()
    names, ends, number = sorted(samples), time.monotonic() + SECONDS, SEED
    while time.monotonic() < ends or number < SEED + LEAST_INPUTS:
        chance = random.Random(number)
        name = chance.choice(names)
        data = inputs.mutate(samples[name], chance)
        if _try(name, data, number, use, error, counts) > SLOWEST_S:  # a child may have had to start on a busy machine
            again = _try(name, data, number, use, error, Counter())
            assert again < SLOWEST_S, f"{name}: FUZZ_SEED={number} takes {again:.0f} s"
        number += 1
    assert counts["errors"] > 0  # else nothing was damaged
    print(dict(counts))
    return counts


def _try(
    name: str,
    data: bytes,
    number: int,
    use: Callable[[str, bytes], object],
    error: type[Exception],
    counts: Counter[str],
) -> float:
    """Count what becomes of an input; the seconds that it took."""
    began = time.monotonic()
    try:
        use(name, data)
        counts["results"] += 1
    except error:
        counts["errors"] += 1
    except Exception as caught:
        raise AssertionError(f"{name}: FUZZ_SEED={number}: {type(caught).__name__}: {caught}") from caught
    return time.monotonic() - began


def test_images() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzz(inputs.images(), lambda name, data: decode_image(data, name), ImageError)


def test_pdfs() -> None:
    pytest.importorskip("pypdfium2")
    fuzz(inputs.pdfs(), lambda name, data: list(read_pages(data, name)), ImageError)


def test_annotations() -> None:
    parsers = PER_IMAGE | PER_DATASET

    def parse(name: str, data: bytes) -> None:
        found = parsers[name](data, name)
        assert all(isinstance(one, AnnotatedImage) for one in ([found] if name in PER_IMAGE else found))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzz(inputs.annotations(), parse, AnnotationError)


def test_archives(tmp_path: Path) -> None:
    def read(_: str, data: bytes) -> None:
        (tmp_path / "gt.zip").write_bytes(data)
        read_ground_truths(tmp_path / "gt.zip")

    fuzz(inputs.archives(), read, RrcFormatError)


def test_weights(tmp_path: Path) -> None:
    """The file with its checksum, and without: then the metadata and the header have to be sound by themselves."""
    torch.set_num_threads(1)
    data, metadata = inputs.weights(tmp_path)
    unsealed = data.replace(b'"checksum"', b'"checksun"').replace(b"textspot-sha256:", b"textspot-sha25x:")

    def load(_: str, changed: bytes) -> None:
        (tmp_path / "model.safetensors").write_bytes(changed)
        load_model(tmp_path / "model.safetensors")

    fuzz(
        {"sealed": data, "unsealed": unsealed, "header": unsealed[: len(json.dumps(metadata)) + 8]},
        load,
        CheckpointError,
    )


def test_metadata(tmp_path: Path) -> None:
    _, metadata = inputs.weights(tmp_path)

    def read(key: str, data: bytes) -> None:
        ModelCard.from_metadata(metadata | {key: data.decode("utf-8", "replace")}, "a.onnx")

    fuzz({key: value.encode() for key, value in metadata.items() if key != "checksum"}, read, CheckpointError)


def test_cards(tmp_path: Path) -> None:
    def load(_: str, data: bytes) -> None:
        (tmp_path / "card.yaml").write_bytes(data)
        load_card(tmp_path / "card.yaml")

    cards = {path.parent.name: path.read_bytes() for path in Path("datasets").glob("*/card.yaml")}
    fuzz(cards, load, ValueError)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=5), part, max_size=4),
    max_leaves=12,
)
POLYGONS = st.lists(st.lists(st.floats() | st.integers(), max_size=3) | JSON, max_size=5)
KEYS = [
    "image",
    "instances",
    "polygon",
    "transcript",
    "shapes",
    "points",
    "label",
    "shape_type",
    "imgs",
    "anns",
    "data",
]
KEYS += ["annotations", "result", "value", "id", "type", "transcription", "illegibility", "image_id", "mask", "flags"]
LIKELY = st.dictionaries(st.sampled_from(KEYS), JSON | POLYGONS | st.lists(JSON, max_size=2), max_size=6)


@pytest.mark.parametrize("name", ["jsonl", "label_studio", "labelme", "art", "coco_text", "ppocrlabel"])
@settings(max_examples=60, deadline=None)
@given(value=st.lists(LIKELY, max_size=2) | LIKELY | JSON)
def test_json_of_any_shape(name: str, value: object) -> None:
    text = json.dumps(value)
    raw = (f"a.jpg\t{text}" if name == "ppocrlabel" else text).encode()
    with contextlib.suppress(AnnotationError):
        (PER_IMAGE | PER_DATASET)[name](raw, "a")
