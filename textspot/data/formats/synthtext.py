"""SynthText in the Wild: `gt.mat`, cell arrays with one entry per image.

    imnames  'ballet/a_0.jpg'      path of the image
    wordBB   2 x 4 x N             corners of the words: x and y; TL, TR, BR, BL; words (2 x 4 for a single word)
    txt      {'I lost', 'to the\\nend '}   texts, whose words between blanks and line ends are those of wordBB in turn

Source: readme.txt of the data set, https://www.robots.ox.ac.uk/~vgg/data/scenetext/.
"""

from typing import Any

import numpy as np

from textspot.data.annotation import AnnotatedImage, Instance
from textspot.data.parsing import AnnotationError, load_mat, number_items, parse_each, parse_points

VARIABLES = ("imnames", "wordBB", "txt")


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one file, whose name `source` complaints carry; what does not fit is an `AnnotationError`."""
    values = load_mat(raw, source, VARIABLES)
    columns = [np.ravel(values[name]) for name in VARIABLES]
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{len(column)} {name}" for name, column in zip(VARIABLES, columns, strict=True))
        raise AnnotationError([f"{source}: expected one entry per image in each variable, found {lengths}"])
    return parse_each(number_items(f"{source}: image", zip(*columns, strict=True)), _parse_image)


def _parse_image(image: tuple[Any, np.ndarray, np.ndarray]) -> AnnotatedImage:
    names, corners, texts = image
    name = "".join(np.ravel(names).tolist())
    words = " ".join(np.ravel(texts).tolist()).split()
    corners = corners[..., None] if corners.ndim == 2 else corners
    if corners.shape != (2, 4, len(words)):
        raise ValueError(
            f"{name}: found corners of shape {corners.shape} for {len(words)} words, expected (2, 4, words)"
        )
    quads = corners.transpose(2, 1, 0).reshape(-1, 8)
    instances = (Instance(parse_points(quad.tolist()), word) for quad, word in zip(quads, words, strict=True))
    return AnnotatedImage((name,), tuple(instances))
