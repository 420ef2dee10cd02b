"""Which scripts can be read and drawn, and why others cannot."""

import unicodedata
from collections.abc import Iterable

RIGHT_TO_LEFT = ("R", "AL")  # Hebrew, Arabic and the like
MOST_NAMED = 5


def refuse_right_to_left(characters: Iterable[str]) -> str:
    """What is wrong with characters of which some run from right to left; nothing if none does.

    CTC puts characters in the order in which they stand along the ribbon, from left to right. Transcripts have them in
    the order in which they are spoken. For these scripts the two differ, and nothing here turns one into the other.
    """
    backwards = [c for c in characters if unicodedata.bidirectional(c) in RIGHT_TO_LEFT]
    if not backwards:
        return ""
    named = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in backwards[:MOST_NAMED])
    return f"holds {named}, which run from right to left: such scripts are neither drawn nor read. Leave them out"
