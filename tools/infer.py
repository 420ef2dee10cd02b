"""Read the text in photographs: files, folders at any depth, and patterns such as "pics/*.png".

Each image gets three files below --out: `<stem>.json` with all that was found, `res_<stem>.txt` with what was read in
the format of the Robust Reading Competition, and the picture `<stem>.jpg`. They lie there in the folders in which the
image lies below the deepest folder that all images share; of images with one stem in one folder (photo.jpg, photo.png)
the second becomes `<stem>_2`, and so on. A region that was found and could not be read is in the JSON and the picture
only, because the competition counts it as a false alarm. The exit status is 0 when all images were read, 1 when
something failed, 2 when the options make no sense.
"""

import glob
import itertools
import json
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jsonargparse import ArgumentParser
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from PIL import Image
from rich.console import Console
from rich.progress import track

import textspot
from textspot.command_line import run_command
from textspot.image_files import IMAGE_SUFFIXES, ImageError, read_image
from textspot.inference.prefetch import prefetch
from textspot.metrics import write_result
from textspot.runtime.build import RuntimeName
from textspot.runtime.protocol import Precision
from textspot.structures import Prediction
from textspot.text.beam import BeamConfig
from textspot.text.lexicon import load_lexicon
from textspot.visualize import draw_prediction

JPEG_QUALITY = 90


@dataclass(frozen=True)
class Settings:
    """How images are read.

    Args:
        weights: the name of weights that ship, the model.safetensors of a training run, the run's folder (then its last
            weights), or an .onnx file that tools/export.py wrote.
        out: the folder that receives the results; images in it are never read.
        threshold: the score from which on an instance counts; without it, the one that is stored in the weights.
        language: what readings in doubt lean to: `english`, a file of words, one per line, or `none`; without it, what
            the weights say.
        beam: how far readings lean to the language.
        lexicon: a file of words, one per line; a text becomes one of them where the image makes that more probable.
        runtime: `pytorch` runs weights, `onnxruntime` and `openvino` run an .onnx file; `auto` takes PyTorch for
            weights and ONNX Runtime for an .onnx file.
        device: `auto` takes a GPU if there is one; or `cpu`, or `cuda:0`.
        precision: of the convolutions: `float32`; `bf16` in PyTorch and OpenVINO; `float16` in PyTorch on a GPU.
        compile: have torch.compile make kernels at the first image; in PyTorch only.
        num_threads: CPU threads; 0 takes the CPUs that this process may use.
        tiling: whether an image that would be shrunk to less than half is read tile by tile; a message says so.
        batch_size: images read at a time; those of the same padded size share a pass of the network.
        pictures: whether to draw pictures.
    """

    weights: Path = Path("spotter-s")
    out: Path = Path("predictions")
    threshold: ClosedUnitInterval | None = None
    language: str | None = None
    beam: BeamConfig = field(default_factory=BeamConfig)
    lexicon: Path | None = None
    runtime: RuntimeName = "auto"
    device: str = "auto"
    precision: Precision = "float32"
    compile: bool = False
    num_threads: NonNegativeInt = 0
    tiling: bool = True
    batch_size: PositiveInt = 1
    pictures: bool = True


def infer(patterns: Sequence[str], settings: Settings) -> bool:
    """Read the images that the patterns name and write what is in them; whether nothing failed."""
    images, complaints = find_images(patterns, settings.out)
    if not images:
        raise ValueError("\n".join(complaints))
    for complaint in complaints:
        _complain(complaint)
    spotter = textspot.load(
        settings.weights,
        settings.device,
        runtime=settings.runtime,
        precision=settings.precision,
        compile=settings.compile,
        num_threads=settings.num_threads,
    )
    spotter.tiling = settings.tiling
    if settings.threshold is not None:
        spotter.threshold = settings.threshold
    spotter.lean_to(settings.language, settings.beam)
    if settings.lexicon is not None:
        spotter.lexicon = load_lexicon(settings.lexicon, settings.lexicon.stem)
    places = place_outputs(images)
    chunks = [images[start : start + settings.batch_size] for start in range(0, len(images), settings.batch_size)]
    console = Console()
    num_read = 0
    arrays_ahead = prefetch(read_images, chunks, num_ahead=1)
    for arrays in track(arrays_ahead, "reading", len(chunks), console=console, disable=not console.is_terminal):
        predictions = spotter.predict(list(arrays.values()), settings.batch_size)
        for (image, array), prediction in zip(arrays.items(), predictions, strict=True):
            prediction = replace(prediction, name=os.fspath(image))
            write_outputs(settings.out / places[image], array, prediction, settings.pictures)
            if not console.is_terminal:
                print(f"{image}: {len(prediction)} found: {' | '.join(instance.text for instance in prediction)}")
        num_read += len(arrays)
    print(f"{num_read} of {len(images)} images read, the results are in {settings.out}")
    return num_read == len(images) and not complaints


