"""The page of errors: one HTML file that shows, image by image, what a protocol does not give credit for.

It holds everything it shows and needs neither a server nor a network. Needs no torch.
"""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from textspot.geometry import polygon_to_ribbon, ribbon_size
from textspot.image_files import IMAGE_SUFFIXES
from textspot.metrics.errors import KINDS, Error, count_confusions, find_errors
from textspot.metrics.overlaps import measure_overlaps
from textspot.metrics.protocols import AnnotatedImage, Protocol
from textspot.metrics.rules import ImageResult
from textspot.metrics.scoring import Scores
from textspot.structures import Prediction

COLOURS = {"missed": "#e6352b", "false": "#ff8c1a", "split": "#b14cff", "merged": "#1f9bff", "misread": "#f2c500"}
JPEG_QUALITY = 80
MOST_COMPLAINTS = 5  # shown of images that are not found
MOST_CONFUSIONS = 40  # pairs of characters shown
RIGHT = "right"  # what a word is when it is part of no error


@dataclass(frozen=True)
class Examined:
    """One image: what was scored of its prediction, by which result, and the errors in it."""

    ground_truth: AnnotatedImage
    prediction: Prediction
    result: ImageResult
    errors: Sequence[Error]

    def words(self, error: Error) -> list[str]:
        """The transcripts of an error's words."""
        return [self.ground_truth.transcripts[word] for word in error.words]

    def texts(self, error: Error) -> list[str]:
        """The texts of an error's detections."""
        return [self.prediction[detection].text for detection in error.detections]


