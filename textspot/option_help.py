"""How the help of a command lists its options: what each means and what it is unless given, and no more."""

import argparse
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter


class OptionHelp(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The lines of description and epilog stay as they are; behind each option stands its default, if it has one."""

    def _get_help_string(self, action: argparse.Action) -> str:
        words = (action.help or "").rstrip(".")
        if action.required and action.option_strings:
            return f"{words} (required)"
        is_shown = action.option_strings and action.default not in (None, argparse.SUPPRESS, [], "", ())
        return f"{words} (default: {_as_typed(action.default)})" if is_shown else words


def _as_typed(value: Any) -> str:
    """A default as it would stand on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):  # of words one behind the other; a tuple is one value in brackets
        return " ".join(map(str, value))
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value)


def hide_group_files(parser: ArgumentParser) -> None:
    """Leave out of the help the option that jsonargparse adds to each group of settings, to read them from a file."""
    for action in parser._actions:
        if action.metavar == "CONFIG" and action.dest != "config":
            action.help = argparse.SUPPRESS
