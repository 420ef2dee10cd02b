"""Which texts are like a word of a dictionary, by the word-spotting rules of the RRC."""

SPECIAL_CHARACTERS = "!?.:,*\"()·[]/'"
SHORTEST_SPOTTED_WORD = 3

# The letters that the official script accepts in a dictionary word, as inclusive ranges, without × and ÷.
_LETTER_RANGES = (("a", "z"), ("A", "Z"), ("À", "ƿ"), ("Ǆ", "ɿ"), ("Ά", "Ͽ"), ("-", "-"))
_NO_LETTERS = "×÷·"


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


def _is_letter(character: str) -> bool:
    return character not in _NO_LETTERS and any(first <= character <= last for first, last in _LETTER_RANGES)