def find_images(patterns: Sequence[str], out: Path) -> tuple[list[Path], list[str]]:
    """The files that paths and patterns name, each once, in order; and complaints about those that name none.

    Of a folder these are the files at any depth that bear an image's suffix. What lies in `out` is left alone: it is
    what an earlier call wrote.
    """
    found: dict[str, Path] = {}
    complaints = []
    for pattern in patterns:
        matches = [pattern] if os.path.exists(pattern) else sorted(glob.glob(pattern, recursive=True))
        files = {os.path.abspath(file): file for match in matches for file in _files_at(Path(match))}
        outside = {key: file for key, file in files.items() if not Path(key).is_relative_to(os.path.abspath(out))}
        if not matches:
            complaints.append(f"{pattern}: no such file or folder, and nothing matches it as a pattern")
        elif not outside:
            complaints.append(f"{pattern}: no image in it" + (f" but those in --out, {out}" if files else ""))
        found |= outside
    return list(found.values()), complaints


def _files_at(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())


def place_outputs(images: Sequence[Path]) -> dict[Path, Path]:
    """Where the outputs of each image belong below the output folder: a path that ends in their stem."""
    absolute = [Path(os.path.abspath(image)) for image in images]
    shared = os.path.commonpath([image.parent for image in absolute])
    places: dict[Path, Path] = {}
    taken: set[Path] = set()
    for image, path in zip(images, absolute, strict=True):
        stem = path.relative_to(shared).with_name(path.stem)
        numbered = (stem.with_name(f"{stem.name}_{number}") for number in itertools.count(2))
        places[image] = next(place for place in itertools.chain([stem], numbered) if place not in taken)
        taken.add(places[image])
    return places


def read_images(paths: Sequence[Path]) -> dict[Path, np.ndarray]:
    """The images (H, W, 3) uint8 RGB of files; a file that is no image is named and left out."""
    images = {}
    for path in paths:
        try:
            images[path] = read_image(path)
        except (ImageError, OSError) as error:
            _complain(str(error))
    return images


def write_outputs(place: Path, image: np.ndarray, prediction: Prediction, pictures: bool) -> None:
    """Write what was found in an RGB image: JSON, result file and picture."""
    place.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(prediction.to_dict(), ensure_ascii=False)
    place.with_name(f"{place.name}.json").write_text(text + "\n", encoding="utf-8")
    read = tuple(instance for instance in prediction if instance.text)
    write_result(place.with_name(f"res_{place.name}.txt"), replace(prediction, instances=read))
    if pictures:
        picture = Image.fromarray(draw_prediction(image, prediction))
        picture.save(place.with_name(f"{place.name}.jpg"), quality=JPEG_QUALITY)


def _complain(words: str) -> None:
    print(words, file=sys.stderr)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _complain(f"warning: {message}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=str, help="files, folders (at any depth), patterns in quotes")
    parser.add_class_arguments(Settings)
    options = parser.parse_args(arguments)
    patterns = options.pop("images")
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)  # the second image of a size is worth its message too
        warnings.showwarning = _show_warning
        return run_command(lambda: 0 if infer(patterns, Settings(**parser.instantiate(options))) else 1)


if __name__ == "__main__":
    sys.exit(main())
