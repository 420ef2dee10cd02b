"""When a reading agrees with a transcript: the text rules of the RRC end-to-end and word-spotting protocols."""

from textspot.text.dictionary import SPECIAL_CHARACTERS


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
