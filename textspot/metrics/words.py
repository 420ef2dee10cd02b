"""When a reading agrees with a transcript: the text rules of the RRC end-to-end and word-spotting protocols."""

from dataclasses import replace

from textspot.structures import Prediction
from textspot.text.lexicon import Lexicon

SPECIAL_CHARACTERS = "!?.:,*\"()·[]/'"
SHORTEST_SPOTTED_WORD = 3

# The letters that the official script accepts in a dictionary word, as inclusive ranges, without × and ÷.
_LETTER_RANGES = (("a", "z"), ("A", "Z"), ("À", "ƿ"), ("Ǆ", "ɿ"), ("Ά", "Ͽ"), ("-", "-"))
_NO_LETTERS = "×÷·"


def agree_end_to_end(transcript: str, text: str) -> bool:
    """Equal, case aside; one special character at either end of the transcript may be missing in the text (RRC task 4).

    An empty transcript agrees with an empty text only.
    """
    transcript, text = transcript.upper(), text.upper()
    starts = {0, 1} if transcript[:1] and transcript[0] in SPECIAL_CHARACTERS else {0}
    ends = {0, 1} if transcript[:1] and transcript[-1] in SPECIAL_CHARACTERS else {0}
    return any(transcript[start : len(transcript) - end] == text for start in starts for end in ends)


def agree_word_spotting(transcript: str, text: str) -> bool:
    """Equal, case aside. The transcript is one that `dictionary_word` has reduced; the text is taken as it is."""
    return transcript.upper() == text.upper()


def dictionary_word(transcript: str) -> str | None:
    """The word to be spotted in a transcript; None when it is not like a word of a dictionary, and so don't-care.

    A final 's, hyphens at the ends and special characters are taken off; what is left must be three or more letters or
    hyphens. Special characters inside (or a space) split the transcript in two, which is not one word.
    """
    word = transcript[:-2] if transcript.endswith(("'s", "'S")) else transcript
    word = word.strip("-")
    for character in SPECIAL_CHARACTERS:
        word = word.replace(character, " ")
    word = word.strip()
    if len(word) < SHORTEST_SPOTTED_WORD or not all(_is_letter(character) for character in word):
        return None
    return word


def apply_lexicon(prediction: Prediction, lexicon: Lexicon) -> Prediction:
    """Replace texts by their words of the lexicon (how: `text.lexicon`); texts without a near word stay as they are.

    But with a complete lexicon an instance whose text is like a dictionary word and near none of the lexicon is
    dropped: it must be wrong. Numbers and prices, which no vocabulary holds, stay.
    """
    instances = []
    words = lexicon.find_all([instance.text for instance in prediction])
    for instance, word in zip(prediction, words, strict=True):
        if word is not None:
            instances.append(replace(instance, text=word))
        elif not lexicon.complete or dictionary_word(instance.text) is None:
            instances.append(instance)
    return replace(prediction, instances=tuple(instances))


def _is_letter(character: str) -> bool:
    return character not in _NO_LETTERS and any(first <= character <= last for first, last in _LETTER_RANGES)
