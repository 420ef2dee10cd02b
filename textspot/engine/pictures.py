"""Pictures of a run: what the recogniser is fed, and what the network finds."""

from pathlib import Path

import cv2
import numpy as np

from textspot.atomic_file import write_atomically
from textspot.batch import Batch
from textspot.models.spotting_network import SpottingNetwork, TrainingOutput
from textspot.text.charset import Charset
from textspot.text.ctc import decode_best_path
from textspot.visualize import draw_regions

MOST_REGIONS = 24  # of a batch that are shown


def draw_batch(network: SpottingNetwork, charset: Charset, batch: Batch, output: TrainingOutput) -> np.ndarray:
    """What the recogniser is fed from the first images of the batch, what it reads, and what stands there: a picture
    (H, W, 3) uint8 RGB, a small white one if there is nothing to read."""
    slots = batch.region_slot[:MOST_REGIONS].tolist()
    grids = network.roi.grid(output.ribbons).flatten(0, 1)[slots].cpu().numpy()
    read = decode_best_path(output.text_logits[: len(slots)].detach().cpu().numpy(), charset)
    tokens = [row[:length].tolist() for row, length in zip(batch.tokens, batch.token_lengths, strict=True)]
    image_of = np.array(slots, dtype=int) // batch.ribbons.shape[1]
    columns = [
        draw_regions(
            batch.image[image].permute(1, 2, 0).cpu().numpy(),
            grids[image_of == image],
            [f"{read[row][0]} | {charset.decode(tokens[row])}" for row in np.flatnonzero(image_of == image)],
        )
        for image in np.unique(image_of)
    ]
    return np.concatenate(columns) if columns else np.full((8, 8, 3), 255, np.uint8)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 RGB, atomically."""
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_atomically(path, lambda temporary: temporary.write_bytes(encoded.tobytes()))
