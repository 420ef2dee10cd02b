"""Measure the path from record to batch on one core: `textspot benchmark-data --data data/icdar2015/train`.

Without --data, 200 images of 640 x 640 pixels with a dozen words are rendered and measured. Prints Markdown. Times are
the processor's, not the clock's, so that other programs disturb little; each is the median of five rounds.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from jsonargparse.typing import PositiveInt
from PIL import Image
from torch import Tensor

from textspot.batch import collate
from textspot.cli.command import run_command
from textspot.cli.options import Verb
from textspot.data.crop_lmdb import CropReader, crops_to_records, cut_crops
from textspot.data.dataset import DataConfig, SourceConfig, TrainingStream
from textspot.data.lmdb_records import Reader
from textspot.data.mosaic import Mosaic, MosaicConfig
from textspot.data.photometric import change_colours, degrade
from textspot.data.synthetic.draw import DrawConfig, draw_dataset
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.transforms import TransformConfig, augment, place_camera
from textspot.image_files import decode_image, decode_reduced
from textspot.preprocess import PreprocessConfig
from textspot.recipe import Recipe, build_training_stream

ROUNDS = 5
SIDE = 640  # pixels of the square training crops
MAX_SIDE = PreprocessConfig().max_side
DOZEN = RendererConfig(SIDE, SIDE, words_per_image=(12, 12), empty_share=0.0)
TRANSFORMS = TransformConfig(0.6, 1.8, 1.25, 0.12, max_perspective=0.15, colour=0.4, degrade=0.15)


@dataclass(frozen=True)
class DataBenchmarkOptions:
    """What is measured, and how long.

    Args:
        data: folder of one LMDB; without it images are rendered and measured.
        num_images: number of images that each time is measured on.
        soak: number of samples over which memory is watched.
    """

    data: Path | None = None
    num_images: PositiveInt = 200
    soak: PositiveInt = 20000


VERB = Verb("benchmark-data", DataBenchmarkOptions, __doc__)


def draw(path: Path) -> Path:
    """A data set of synthetic images."""
    draw_dataset(path, DrawConfig(200, renderer=DOZEN))
    return path


def open_stream(reader: Reader, path: Path) -> TrainingStream:
    """The examples that training on this data set alone would see, in crops of `SIDE` pixels."""
    source = SourceConfig(str(path))
    config = DataConfig((source,), source, image_size=(SIDE, SIDE), transforms=TRANSFORMS)
    return build_training_stream(Recipe(config), [reader])


def stages(reader: Reader, folder: Path) -> Iterator[tuple[str, Callable[[int], object]]]:
    """What is measured: names, and functions of an image's number."""
    stream, rng, renderer = open_stream(reader, reader.path), np.random.default_rng(0), Renderer(DOZEN)
    order = rng.permutation(len(reader))
    samples = [reader.sample(int(index)) for index in order[:20]]
    examples = [stream[position] for position in range(8)]
    crop = examples[0].image
    large = cv2.imencode(".jpg", cv2.resize(samples[0].image, (4000, 3000)))[1].tobytes()
    copy_to_files(reader, folder)
    mosaic = build_mosaic(reader, folder)

    def pick(number: int) -> int:
        return int(order[number % len(order)])

    def view(number: int) -> object:
        return augment(samples[number % 20], place_camera(TRANSFORMS, rng), (SIDE, SIDE), TRANSFORMS, rng)

    yield "a record read, its checksum and annotation checked", lambda n: reader[pick(n)]
    yield "record read and image decoded", lambda n: reader.sample(pick(n))
    yield f"augmentation, to {SIDE} x {SIDE}", view
    yield "**all of it: read, decode, augment, fit ribbons, make targets**", stream.__getitem__
    yield "an eighth of a batch of 8 put together", lambda n: collate(examples) if n % 8 == 0 else None
    yield "beside it, files and Pillow: decode, scale, crop, no targets", lambda n: read_plainly(folder, pick(n), rng)
    if len(mosaic):  # some data sets hold no transcript
        yield "a mosaic of 512 x 512, its word crops read and laid out", lambda n: mosaic.sample(n, Counter())
    yield f"an image of {SIDE} x {SIDE} with a dozen words rendered", lambda n: renderer.render(0, n)
    yield "a photograph of 12 megapixels decoded", lambda _: decode_image(large)
    yield "the same, as small as training needs it", lambda _: decode_reduced(large, "large", MAX_SIDE)
    yield f"all changes of colour at once, {SIDE} x {SIDE}", lambda _: change_colours(crop, 1.0, rng)
    yield f"lower resolution, blur, noise and compression at once, {SIDE} x {SIDE}", lambda _: degrade(crop, 1.0, rng)


