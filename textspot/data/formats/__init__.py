"""Annotation formats: bytes of a file to instances. The names here are the choices of `format` in a dataset card."""

from collections.abc import Callable

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

# One annotation file per image: parse(raw, source) gives that image's instances.
PER_IMAGE: dict[str, Callable[[bytes, str], list[Instance]]] = {
    "icdar_quad": icdar_quad.parse,
    "icdar_box": icdar_box.parse,
    "mlt": mlt.parse,
    "polygon_line": polygon_line.parse,
    "totaltext_txt": totaltext_txt.parse,
    "totaltext_mat": totaltext_mat.parse,
    "ctw1500_xml": ctw1500_xml.parse,
    "labelme": labelme.parse,
}

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
