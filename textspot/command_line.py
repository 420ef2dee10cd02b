"""How the commands end: what went wrong in the user's words, and an exit status."""

import sys
from collections.abc import Callable

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def run_command(action: Callable[[], int], interrupted: str = "interrupted") -> int:
    """The exit status that `action` returns; 1 after a ValueError or an OSError, whose message is printed, and
    `INTERRUPTED` after Ctrl-C."""
    try:
        return action()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return INTERRUPTED
