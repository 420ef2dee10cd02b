"""Word crops in an LMDB of the usual key format: read as samples, cut out of whole images, turned into a data set.

    num-samples        number of crops as text
    image-000000001    the encoded image of one word; counted from 1
    label-000000001    its transcript, UTF-8

Source: create_lmdb_dataset.py and dataset.py of clovaai/deep-text-recognition-benchmark, in whose layout the crops of
MJSynth, SynthText and most benchmarks are passed on.
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import lmdb
import numpy as np

from textspot.data.annotation import Instance
from textspot.data.lmdb_file import NewLmdb, OpenLmdb
from textspot.data.lmdb_records import DamagedRecordError, Reader, Writer
from textspot.geometry import box_to_quad, polygon_to_ribbon, ribbon_points, ribbon_size
from textspot.image_files import ImageError, decode_image
from textspot.progress import Track, untracked
from textspot.structures import Sample

_COUNT_KEY = b"num-samples"


def _image_key(index: int) -> bytes:
    return b"image-%09d" % (index + 1)


def _label_key(index: int) -> bytes:
    return b"label-%09d" % (index + 1)


class CropReader:
    """Read crops: `reader[i]` is the encoded image and its transcript, `reader.sample(i)` a `Sample`.

    Opened as `OpenLmdb` says; what has no number of crops is a ValueError. A crop that is missing or cannot be decoded
    is a `DamagedRecordError`, an index out of range an IndexError.
    """

    def __init__(self, path: str | os.PathLike):
        self._file = OpenLmdb(path)
        self.path = self._file.path
        try:
            with self._file.begin() as transaction:
                value = transaction.get(_COUNT_KEY)
                if value is None:
                    raise ValueError(f"it has no key {_COUNT_KEY.decode()}")
                self._count = int(bytes(value))
        except (lmdb.Error, ValueError) as error:
            raise ValueError(f"{self.path}: no LMDB of word crops that can be read: {error}") from error

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[bytes, str]:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path}: crop {index} of {len(self)}")
        try:
            with self._file.begin() as transaction:
                image, label = transaction.get(_image_key(index)), transaction.get(_label_key(index))
                if image is None or label is None:
                    raise ValueError("its image or its label is missing")
                return bytes(image), bytes(label).decode()
        except (lmdb.Error, ValueError) as error:
            raise DamagedRecordError(f"{self.path}: crop {index} is damaged: {error}") from error

    def sample(self, index: int) -> Sample:
        """Crop `index` decoded: an image whose one instance is the quad around all of it."""
        encoded, transcript = self[index]
        name = _image_key(index).decode()
        try:
            image = decode_image(encoded, name)
        except ImageError as error:
            raise DamagedRecordError(f"{self.path}: crop {index} is damaged: {error}") from error
        height, width = image.shape[:2]
        quad = box_to_quad(np.array([0, 0, width, height]))
        return Sample(image, [quad], [transcript], np.array([False]), name)


@dataclass(frozen=True)
class CropReport:
    """How many words became crops, or crops images, and how many did not, for which reason."""

    path: Path
    kept: int
    dropped: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.kept} kept, {sum(self.dropped.values())} dropped"]
        return "\n".join([*lines, *(f"  dropped, {reason}: {count}" for reason, count in self.dropped.items())])


def straighten(image: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """The word inside a polygon (K, 2) of an RGB image as an upright picture of its own height and width.

    A quad by its perspective, another polygon along its ribbon; what lies outside the image repeats the border.
    """
    ribbon, _ = polygon_to_ribbon(polygon)
    height, width = (max(1, round(side)) for side in ribbon_size(ribbon))
    if len(polygon) == 4:
        corners = box_to_quad(np.array([0, 0, width, height]))
        transform = cv2.getPerspectiveTransform(polygon.astype(np.float32) - 0.5, corners - 0.5)  # centres of pixels
        return cv2.warpPerspective(image, transform, (width, height), borderMode=cv2.BORDER_REPLICATE)
    u, v = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    x, y = np.moveaxis(ribbon_points(ribbon, u, v).astype(np.float32) - 0.5, 2, 0)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def cut_crops(
    reader: Reader,
    path: str | os.PathLike,
    min_height: float = 1.0,
    overwrite: bool = False,
    track: Track = untracked,
) -> CropReport:
    """Write each word of a data set that has a transcript and counts, lossless, as a crop of its own size.

    Words lower or narrower than `min_height` pixels are dropped. The target is written as `NewLmdb` says.
    """
    dropped: Counter[str] = Counter()
    kept = 0
    with NewLmdb(path, _read_everything, overwrite) as file:
        for index in track(range(len(reader)), "crops"):
            try:
                sample = reader.sample(index)
            except DamagedRecordError:
                dropped["damaged image"] += 1
                continue
            for polygon, transcript, ignored in zip(sample.polygons, sample.transcripts, sample.ignore, strict=True):
                reason = _why_dropped(polygon, transcript, bool(ignored), min_height)
                if reason:
                    dropped[reason] += 1
                    continue
                crop = cv2.cvtColor(straighten(sample.image, polygon), cv2.COLOR_RGB2BGR)
                file.put(_image_key(kept), cv2.imencode(".png", crop)[1].tobytes())
                file.put(_label_key(kept), transcript.encode())
                kept += 1
        file.put(_COUNT_KEY, b"%d" % kept)
    return CropReport(Path(path), kept, dict(dropped))


def _why_dropped(polygon: np.ndarray, transcript: str, ignored: bool, min_height: float) -> str | None:
    if ignored:
        return "to be ignored"
    if not transcript.strip():
        return "no transcript"
    if min(ribbon_size(polygon_to_ribbon(polygon)[0])) < min_height:
        return f"lower or narrower than {min_height:g} pixels"
    return None


def _read_everything(path: Path) -> None:
    crops = CropReader(path)
    for index in range(len(crops)):
        crops.sample(index)


def crops_to_records(
    crops: CropReader, path: str | os.PathLike, overwrite: bool = False, track: Track = untracked
) -> CropReport:
    """Write crops as a data set of whole images, each with one instance around all of it, to train on.

    Damaged crops and those without a transcript are dropped.
    """
    dropped: Counter[str] = Counter()
    kept = 0
    with Writer(
        path, {"name": crops.path.name, "licence": "not stated", "crops": str(crops.path)}, overwrite
    ) as writer:
        for index in track(range(len(crops)), "crops"):
            try:
                sample = crops.sample(index)
            except DamagedRecordError:
                dropped["damaged crop"] += 1
                continue
            if not sample.transcripts[0].strip():
                dropped["no transcript"] += 1
                continue
            instance = Instance(tuple(map(tuple, sample.polygons[0].tolist())), sample.transcripts[0])
            writer.add(sample.name, crops[index][0], [instance])
            kept += 1
    return CropReport(Path(path), kept, dict(dropped))
