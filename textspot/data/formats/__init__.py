"""Annotation formats: bytes of a file to instances. The names here are the choices of `format` in a dataset card."""

from collections.abc import Callable, Iterable

from textspot.data.annotation import AnnotatedImage, Instance
from textspot.data.formats import (
    art,
    coco_text,
    ctw1500_xml,
    cvat,
    icdar_box,
    icdar_quad,
    jsonl,
    label_studio,
    labelme,
    mlt,
    polygon_line,
    ppocrlabel,
    svt,
    synthtext,
    totaltext_mat,
    totaltext_txt,
    word_crops,
)

ImageParser = Callable[[bytes, str], AnnotatedImage]


def _of_image(parse: Callable[[bytes, str], list[Instance]]) -> ImageParser:
    """The parser of files that hold nothing but the instances of their image."""
    return lambda raw, source: AnnotatedImage((), tuple(parse(raw, source)))


# One annotation file per image: parse(raw, source) gives what it says about that image.
PER_IMAGE: dict[str, ImageParser] = {
    "icdar_quad": _of_image(icdar_quad.parse),
    "icdar_box": _of_image(icdar_box.parse),
    "mlt": _of_image(mlt.parse),
    "polygon_line": _of_image(polygon_line.parse),
    "totaltext_txt": _of_image(totaltext_txt.parse),
    "totaltext_mat": _of_image(totaltext_mat.parse),
    "ctw1500_xml": _of_image(ctw1500_xml.parse),
    "labelme": labelme.parse,
}


def choose_parser(name: str, raws: Iterable[bytes]) -> tuple[ImageParser, str]:
    """The parser of a format with one file per image, for the files of one data set, and a remark on these."""
    return labelme.choose(raws) if name == "labelme" else (PER_IMAGE[name], "")


# One annotation file for all images: parse(raw, source) gives the images it names.
PER_DATASET: dict[str, Callable[[bytes, str], list[AnnotatedImage]]] = {
    "jsonl": jsonl.parse,
    "label_studio": label_studio.parse,
    "ppocrlabel": ppocrlabel.parse,
    "cvat": cvat.parse,
    "art": art.parse,
    "coco_text": coco_text.parse,
    "svt": svt.parse,
    "synthtext": synthtext.parse,
    "word_crops": word_crops.parse,
}
