"""What a type checker sees of the package: `py.typed` and the overloads of a call."""

import subprocess
import sys
from pathlib import Path

import pytest

import textspot

CONSUMER = """
from pathlib import Path
import numpy as np
from PIL import Image
import textspot

spotter = textspot.load("spotter-s")
reveal_type(spotter("photo.jpg"))
reveal_type(spotter(Path("photo.jpg")))
reveal_type(spotter(np.zeros((4, 4, 3), np.uint8)))
reveal_type(spotter(b"..."))
reveal_type(spotter(["a.jpg", "b.jpg"]))
reveal_type(spotter([Image.new("RGB", (4, 4))]))
prediction = spotter("photo.jpg")
reveal_type(prediction.text)
reveal_type([line.text for line in prediction.lines()])
reveal_type(prediction.plot())
reveal_type([word.score for word in prediction])
spotter(3)
"""
PREDICTION = "textspot.structures.Prediction"
EXPECTED = [*[PREDICTION] * 4, *[f"list[{PREDICTION}]"] * 2, "str", "list[str]", "PIL.Image.Image", "list[float]"]


def test_the_package_says_that_it_is_typed():
    assert (Path(textspot.__file__).parent / "py.typed").is_file()


@pytest.mark.slow
def test_a_checker_tells_an_image_from_a_list(tmp_path):
    file = tmp_path / "consumer.py"
    file.write_text(CONSUMER)
    options = ["--config-file", "", "--ignore-missing-imports", "--follow-imports", "silent", "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--cache-dir", str(tmp_path / "cache"), str(file)],
        capture_output=True,
        text=True,
        cwd=Path(textspot.__file__).parents[1],
    )
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert [name.replace("builtins.", "") for name in revealed] == EXPECTED
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout
    assert 'No overload variant of "__call__" of "Spotter" matches argument type "int"' in errors[0]
