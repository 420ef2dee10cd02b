"""The options of a command: how its help lists them, what each means and is unless given, and those in a file."""

import argparse
from collections.abc import Sequence
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentParser, DefaultHelpFormatter

from textspot.regular_file import refuse_other_kinds


class ConfigFile(ActionConfigFile):
    """An option that reads others from a file."""

    def __call__(self, parser, cfg, values, option_string=None) -> None:
        try:
            refuse_other_kinds(values, "a YAML file")
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        super().__call__(parser, cfg, values, option_string)


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
    """Leave out of the help the option that jsonargparse adds to each group of settings, to read them from a file; and
    explain the one that prints all settings."""
    for action in parser._actions:
        if action.metavar == "CONFIG" and action.dest != "config":
            action.help = argparse.SUPPRESS
        if action.dest == "print_config":
            action.help = "print all settings as YAML and exit; =skip_default leaves the defaults out"


def hide_options(parser: ArgumentParser, names: Sequence[str]) -> None:
    """Leave out of the help the options of these names, and those of settings below them."""
    for action in parser._actions:
        if any(f"{action.dest}.".startswith(f"{name}.") for name in names):
            action.help = argparse.SUPPRESS
