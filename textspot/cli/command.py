"""How a command ends: what went wrong in the user's words, and an exit status."""

import sys
from collections.abc import Callable

from textspot.extras import explain_missing

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
    print(f"error: {message}", file=sys.stderr)
    return 1


def say(words: str) -> None:
    """Print a remark beside the results: on standard error."""
    print(words, file=sys.stderr)
