"""What the page shows: a photograph read once, its words from a confidence on, and files to take away."""

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.image_files import read_image
from textspot.inference.spotter import Spotter
from textspot.outputs import FORMATS, ReadPage, encode_jpeg
from textspot.structures import Prediction
from textspot.text.beam import BeamConfig

LOWEST = 0.1  # the score from which on words are kept, so that the slider need not read again
EXAMPLES = {  # what is rendered, and its seed
    "sign.jpg": (RendererConfig(height=720, width=960, words_per_image=(8, 12)), 1),
    "sheet.jpg": (RendererConfig(height=720, width=960, layout="sheet"), 3),
}


@dataclass(frozen=True, eq=False)
class Reading:
    """An image (H, W, 3) uint8 RGB, and what was found in it from the score `LOWEST` on."""

    image: np.ndarray
    prediction: Prediction

    def above(self, score: float) -> Prediction:
        """What was found with at least this score."""
        kept = tuple(instance for instance in self.prediction if instance.score >= score)
        return replace(self.prediction, instances=kept)


def read(spotter: Spotter, file: Path, language: str) -> Reading:
    """The reading of an image file, in a language by its name, or `none`. An `ImageError` says what cannot be read."""
    spotter = copy.copy(spotter)
    spotter.threshold = LOWEST
    spotter.lean_to(language, BeamConfig())
    image = read_image(file)
    return Reading(image, replace(spotter(image), name=file.name))


def write_files(prediction: Prediction, image: np.ndarray, folder: Path) -> tuple[Path, Path]:
    """The prediction as a JSON file and as a searchable PDF in the folder, named after the image."""
    stem = Path(prediction.name).stem or "image"
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / f"{stem}.json", folder / f"{stem}.pdf"
    files[0].write_text(json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n", encoding="utf-8")
    files[1].write_bytes(FORMATS["pdf"].write([ReadPage(prediction, encode_jpeg(image))]))
    return files


def draw_examples(folder: Path) -> list[Path]:
    """Images to try, rendered into the folder."""
    for name, (config, seed) in EXAMPLES.items():
        Image.fromarray(Renderer(config).render(seed, 0).image).save(folder / name, quality=90)
    return [folder / name for name in EXAMPLES]
