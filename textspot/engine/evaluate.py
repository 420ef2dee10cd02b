"""A spotter over a data set: predictions, figures, and the threshold that belongs to them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from textspot.data.lmdb_records import Reader
from textspot.inference.spotter import RegionLimitWarning, Spotter
from textspot.metrics.protocols import AnyLexicon, GroundTruth, build_protocol
from textspot.metrics.recognition import score_recognition
from textspot.metrics.scoring import Scores, score_images
from textspot.metrics.thresholds import select_threshold, two_fold
from textspot.progress import Track, untracked
from textspot.structures import Prediction, Sample
from textspot.text.charset import normalize

THRESHOLD_PROTOCOL = "icdar2015/end_to_end"  # by which the score threshold is chosen
PROTOCOLS = ("icdar2015/detection_iou", "icdar2015/end_to_end")
LOWEST_THRESHOLD = 0.15  # of what is scored: at 0.05 the shipped network has a hundred regions to read in each image
CHUNK = 8  # images in memory at a time


@dataclass(frozen=True)
class Evaluation:
    """Figures in [0, 1] by `protocol/quantity`, and the threshold with the best end-to-end hmean on these images."""

    figures: dict[str, float]
    threshold: float


def predict_dataset(
    spotter: Spotter, reader: Reader, track: Track = untracked, lexicon: AnyLexicon | None = None
) -> tuple[list[Prediction], list[GroundTruth]]:
    """Predictions and annotations of every image of a data set; `track` shows progress. With a lexicon the spotter
    reads with it, each image with its own if it is one for each image."""
    predictions: list[Prediction] = []
    ground_truths: list[GroundTruth] = []
    for start in track(range(0, len(reader), CHUNK), "reading"):
        samples = [reader.sample(index) for index in range(start, min(start + CHUNK, len(reader)))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RegionLimitWarning)  # far below any threshold that is used
            predictions += _predict(spotter, samples, lexicon)
        ground_truths += [
            GroundTruth(s.polygons, list(map(normalize, s.transcripts)), s.ignore, s.name) for s in samples
        ]
    return predictions, ground_truths


def _predict(spotter: Spotter, samples: Sequence[Sample], lexicon: AnyLexicon | None) -> list[Prediction]:
    """Predictions of samples, and the spotter as it was."""
    if lexicon is None:
        return spotter.predict([sample.image for sample in samples])
    before = spotter.lexicon
    predictions = []
    for sample in samples:
        spotter.lexicon = lexicon.of(sample.name)
        predictions += spotter.predict([sample.image])
    spotter.lexicon = before
    return predictions


def evaluate(predictions: Sequence[Prediction], ground_truths: Sequence[GroundTruth]) -> Evaluation:
    """Two-fold figures: the threshold that is best on one half of the images scores the other half, and the other way
    round."""
    figures: dict[str, float] = {}
    for protocol in PROTOCOLS:
        figures |= two_fold(protocol, predictions, ground_truths)
    threshold, _ = select_threshold(THRESHOLD_PROTOCOL, predictions, ground_truths)
    return Evaluation(figures, max(threshold, LOWEST_THRESHOLD))  # nothing below was looked at


def validate(spotter: Spotter, reader: Reader) -> Evaluation:
    """Evaluate a spotter on validation images, from all it finds above `LOWEST_THRESHOLD`."""
    spotter.threshold = LOWEST_THRESHOLD
    return evaluate(*predict_dataset(spotter, reader))


@dataclass(frozen=True)
class Further:
    """Data sets that a run looks at beside its validation images, by name: those on which the spotter finds and reads,
    and those whose annotated words it reads."""

    evaluated: Mapping[str, Reader] = field(default_factory=dict)
    read: Mapping[str, Reader] = field(default_factory=dict)


def evaluate_further(spotter: Spotter, further: Further) -> dict[str, float]:
    """Figures of a spotter at its threshold on further data sets, by `name/protocol/quantity`."""
    found = {
        f"{name}/{protocol}/{quantity}": value
        for name, reader in further.evaluated.items()
        for protocol, figures in score_dataset(PROTOCOLS, spotter, reader).figures.items()
        for quantity, value in figures.items()
    }
    read = {
        f"{name}/{figure}": value
        for name, reader in further.read.items()
        for figure, value in score_reading(spotter, reader).items()
    }
    return found | read


def score_dataset(
    protocols: Sequence[str],
    spotter: Spotter,
    reader: Reader,
    lexicon: AnyLexicon | None = None,
    track: Track = untracked,
) -> Scores:
    """Score a spotter at its threshold on every image of a data set; `track` shows progress.

    As when the threshold was chosen, protocols that read do not see the regions that were found and could not be read.
    With a lexicon the spotter reads with it, which also says what is text: all figures carry its name. A data set
    without images is a ValueError.
    """
    if not len(reader):
        raise ValueError(f"{reader.path}: holds no image to evaluate on")
    predictions, ground_truths = predict_dataset(spotter, reader, track, lexicon)
    return score_at(spotter.threshold, protocols, predictions, ground_truths, lexicon.name if lexicon else "")


def score_at(
    threshold: float,
    protocols: Sequence[str],
    predictions: Sequence[Prediction],
    ground_truths: Sequence[GroundTruth],
    lexicon_name: str = "",
) -> Scores:
    """As `score_dataset`, of predictions that were made at this threshold or a lower one, with the lexicon of that
    name if it has one."""
    kept = [replace(one, instances=tuple(found for found in one if found.score >= threshold)) for one in predictions]
    scorers = [build_protocol(name, unread_counts=False) for name in protocols]
    for scorer in scorers:
        scorer.name += f"/{lexicon_name}" if lexicon_name else ""
    score_images(scorers, kept, ground_truths)
    return Scores(scorers, kept, ground_truths, threshold)


def score_reading(spotter: Spotter, reader: Reader, min_length: int = 1, track: Track = untracked) -> dict[str, float]:
    """How well a spotter reads the annotated regions of a data set; see `score_recognition`.

    Words count that are not ignored and have a transcript of `min_length` (1 and up) characters or more; `track` shows
    progress. A data set without such a word is a ValueError.
    """
    texts: list[str] = []
    transcripts: list[str] = []
    for index in track(range(len(reader)), "reading"):
        sample = reader.sample(index)
        wanted = [normalize(transcript) for transcript in sample.transcripts]
        counted = [n for n, word in enumerate(wanted) if len(word) >= min_length and not sample.ignore[n]]
        texts += [text for text, _ in spotter.read(sample.image, [sample.polygons[n] for n in counted])]
        transcripts += [wanted[n] for n in counted]
    if not transcripts:
        raise ValueError(f"{reader.path}: holds no transcript of {min_length} characters or more to compare with")
    return score_recognition(texts, transcripts)
