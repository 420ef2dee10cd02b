"""The images that are read, as files, and what is written in them if that is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from textspot.data.lmdb_records import Reader
from textspot.image_files import IMAGE_SUFFIXES
from textspot.metrics import GroundTruth, build_protocol, read_ground_truths
from textspot.structures import Prediction

PROTOCOLS = ("icdar2015/detection_iou", "icdar2015/end_to_end")


@dataclass(frozen=True)
class ImageSet:
    """Image files, and in the same order the ground truth of each, or none at all."""

    files: Sequence[Path]
    ground_truths: Sequence[GroundTruth] = ()

    def score(self, predictions: Sequence[Prediction]) -> dict[str, float]:
        """The hmean by each of `PROTOCOLS`; nothing without ground truth. Regions that could not be read do not
        count against reading, as in `engine.evaluate.score_dataset`."""
        figures = {}
        for name in PROTOCOLS if self.ground_truths else ():
            protocol = build_protocol(name, unread_counts=False)
            for prediction, ground_truth in zip(predictions, self.ground_truths, strict=True):
                protocol.update(prediction, ground_truth)
            figures[name] = protocol.figures().hmean
        return figures


def find_images(paths: Sequence[Path], ground_truth: Path | None = None, limit: int | None = None) -> ImageSet:
    """The image files at `paths`, of folders those at any depth, or `limit` of them, evenly spread. `ground_truth` is a
    zip or folder of `gt_<image>.txt`, one for each image. No image at all, or none of that name, is a ValueError."""
    found = [file for path in paths for file in (_files_below(path) if path.is_dir() else [path])]
    if not found:
        raise ValueError(f"no image in {', '.join(map(str, paths)) or 'nothing'}")
    files = [found[number] for number in spread(len(found), limit)]
    if ground_truth is None:
        return ImageSet(files)
    by_name, _ = read_ground_truths(ground_truth)
    unknown = [file for file in files if _name(file) not in by_name]
    if unknown:
        name = _name(unknown[0])
        raise ValueError(f"{ground_truth}: has no gt_{name}.txt or gt_img_{name}.txt for {unknown[0]}")
    return ImageSet(files, [by_name[_name(file)] for file in files])


def _files_below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())


def _name(file: Path) -> str:
    return file.stem.removeprefix("img_")


def unpack_images(reader: Reader, folder: Path, limit: int | None = None) -> ImageSet:
    """Write the images of an LMDB, or `limit` of them, as files below `folder`, byte for byte, with what is written in
    them. An empty LMDB is a ValueError."""
    if not len(reader):
        raise ValueError(f"{reader.path}: holds no image")
    files, ground_truths = [], []
    for number in spread(len(reader), limit):
        sample = reader.sample(number)
        files.append(folder / f"{number:06d}{PurePosixPath(sample.name).suffix}")
        files[-1].write_bytes(reader[number].image_bytes)
        ground_truths.append(GroundTruth(sample.polygons, sample.transcripts, sample.ignore, sample.name))
    return ImageSet(files, ground_truths)


def spread(count: int, limit: int | None) -> Sequence[int]:
    """`limit` of the numbers below `count`, evenly spread; all of them for None."""
    return range(count) if limit is None or limit >= count else [n * count // limit for n in range(limit)]
