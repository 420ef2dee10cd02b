"""How a command ends: what went wrong in the user's words, and an exit status."""

import os
import shlex
import sys
import unicodedata
from collections.abc import Callable

from textspot.extras import explain_missing

MOST_PRINTED = 10_000  # characters of a message
INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def run_command(action: Callable[[], int], interrupted: str = "interrupted") -> int:
    """The exit status that `action` returns; 1 after a ValueError, an OSError or the import of a package that an extra
    brings, whose message is printed, and `INTERRUPTED` after Ctrl-C."""
    try:
        return action()
    except (ValueError, OSError) as error:
        message: str | None = str(error)
    except ImportError as error:
        message = explain_missing(error)
        if message is None:
            raise
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
    say(f"error: {message}")
    return 1


def how_to_read(weights: str | os.PathLike) -> str:
    """The command that reads a photograph with these weights, as a shell takes it."""
    command = shlex.join(["textspot", "infer", "--weights", os.fspath(weights), "YOUR_PHOTO.jpg"])
    return printable(f"  {command}")


def say(words: str) -> None:
    """Print a remark beside the results: on standard error."""
    print(printable(words), file=sys.stderr)


def printable(words: str) -> str:
    """Words as a terminal may show them: what would steer it, or is no text (names that are not UTF-8), is escaped, and
    what goes beyond `MOST_PRINTED` characters is cut off."""
    shown = "".join(c if c in "\n\t" or not _steers(c) else ascii(c)[1:-1] for c in words[:MOST_PRINTED])
    return shown + (f" ... {len(words) - MOST_PRINTED} more characters" if len(words) > MOST_PRINTED else "")


def _steers(character: str) -> bool:
    """Whether it is a control character, a mark of writing direction, or a surrogate."""
    return unicodedata.category(character) in ("Cc", "Cs") or character in "\u202a\u202b\u202c\u202d\u202e"
