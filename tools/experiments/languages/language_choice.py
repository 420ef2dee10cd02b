"""How often `auto` finds the language of some words, which are drawn by their frequencies in wordfreq.

    pip install wordfreq
    python tools/experiments/languages/language_choice.py

The words are read without errors here. Danish and Norwegian, Czech and Slovak share many words.
"""

import argparse

import numpy as np
from word_lists import ALL_CODES, frequencies_of

from textspot.text.language_choice import choose_name
from textspot.text.spelling import spelling_of

NUM_WORDS = (1, 3, 5, 10, 20)


def share_found(name: str, num_words: int, num_images: int, rng: np.random.Generator) -> float:
    """The share of images of so many words whose language is found."""
    frequencies = frequencies_of(name)
    upper = spelling_of(name).upper
    words, weights = list(frequencies), np.array(list(frequencies.values()))
    drawn = rng.choice(len(words), (num_images, num_words), p=weights / weights.sum())
    return float(np.mean([choose_name([upper(words[place]) for place in row]) == name for row in drawn]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num_images", type=int, default=200, help="images per language and number of words")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(
        "| language | " + " | ".join(f"{count} words" for count in NUM_WORDS) + " |\n|" + "---|" * (len(NUM_WORDS) + 1)
    )
    rows = []
    for name in sorted(ALL_CODES):
        rows.append([share_found(name, count, options.num_images, rng) for count in NUM_WORDS])
        print(f"| {name} | " + " | ".join(f"{share:.2f}" for share in rows[-1]) + " |", flush=True)
    print("| mean | " + " | ".join(f"{share:.2f}" for share in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
