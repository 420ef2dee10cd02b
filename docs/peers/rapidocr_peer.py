"""RapidOCR as a peer of `tools/benchmark.py`: paths of images on standard input, one JSON line each on standard output.

pip install "rapidocr==3.10.*" onnxruntime openvino
python tools/benchmark.py --images photos/ --weights model.onnx --peer "python docs/peers/rapidocr_peer.py"

RapidOCR reads lines of text; words are what the RRC protocols score. So a line is cut at its blanks: both long edges of
its quadrilateral are divided in proportion to the characters. Everything else is as RapidOCR comes: its models, its
thresholds, the classifier of upside-down lines.
"""

import argparse
import json
import sys

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=["onnxruntime", "openvino"], default="onnxruntime")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    engine = build_engine(options.engine, options.threads)
    for line in sys.stdin:
        found = engine(line.rstrip("\n"))
        lines = zip(found.boxes.tolist(), found.txts, found.scores, strict=True) if found.txts else []
        instances = [
            {"polygon": polygon, "text": word, "score": min(1.0, float(score))}
            for quad, text, score in lines
            for polygon, word in split_line(quad, text)
        ]
        print(json.dumps({"instances": instances}), flush=True)


if __name__ == "__main__":
    main()
