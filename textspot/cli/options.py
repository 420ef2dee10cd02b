"""From the frozen dataclass of a verb's options to a parser, and from a command line to the dataclass."""

import dataclasses
import inspect
import typing
from argparse import SUPPRESS
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import docstring_parser
from jsonargparse import ArgumentParser, Namespace

from textspot.given_settings import complain, find_useless, is_chosen, lies_in
from textspot.option_help import ConfigFile, OptionHelp, hide_group_files

Options = TypeVar("Options")
Built = TypeVar("Built")


@dataclass(frozen=True)
class Verb(Generic[Options]):
    """A verb of the command line.

    `options` is a frozen dataclass, or a function, whose docstring explains each parameter; `description` is what the
    help says first. `positional` names the parameters that stand without a flag, `groups` titles those that the help
    lists apart, and `from_file` gives the verb a `--config FILE` for all of them.

    No option is ignored in silence, not even one that was given its default. `only_with` names for an option, or for a
    dataclass of them, others of which at least one must be chosen (`data_free`, or `data_free=network`); `no_use` names
    for an option that is chosen those that then say nothing, `*` being all others. `older` are names that options had
    in earlier versions, which help does not show, with the names of today.
    """

    name: str
    options: Callable[..., Options]
    description: str | None
    positional: tuple[str, ...] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    from_file: bool = False
    only_with: Mapping[str, Sequence[str]] = field(default_factory=dict)
    no_use: Mapping[str, Sequence[str]] = field(default_factory=dict)
    older: Mapping[str, str] = field(default_factory=dict)

    def read(self, arguments: Sequence[str] | None) -> Options:
        """The options that a command line holds. What makes no sense, by itself or, as the dataclass complains with a
        ValueError, together, ends the program with exit status 2."""
        return self._read(arguments, self.options)

    def read_keywords(self, arguments: Sequence[str] | None) -> dict[str, Any]:
        """Likewise, by parameter: of a verb whose options are those of a function."""
        return self._read(arguments, dict)

    def _read(self, arguments: Sequence[str] | None, build: Callable[..., Built]) -> Built:
        parser = build_parser(self)
        values = rename(parser.parse_args(arguments), self.older)
        given = list(rename(parser.parse_args(arguments, defaults=False), self.older).keys())
        try:
            keywords = to_keywords(parser, values)
            if complaints := self.find_ignored(given, keywords):
                raise ValueError("; ".join(complaints))
            return build(**keywords)
        except ValueError as error:
            parser.error(str(error))

    def find_ignored(self, given: Collection[str], chosen: Mapping[str, Any]) -> list[str]:
        """Complaints about options that were `given`, by dotted name, and that say nothing beside what is `chosen`."""
        alone = [
            complain(option, partners, _show)
            for place, partners in find_useless(chosen, self.only_with).items()
            for option in given
            if lies_in(option, place)
        ]
        useless = [
            f"{_show(holder)} has no use for --{option}: leave it out"
            for holder, places in self.no_use.items()
            if is_chosen(holder, chosen)
            for option in given
            if option not in (holder, "config") and any(place == "*" or lies_in(option, place) for place in places)
        ]
        return alone + useless


def rename(values: Namespace, older: Mapping[str, str]) -> Namespace:
    """Parsed values with what stands under an option's older name under its name of today."""
    for before, today in older.items():
        if before in values:
            values[today] = values.pop(before)
    return values


def _show(partner: str) -> str:
    return "--" + partner.replace("=", " ")


def build_parser(verb: Verb) -> ArgumentParser:
    """A parser with one argument per parameter of the verb's options.

    A sequence takes several words (`--weights a b`), a flag stands alone or before true or false, and a dataclass among
    them has its own fields as dotted options.
    """
    hints = typing.get_type_hints(verb.options if inspect.isfunction(verb.options) else verb.options.__init__)
    words = [name.upper() + (" ..." if typing.get_origin(hints[name]) is tuple else "") for name in verb.positional]
    parser = ArgumentParser(
        prog=f"textspot {verb.name}",
        usage=" ".join(["%(prog)s [options]", *words]),
        description=inspect.cleandoc(verb.description or ""),
        formatter_class=OptionHelp,
    )
    if verb.from_file:
        parser.add_argument("--config", action=ConfigFile, help="YAML file of these options")
    sections = {name: parser.add_argument_group(title) for title, names in verb.groups.items() for name in names[:1]}
    for names in verb.groups.values():
        sections |= dict.fromkeys(names, sections[names[0]])
    meanings = explain_parameters(verb.options)
    for name, parameter in inspect.signature(verb.options).parameters.items():
        if dataclasses.is_dataclass(hints[name]):
            parser.add_class_arguments(hints[name], name)
            continue
        is_positional = name in verb.positional
        settings = describe_argument(hints[name], parameter, is_positional)
        place = sections.get(name, parser)
        place.add_argument(name if is_positional else f"--{name}", help=meanings[name], **settings)
        for before in (before for before, today in verb.older.items() if today == name):
            parser.add_argument(f"--{before}", **settings | {"default": SUPPRESS, "help": SUPPRESS})
    hide_group_files(parser)
    return parser


def explain_parameters(options: Callable) -> dict[str, str]:
    """What the docstring of a function, or of a dataclass and those it extends, says of each parameter."""
    explained = [one.__doc__ or "" for one in reversed(getattr(options, "__mro__", (options,)))]
    return {p.arg_name: p.description or "" for text in explained for p in docstring_parser.parse(text).params}


def describe_argument(hint: Any, parameter: inspect.Parameter, is_positional: bool) -> dict[str, Any]:
    """The keywords of `add_argument` for a parameter of this type; one that is positional has no default."""
    required = parameter.default is inspect.Parameter.empty
    is_sequence = typing.get_origin(hint) is tuple
    settings: dict[str, Any] = {"type": typing.get_args(hint)[0] if is_sequence else hint}
    if not is_positional:
        default = None if required else parameter.default
        settings |= {"required": required, "default": list(default or ()) if is_sequence else default}
    if is_sequence:
        settings |= {"nargs": "+"}
    elif hint is bool:
        settings |= {"nargs": "?", "const": True}
    for choices in (one for one in typing.get_args(hint) if typing.get_origin(one) is typing.Literal):
        settings |= {"metavar": f"{{{','.join(typing.get_args(choices))}}}"}
    return settings


def to_keywords(parser: ArgumentParser, values: Namespace) -> dict[str, Any]:
    """The parsed values by name, dataclasses built; lists become tuples."""
    values.pop("config", None)
    built = vars(parser.instantiate(values))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in built.items()}