def time_ms(action: Callable[[int], object], count: int) -> float:
    """Milliseconds of processor time per call: the median of the rounds, after a first one that does not count."""
    means = []
    for numbers in np.array_split(np.arange(count + count // ROUNDS), ROUNDS + 1):
        started = time.process_time()
        for number in numbers:
            action(int(number))
        means.append(1000 * (time.process_time() - started) / len(numbers))
    return median(means[1:])


def build_mosaic(reader: Reader, folder: Path) -> Mosaic:
    """Mosaics of the words of a data set."""
    cut_crops(reader, folder / "cut", min_height=8)
    crops_to_records(CropReader(folder / "cut"), folder / "words")
    return Mosaic(Reader(folder / "words"), MosaicConfig())


def copy_to_files(reader: Reader, folder: Path) -> None:
    """The data set as image files, each with a text file of one polygon and transcript per line."""
    for index in range(len(reader)):
        record = reader[index]
        lines = (",".join(f"{x},{y}" for x, y in item.polygon) + f"\t{item.transcript}" for item in record.instances)
        (folder / f"{index}.txt").write_text("\n".join(lines), encoding="utf-8")
        (folder / f"{index}.jpg").write_bytes(record.image_bytes)


def read_plainly(folder: Path, index: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """What many a training script does: open, scale by a random zoom, crop at random, move the polygons."""
    lines = (folder / f"{index}.txt").read_text(encoding="utf-8").splitlines()
    polygons = [np.array(line.split("\t")[0].split(","), dtype=np.float32).reshape(-1, 2) for line in lines]
    zoom = np.exp(rng.uniform(np.log(TRANSFORMS.min_scale), np.log(TRANSFORMS.max_scale)))
    with Image.open(folder / f"{index}.jpg") as file:
        width, height = round(file.width * zoom), round(file.height * zoom)
        image = file.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    left, top = (int(rng.integers(0, max(1, side - SIDE + 1))) for side in (width, height))
    crop = np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))
    return crop, [polygon * zoom - np.array([left, top], np.float32) for polygon in polygons]


def anonymous_memory_mb() -> float:
    """Of this process, without the pages of mapped files, which the system keeps while it has room."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def run(options: DataBenchmarkOptions) -> int:
    """Measure, and print the tables."""
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or draw(Path(folder) / "drawn")
        reader = Reader(data)
        print(f"{reader.path.name}: {reader.meta}\n\n| on one core | ms | per second |\n|---|---|---|")
        for name, action in stages(reader, Path(folder)):
            per_image = time_ms(action, options.num_images)
            print(f"| {name} | {per_image:.3f} | {1000 / per_image:.0f} |", flush=True)
    stream = open_stream(reader, data)
    batch = collate([stream[position] for position in range(8)])
    tensors = [value for value in [*vars(batch).values(), *batch.targets] if isinstance(value, Tensor)]
    print(f"\nA batch of 8 takes {sum(tensor.nbytes for tensor in tensors) / 1e6:.1f} MB of shared memory.")
    print("\n| samples | memory of the process, MB |\n|---|---|")
    for position in range(options.soak + 1):
        if position in (options.soak // 100, options.soak // 2, options.soak):
            print(f"| {position} | {anonymous_memory_mb():.0f} |", flush=True)
        stream[position]
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: run(options))
