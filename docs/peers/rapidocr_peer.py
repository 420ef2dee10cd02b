"""RapidOCR as a peer of `tools/benchmark.py`: paths of images on standard input, one JSON line each on standard output.

pip install "rapidocr==3.10.*" onnxruntime openvino
python tools/benchmark.py --images photos/ --weights model.onnx --peer "python docs/peers/rapidocr_peer.py"

RapidOCR reads lines of text; words are what the RRC protocols score. So a line is cut at its blanks: both long edges of
its quadrilateral are divided in proportion to the characters. Everything else is as RapidOCR comes: its models, its
thresholds, the classifier of upside-down lines.

With --words each image is the picture of one word: the recogniser reads all of it, and nothing is looked for. That
makes it a teacher for `datasets/prepare.py pseudo-label`.
"""

import argparse
import json
import sys

from PIL import Image
from rapidocr import EngineType, RapidOCR


def build_engine(engine: str, threads: int) -> RapidOCR:
    """RapidOCR on one of its engines, with so many threads for each network."""
    settings = {f"{part}.engine_type": EngineType(engine) for part in ("Det", "Cls", "Rec")}
    option = {"onnxruntime": "intra_op_num_threads", "openvino": "inference_num_threads"}[engine]
    return RapidOCR(params={"Global.log_level": "error", f"EngineConfig.{engine}.{option}": threads, **settings})


def split_line(quad: list[list[float]], text: str) -> list[tuple[list[list[float]], str]]:
    """The words of a line, each with its share of the quadrilateral TL TR BR BL."""
    top_left, top_right, bottom_right, bottom_left = quad
    words, end = [], 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        left, right = start / len(text), end / len(text)
        corners = [
            *(_between(top_left, top_right, share) for share in (left, right)),
            *(_between(bottom_left, bottom_right, share) for share in (right, left)),
        ]
        words.append((corners, word))
    return words


def _between(start: list[float], end: list[float], share: float) -> list[float]:
    return [a + share * (b - a) for a, b in zip(start, end, strict=True)]


def read_lines(engine: RapidOCR, path: str) -> list[tuple[list[list[float]], str, float]]:
    """The lines found in an image: quadrilateral, text and score."""
    found = engine(path)
    return list(zip(found.boxes.tolist(), found.txts, found.scores, strict=True)) if found.txts else []


def read_whole(engine: RapidOCR, path: str) -> list[tuple[list[list[float]], str, float]]:
    """An image read as one line that fills it, likewise."""
    found = engine(path, use_det=False, use_cls=False)
    with Image.open(path) as image:
        width, height = image.size
    quad = [[0, 0], [width, 0], [width, height], [0, height]]
    return [(quad, text, score) for text, score in zip(found.txts or (), found.scores or (), strict=True) if text]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=["onnxruntime", "openvino"], default="onnxruntime")
    parser.add_argument("--num_threads", type=int, default=2)
    parser.add_argument("--words", action="store_true", help="each image shows one word and nothing else")
    options = parser.parse_args()
    read = read_whole if options.words else read_lines
    engine = build_engine(options.engine, options.num_threads)
    for line in sys.stdin:
        instances = [
            {"polygon": polygon, "text": word, "score": min(1.0, float(score))}
            for quad, text, score in read(engine, line.rstrip("\n"))
            for polygon, word in split_line(quad, text)
        ]
        print(json.dumps({"instances": instances}), flush=True)


if __name__ == "__main__":
    main()
