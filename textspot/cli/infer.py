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
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from PIL import Image
from rich.console import Console
from rich.progress import track

import textspot
from textspot.cli.command import run_command, say
from textspot.cli.options import Verb
from textspot.image_files import IMAGE_SUFFIXES, ImageError, read_image
from textspot.inference.prefetch import prefetch
from textspot.metrics import write_result
from textspot.runtime.build import RuntimeName
from textspot.runtime.protocol import Precision
from textspot.structures import Prediction
from textspot.text.beam import BeamConfig
from textspot.text.lexicon import load_lexicon
from textspot.visualize import draw_prediction

if TYPE_CHECKING:
    from textspot.inference.spotter import Spotter

JPEG_QUALITY = 90


@dataclass(frozen=True)
class InferOptions:
    """What is read, how, and where the results go.

    Args:
        images: files, folders (at any depth), patterns in quotes.
        weights: name of weights that ship, model.safetensors of a training run, the run's folder (then its last
            weights), or an .onnx file that textspot export wrote.
        out: folder that receives the results; images in it are never read.
        threshold: score from which on an instance counts; without it, the one that is stored in the weights.
        language: language that readings in doubt lean to: english, a file of words, one per line, or none; without it,
            that of the weights.
        beam: settings of the language.
        lexicon: file of words, one per line; a text that is near one of them becomes that word.
        runtime: program that runs the network: pytorch for weights, onnxruntime or openvino for an .onnx file; auto
            takes PyTorch for weights and ONNX Runtime for an .onnx file.
        device: device of the network: auto (a GPU if there is one), cpu, or cuda:0.
        precision: precision of the convolutions: float32; bf16 in PyTorch and OpenVINO; float16 in PyTorch on a GPU.
        compile: compile the network with torch.compile at the first image, in PyTorch only.
        num_threads: number of CPU threads; 0 takes the CPUs that this process may use.
        tiling: read an image tile by tile that would be shrunk to less than half; a message says so.
        batch_size: images read at a time; those of the same padded size share a pass of the network.
        pictures: draw what was found into a picture of each image.
    """

    images: tuple[str, ...]
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


VERB = Verb("infer", InferOptions, __doc__, positional=("images",))


def infer(options: InferOptions) -> int:
    """Read the images and write what is in them; the exit status says whether nothing failed."""
    images, complaints = find_images(options.images, options.out)
    if not images:
        raise ValueError("\n".join(complaints))
    for complaint in complaints:
        say(complaint)
    spotter = load_spotter(options)
    places = place_outputs(images)
    size = options.batch_size
    chunks = [images[start : start + size] for start in range(0, len(images), size)]
    console = Console()
    num_read = 0
    arrays_ahead = prefetch(read_images, chunks, num_ahead=1)
    for arrays in track(arrays_ahead, "reading", len(chunks), console=console, disable=not console.is_terminal):
        predictions = spotter.predict(list(arrays.values()), size)
        for (image, array), prediction in zip(arrays.items(), predictions, strict=True):
            prediction = replace(prediction, name=os.fspath(image))
            write_outputs(options.out / places[image], array, prediction, options.pictures)
            if not console.is_terminal:
                print(f"{image}: {len(prediction)} found: {' | '.join(instance.text for instance in prediction)}")
        num_read += len(arrays)
    print(f"{num_read} of {len(images)} images read, the results are in {options.out}")
    return 0 if num_read == len(images) and not complaints else 1


def load_spotter(options: InferOptions) -> "Spotter":
    """The spotter of the options."""
    spotter = textspot.load(
        options.weights,
        options.device,
        runtime=options.runtime,
        precision=options.precision,
        compile=options.compile,
        num_threads=options.num_threads,
    )
    spotter.tiling = options.tiling
    if options.threshold is not None:
        spotter.threshold = options.threshold
    spotter.lean_to(options.language, options.beam)
    if options.lexicon is not None:
        spotter.lexicon = load_lexicon(options.lexicon, options.lexicon.stem)
    return spotter


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
            say(str(error))
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


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"warning: {message}")


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)  # the second image of a size is worth its message too
        warnings.showwarning = _show_warning
        return run_command(lambda: infer(options))