def find_images(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of the images that ground truth calls `names`: image `7` is `img_7` or `7` with an image's suffix.

    Names that no file has, or more than one, are in one ValueError; a folder that is not there is an OSError.
    """
    files: dict[str, list[Path]] = {name: [] for name in names}
    for file in sorted(folder.iterdir()):
        name = file.stem.removeprefix("img_")
        if name in files and file.suffix.lower() in IMAGE_SUFFIXES:
            files[name].append(file)
    complaints = [f"no image {name!r}: expected img_{name}.jpg or the like" for name in names if not files[name]]
    complaints += [
        f"image {name!r} may be {' or '.join(file.name for file in found)}: keep one"
        for name, found in files.items()
        if len(found) > 1
    ]
    if complaints:
        shown = complaints[:MOST_COMPLAINTS]
        more = [f"and {len(complaints) - len(shown)} more"] if len(complaints) > len(shown) else []
        raise ValueError(f"{folder}: {'; '.join(shown + more)}")
    return [found[0] for found in files.values()]


def build_report(scores: Scores, images: Iterable[np.ndarray], width: int = 960) -> str:
    """The page about `scores`, as HTML. `images` are those that were scored, in their order: (H, W, 3) uint8 RGB.

    Errors are those of the first protocol that reads, or else of the first. Pictures wider than `width` pixels are
    shrunk to it. The images with the most errors come first. No image gives a page without pictures; more or fewer
    images than were scored are a ValueError.
    """
    protocol = next((protocol for protocol in scores.protocols if protocol.reads), scores.protocols[0])
    pairs = zip(scores.predictions, scores.ground_truths, strict=True)
    examined = [examine(protocol, prediction, ground_truth) for prediction, ground_truth in pairs]
    numbered = zip(range(len(examined)), examined, images, strict=True)
    articles = [(len(one.errors), _render_image(number, one, image, width)) for number, one, image in numbered]
    articles.sort(key=lambda article: -article[0])
    return _PAGE.format(
        title=escape(protocol.name),
        style=_STYLE + "".join(f".{kind}{{--colour:{colour}}}" for kind, colour in COLOURS.items()),
        summary=_render_summary(scores, protocol, examined),
        breakdown=_render_breakdown(examined) + _render_confusions(examined),
        articles="\n".join(article for _, article in articles),
        script=_SCRIPT,
    )


def examine(protocol: Protocol, prediction: Prediction, ground_truth: AnnotatedImage) -> Examined:
    """One image that the protocol has scored."""
    seen, result = protocol.see(prediction, ground_truth.name), protocol.results[ground_truth.name]
    overlaps = measure_overlaps(ground_truth.polygons, [instance.polygon for instance in seen])
    return Examined(ground_truth, seen, result, find_errors(result, overlaps))


def _render_summary(scores: Scores, protocol: Protocol, examined: Sequence[Examined]) -> str:
    rows = [
        [escape(name).replace("/", "/<wbr>"), *(f"{figures[key]:.4f}" for key in ("precision", "recall", "hmean"))]
        for name, figures in scores.figures.items()
    ]
    num_words = sum(int(one.result.word_counts.sum()) for one in examined)
    num_detections = sum(int(one.result.detection_counts.sum()) for one in examined)
    threshold = "" if scores.threshold is None else f", score threshold {scores.threshold:.4f}"
    counts = Counter(error.kind for one in examined for error in one.errors)
    kinds = "".join(_render_choice(kind, kind, counts[kind]) for kind in KINDS)
    return f"""<p>{len(examined)} images, {num_words} words and {num_detections} detections that count{threshold}.
Errors by <b>{escape(protocol.name)}</b>.</p>
{_render_table("", ["protocol", "precision", "recall", "hmean"], rows)}
<form>{_render_choice("errors", "all errors", counts.total(), " checked")}{kinds}
<label>order <select id="order"><option value="">most errors first</option><option value="given">as given</option>
</select></label></form>
<p class="note">Solid outlines are detections, dashed ones annotated words; what is right is green, what counts neither
way grey. Choose an error in a list to see it from near, and again to see the whole image.</p>"""


def _render_choice(kind: str, label: str, count: int, checked: str = "") -> str:
    return (
        f'<label class="chip {kind}"><input type="radio" name="kind" value="{kind}"{checked}>{label} '
        f"<b>{count}</b></label>"
    )


def _render_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; the first column is text, the others are numbers."""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    titles = "".join(f"<th>{title}</th>" for title in head)
    return f"<table><caption>{caption}</caption><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def measure_angle(polygon: np.ndarray) -> float:
    """Degrees in [0, 180] between the reading direction of a word (K, 2) and the horizontal to the right."""
    ribbon, _ = polygon_to_ribbon(polygon)
    along = (ribbon[:, -1] - ribbon[:, 0]).sum(axis=0)
    return float(np.degrees(np.arctan2(abs(along[1]), along[0])))


# Caption, the edges of the rows (the upper one excluded), and the measure of a polygon and its transcript.
MEASURES: tuple[tuple[str, tuple[int, ...], Callable[[np.ndarray, str], float]], ...] = (
    ("Height in pixels", (10, 15, 25, 50), lambda polygon, _: ribbon_size(polygon_to_ribbon(polygon)[0])[0]),
    ("Length in characters", (3, 6, 9), lambda _, transcript: len(transcript)),
    ("Angle in degrees", (5, 15, 45), lambda polygon, _: measure_angle(polygon)),
)


def _render_breakdown(examined: Sequence[Examined]) -> str:
    """What became of the words that count, by their size, length and angle."""
    words = [
        (one.ground_truth.polygons[word], one.ground_truth.transcripts[word], fate)
        for one in examined
        for word, fate in _fates(one).items()
    ]
    wrong = [kind for kind in KINDS if kind != "false"]  # which is no word's fate
    tables = []
    for caption, edges, measure in MEASURES:
        counts = [Counter[str]() for _ in range(len(edges) + 1)]
        for polygon, transcript, fate in words:
            counts[int(np.digitize(measure(polygon, transcript), edges))][fate] += 1
        between = [f"{low}–{high - 1}" for low, high in pairwise(edges)]
        labels = [f"&lt; {edges[0]}", *between, f"≥ {edges[-1]}"]
        rows = [
            [label, str(count.total()), f"{count[RIGHT] / count.total():.0%}", *(str(count[fate]) for fate in wrong)]
            for label, count in zip(labels, counts, strict=True)
            if count
        ]
        tables.append(_render_table(caption, ["", "words", RIGHT, *wrong], rows))
    return "".join(tables)


def _fates(one: Examined) -> dict[int, str]:
    """What became of each word that counts: the kind of the error that it is part of, or `RIGHT`."""
    fates = dict.fromkeys(np.flatnonzero(one.result.word_counts).tolist(), RIGHT)
    return fates | {word: error.kind for error in one.errors for word in error.words}


def _render_confusions(examined: Sequence[Examined]) -> str:
    misread = [(one, error) for one in examined for error in one.errors if error.kind == "misread"]
    pairs = [(one.words(error)[0], one.texts(error)[0]) for one, error in misread]
    counts = count_confusions(pairs).most_common(MOST_CONFUSIONS)
    if not counts:
        return ""
    items = "".join(f"<li>{_show(there)} → {_show(read)} <b>{count}</b></li>" for (there, read), count in counts)
    return f"<section><h2>Characters of misread words: annotated → read</h2><ul class='pairs'>{items}</ul></section>"


def _show(text: str) -> str:
    """A text or a character as HTML; in its own direction, and not invisible."""
    return f"<bdi>{escape(text)}</bdi>" if text.strip() else "<i>space</i>" if text else "<i>nothing</i>"


def _render_image(number: int, one: Examined, image: np.ndarray, width: int) -> str:
    """An article: the picture with outlines, and the list of its errors."""
    counts = Counter(error.kind for error in one.errors)
    data = "".join(f' data-{kind}="{counts[kind]}"' for kind in KINDS)
    figures = one.result.figures
    height_px, width_px = image.shape[:2]
    items = "".join(
        f'<li class="error {error.kind}"><button data-box="{_view_around(one, error)}">{_describe(one, error)}'
        "</button></li>"
        for error in one.errors
    )
    box = f"0 0 {width_px} {height_px}"
    return f"""<article data-number="{number}" data-errors="{len(one.errors)}"{data}>
<h2>{escape(one.ground_truth.name)} <small>precision {figures.precision:.2f}, recall {figures.recall:.2f}</small></h2>
<svg viewBox="{box}" data-box="{box}" style="aspect-ratio:{width_px}/{height_px}">
<image width="{width_px}" height="{height_px}" href="{_to_data_uri(image, width)}"/>
{_render_outlines(one)}</svg>
<ul>{items or "<li>no errors</li>"}</ul></article>"""


def _to_data_uri(image: np.ndarray, width: int) -> str:
    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _render_outlines(one: Examined) -> str:
    """What is right and what counts neither way first, so that errors lie on top."""
    truth, found, result = one.ground_truth, one.prediction, one.result
    wrong = {detection for error in one.errors for detection in error.detections}
    outlines = [
        _render_outline("ignored word", truth.polygons[word], truth.transcripts[word])
        for word in np.flatnonzero(~result.word_counts).tolist()
    ]
    for detection, instance in enumerate(found):
        if detection not in wrong:
            kind = RIGHT if result.detection_counts[detection] else "ignored"
            outlines.append(_render_outline(kind, instance.polygon, instance.text))
    for error in one.errors:
        described = _describe(one, error, str)
        if error.kind != "misread":  # its word lies where its detection lies
            outlines += [
                _render_outline(f"error word {error.kind}", truth.polygons[word], described) for word in error.words
            ]
        outlines += [
            _render_outline(f"error {error.kind}", found[detection].polygon, described)
            for detection in error.detections
        ]
    return "".join(outlines)


def _render_outline(classes: str, polygon: np.ndarray, title: str) -> str:
    points = " ".join(f"{x:.5g},{y:.5g}" for x, y in polygon)
    return f'<polygon class="{classes}" points="{points}"><title>{escape(title)}</title></polygon>\n'


def _describe(one: Examined, error: Error, show: Callable[[str], str] = _show) -> str:
    """An error in words: its kind, what stands there and what was read."""
    words, texts = one.words(error), one.texts(error)
    sides = [words, texts] if words and texts else [words or list(filter(None, texts))]
    return f"{error.kind} {' → '.join(' | '.join(map(show, side)) for side in sides)}"


def _view_around(one: Examined, error: Error) -> str:
    """The part of the image to look at for an error, as the viewBox of an SVG."""
    polygons = [one.ground_truth.polygons[word] for word in error.words]
    points = np.concatenate(polygons + [one.prediction[detection].polygon for detection in error.detections])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 10 + (high - low).max() / 2
    return " ".join(f"{value:.0f}" for value in (*(low - margin), *(high - low + 2 * margin)))


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Errors: {title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>Errors</h1>
{summary}
</header>
<details><summary>By height, length and angle of the words; characters</summary><div class="tables">{breakdown}</div>
</details>
<main>
{articles}
</main>
<script>{script}</script>
</body>
</html>
"""

_STYLE = """
body{margin:0 auto;max-width:1240px;padding:0 16px 40px;font:15px/1.45 system-ui,sans-serif;color:#1d2430;
background:#fff}
h1{font-size:24px;margin:20px 0 4px}h2{font-size:16px;margin:0;overflow-wrap:anywhere}
small,.note,caption,th{color:#5c6675;font-weight:normal;font-size:13px}
table{border-collapse:collapse}caption{text-align:left;font-weight:600;color:inherit}
th,td{padding:3px 7px 3px 0;text-align:right;font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left}td{border-top:1px solid #e3e7ec}
form{display:flex;flex-wrap:wrap;gap:6px 8px;align-items:center;margin:14px 0 6px}
.chip,button{border:1px solid #cfd6de;border-left:8px solid var(--colour,#7c8796);border-radius:5px;background:#fff;
padding:3px 9px 3px 6px;font:inherit;color:inherit;cursor:pointer}
.chip input{margin:0 5px 0 0}select{font:inherit}
details{margin:10px 0;padding:8px 12px;background:#f5f7f9;border-radius:6px}summary{cursor:pointer}
.tables{display:flex;flex-wrap:wrap;align-items:start;gap:20px 28px;padding-top:10px}
ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:6px;align-content:start}
.pairs{gap:4px 18px;margin-top:6px}
article{display:grid;gap:8px 16px;padding:18px 0;border-top:1px solid #d5dbe2;content-visibility:auto;
contain-intrinsic-size:auto 600px}
button{text-align:left;overflow-wrap:anywhere}button.near{background:#e9edf2}
svg{width:100%;max-height:85vh;background:#eef0f3;cursor:zoom-out}
polygon{fill:none;stroke:var(--colour);stroke-width:2px;vector-effect:non-scaling-stroke}
polygon.error{filter:drop-shadow(0 0 1px #000)}
polygon.right{stroke:#21c25b;stroke-width:1.5px}polygon.ignored{stroke:#c3c8ce;stroke-width:1.5px}
polygon.word{stroke-dasharray:5 3}[hidden]{display:none!important}
@media(max-width:500px){th,td{font-size:12px}}
@media(min-width:900px){article{grid-template-columns:minmax(0,3fr) minmax(0,1fr)}article h2{grid-column:1/-1}
svg{position:sticky;top:8px}}
"""

_SCRIPT = """
const main = document.querySelector('main'), form = document.querySelector('form'), articles = [...main.children];
form.onchange = () => {
  const kind = form.elements.kind.value, given = form.elements.order.value === 'given';
  const count = article => Number(article.dataset[kind]);
  articles.sort((a, b) => (given ? 0 : count(b) - count(a)) || a.dataset.number - b.dataset.number);
  main.append(...articles);
  for (const article of articles) article.hidden = kind !== 'errors' && count(article) === 0;
  for (const error of main.querySelectorAll('.error'))
    error.toggleAttribute('hidden', kind !== 'errors' && !error.classList.contains(kind));
};
main.onclick = event => {
  const article = event.target.closest('article'), button = event.target.closest('button');
  if (!article || !(button || event.target.closest('svg'))) return;
  const svg = article.querySelector('svg'), far = !button || button.classList.contains('near');
  for (const other of article.querySelectorAll('.near')) other.classList.remove('near');
  if (!far) button.classList.add('near');
  svg.setAttribute('viewBox', far ? svg.dataset.box : button.dataset.box);
  svg.scrollIntoView({block: 'nearest'});
};
"""
