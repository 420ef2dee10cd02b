"""Read the text in a photograph with an exported network: numpy, Pillow and ONNX Runtime, nothing of textspot.

python docs/read_onnx.py spotter.onnx photo.jpg

A start for a port to another language. `textspot.load("spotter.onnx")` does the same, and besides: exact suppression of
overlapping regions, tiles of very large images, batches, languages, lexicons.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MULTIPLE = 32  # sides of the network's input


def prepare(image: Image.Image, max_side: int, mean: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """The network's input (1, 3, H, W) uint8, and its pixels per pixel of the image (x, y)."""
    shrink = min(1.0, max_side / max(image.size))
    width, height = (max(1, round(side * shrink)) for side in image.size)
    pixels = np.empty((-(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE, 3), np.uint8)
    pixels[:] = np.round(mean)
    pixels[:height, :width] = image.resize((width, height), Image.Resampling.BOX) if shrink < 1 else image
    return pixels.transpose(2, 0, 1)[None], np.array([width / image.width, height / image.height])


def read_text(logits: np.ndarray, characters: str) -> tuple[str, float]:
    """The best path of logits (T, C): the best class of each step, of equal neighbours one, without blanks (0); and the
    geometric mean of the probabilities of these classes."""
    best = logits.argmax(axis=1)
    starts = np.concatenate([[True], best[1:] != best[:-1]])
    shifted = logits - logits.max(axis=1, keepdims=True)
    text_score = np.exp(-np.log(np.exp(shifted).sum(axis=1)).mean())
    return "".join(characters[token - 1] for token in best[starts] if token), float(text_score)


def outline(ribbon: np.ndarray, num_points: int) -> np.ndarray:
    """The polygon (2 * num_points, 2) of a ribbon (2, 4, 2): the cubic Bezier curves of its top and bottom edge."""
    t = np.linspace(0, 1, num_points)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    top, bottom = weights @ ribbon
    return np.concatenate([top, bottom[::-1]])


def box_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """IoU of the boxes around two polygons."""
    (a0, a1), (b0, b1) = (a.min(axis=0), a.max(axis=0)), (b.min(axis=0), b.max(axis=0))
    shared = np.prod(np.clip(np.minimum(a1, b1) - np.maximum(a0, b0), 0, None))
    return float(shared / max(np.prod(a1 - a0) + np.prod(b1 - b0) - shared, 1e-9))


def read(session: onnxruntime.InferenceSession, image: Image.Image) -> list[tuple[np.ndarray, str, float]]:
    """(polygon, text, score) of each piece of text in an RGB image, best score first."""
    metadata = session.get_modelmeta().custom_metadata_map
    recipe, threshold = json.loads(metadata["recipe"]), json.loads(metadata["threshold"])
    pixels, scale = prepare(image, recipe["preprocess"]["max_side"], recipe["preprocess"]["mean"])
    max_regions = recipe["postprocess"]["max_regions"]
    feed = {"image": pixels, "threshold": np.array(threshold, np.float32), "max_regions": np.array(max_regions)}
    ribbons, scores, logits = (output[0] for output in session.run(["ribbons", "scores", "text_logits"], feed))
    texts, text_scores = zip(*(read_text(one, recipe["text"]["characters"]) for one in logits), strict=True)
    scores = scores * np.power(text_scores, recipe["postprocess"]["text_power"])
    found: list[tuple[np.ndarray, str, float]] = []
    for number in np.argsort(-scores, kind="stable"):
        ribbon, score = ribbons[number] / scale, scores[number]
        polygon = outline(ribbon, recipe["postprocess"]["points_per_edge"])
        middle = polygon.mean(axis=0)
        inside = (middle >= 0).all() and (middle <= image.size).all()
        if (
            score >= threshold
            and inside
            and all(box_overlap(polygon, other) <= recipe["postprocess"]["max_overlap"] for other, _, _ in found)
        ):
            found.append((np.clip(polygon, 0, image.size), texts[number], float(score)))
    return found


if __name__ == "__main__":
    photo = ImageOps.exif_transpose(Image.open(sys.argv[2])).convert("RGB")
    for corners, word, confidence in read(onnxruntime.InferenceSession(sys.argv[1]), photo):
        print(f"{confidence:.2f} {word!r} {corners.round(1).tolist()}")
