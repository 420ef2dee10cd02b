"""How many words of rendered images are read right, for each language: without a language, with its own, with `auto`.

    python tools/experiments/languages/reading_by_language.py --weights runs/spotter_latin --fonts HELD_OUT_FONTS

The words are those that `words.part: train` leaves out, so weights trained by configs/spotter_latin.yaml or
spotter_cyrillic.yaml have not seen them; neither have they seen the seed. Whether they know the typefaces is up to
`--fonts`. The language model is made of a list that holds the words. Three in a hundred are strings of any characters
instead. `--kinds` measures the same for texts that are of no language.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np

import textspot
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.synthetic.words import WordConfig
from textspot.geometry import polygon_to_ribbon
from textspot.inference.spotter import Spotter
from textspot.preprocess import preprocess
from textspot.runtime.torch_runtime import TorchRuntime
from textspot.structures import Sample
from textspot.text.language import list_languages, read_words
from textspot.text.language_choice import choose_language

SEED = 28_000  # no recipe draws with it
KINDS = {  # what is written that is no word of a list
    "numbers, prices, codes": WordConfig(number_share=1.0, sign_share=0.0),
    "invented names": WordConfig(number_share=0.0, sign_share=0.0),
    "phrases of English signs": WordConfig(number_share=0.0, sign_share=1.0),
}


def languages_of(characters: str) -> list[str]:
    """The languages that ship of which some word consists of these characters."""
    return [name for name in list_languages() if any(map(set(characters).issuperset, read_words(name)))]


def render(config: WordConfig, options: argparse.Namespace) -> Iterator[Sample]:
    """The images of a kind of words."""
    renderer = Renderer(RendererConfig(height=384, width=384, fonts=options.fonts, words=config, max_text_height=40.0))
    return (renderer.render(SEED, index) for index in range(options.num_images))


def count_right(
    spotter: Spotter, samples: Iterator[Sample], languages: Mapping[str, str]
) -> tuple[dict[str, int], int]:
    """The number of words that are read exactly right with each of the languages, and the number of all that count."""
    chosen = {title: choose_language(name) for title, name in languages.items()}
    right: dict[str, int] = defaultdict(int)
    num_words = 0
    for sample in samples:
        known = [not ignore for ignore in sample.ignore]
        polygons = [polygon for polygon, counts in zip(sample.polygons, known, strict=True) if counts]
        transcripts = [text for text, counts in zip(sample.transcripts, known, strict=True) if counts]
        if not polygons:
            continue
        num_words += len(polygons)
        pixels, scale = preprocess(sample.image, spotter.card.preprocess)
        ribbons = np.stack([polygon_to_ribbon(polygon * scale)[0] for polygon in polygons])
        logits = cast(TorchRuntime, spotter.runtime).read(pixels, ribbons)
        for title, spotter.language in chosen.items():
            texts = [text for text, _ in spotter.decode_text(logits)]
            right[title] += sum(text == truth for text, truth in zip(texts, transcripts, strict=True))
    return right, num_words


def compare_languages(spotter: Spotter, options: argparse.Namespace) -> None:
    """Print the table of the languages."""
    characters = spotter.card.charset.characters
    print("| language | words | without language | with language | auto |\n|---|---|---|---|---|")
    shares = []
    for name in options.languages or languages_of(characters):
        words = WordConfig(
            languages=(name,),
            part="held_out",
            characters=characters,
            sign_share=0.0,
            invented_share=0.0,
            number_share=0.0,
        )
        ways = {"without": "none", "with": name, "auto": "auto"}
        right, num_words = count_right(spotter, render(words, options), ways)
        share = [right[way] / max(num_words, 1) for way in ways]
        shares.append(share)
        print(f"| {name} | {num_words} | " + " | ".join(f"{value:.3f}" for value in share) + " |", flush=True)
    print("| median | | " + " | ".join(f"{median(column):.3f}" for column in zip(*shares, strict=True)) + " |")


def compare_kinds(spotter: Spotter, options: argparse.Namespace) -> None:
    """Print what each language does to texts of no language."""
    names = ["none", "auto", *(options.languages or languages_of(spotter.card.charset.characters))]
    print("| text | words | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 2))
    for kind, config in KINDS.items():
        words = replace(config, characters=spotter.card.charset.characters)
        right, num_words = count_right(spotter, render(words, options), {name: name for name in names})
        values = " | ".join(f"{right[name] / max(num_words, 1):.3f}" for name in names)
        print(f"| {kind} | {num_words} | {values} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="weights for PyTorch, or a run's folder")
    parser.add_argument("--fonts", default="shipped", help="typefaces that were not trained on: a folder, or shipped")
    parser.add_argument("--num_images", type=int, default=200, help="images per language, each of some words")
    parser.add_argument(
        "--languages", nargs="*", choices=list_languages(), help="the rows; by default all that the weights can write"
    )
    parser.add_argument(
        "--kinds", action="store_true", help="numbers, names and English signs instead of the languages"
    )
    options = parser.parse_args()
    spotter = textspot.load(options.weights, runtime="pytorch")
    (compare_kinds if options.kinds else compare_languages)(spotter, options)


if __name__ == "__main__":
    main()
