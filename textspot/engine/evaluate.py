"""A spotter over a data set: predictions, figures, and the threshold that belongs to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textspot.data.lmdb_records import Reader
from textspot.inference import Spotter
from textspot.metrics.protocols import GroundTruth
from textspot.metrics.thresholds import select_threshold, two_fold
from textspot.structures import Prediction

PROTOCOLS = ("icdar2015/detection_iou", "icdar2015/end_to_end")
LOWEST_THRESHOLD = 0.05  # below it a local maximum of the score map is noise
CHUNK = 8  # images in memory at a time


@dataclass(frozen=True)
class Evaluation:
    """Figures in [0, 1] by `protocol/quantity`, and the threshold with the best end-to-end hmean on these images."""

    figures: dict[str, float]
    threshold: float


def predict_dataset(
    spotter: Spotter, reader: Reader, advance: Callable[[int], None] = lambda _: None
) -> tuple[list[Prediction], list[GroundTruth]]:
    """Predictions and annotations of every image of a data set; `advance` hears of each image that is done."""
    predictions, ground_truths = [], []
    for start in range(0, len(reader), CHUNK):
        samples = [reader.sample(index) for index in range(start, min(start + CHUNK, len(reader)))]
        predictions += spotter.predict([sample.image for sample in samples], batch_size=CHUNK)
        ground_truths += [GroundTruth(s.polygons, s.transcripts, s.ignore, s.name) for s in samples]
        advance(len(samples))
    return predictions, ground_truths


def judge(predictions: Sequence[Prediction], ground_truths: Sequence[GroundTruth]) -> Evaluation:
    """Two-fold figures: the threshold that is best on one half of the images scores the other half, and the other way
    round."""
    figures: dict[str, float] = {}
    for protocol in PROTOCOLS:
        figures |= two_fold(protocol, predictions, ground_truths)
    threshold, _ = select_threshold("icdar2015/end_to_end", predictions, ground_truths)
    return Evaluation(figures, threshold)


def validate(spotter: Spotter, reader: Reader) -> Evaluation:
    """Judge a spotter on validation images, from all it finds above a threshold near zero."""
    spotter.threshold = LOWEST_THRESHOLD
    return judge(*predict_dataset(spotter, reader))
