"""Settings that say nothing beside what is chosen: one rule for command lines, recipes and cards.

`ONLY_WITH` of a dataclass names for a setting others of which at least one must be chosen: `{"cache": ("path",)}`,
`{"words_per_image": ("layout=scene",)}` or `{"unrefined": ("kind!=none",)}`; where it names none, the setting is of no
use at all.
"""

import dataclasses
import re
from argparse import Namespace
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

Partners = Sequence[str]
Rules = Mapping[str, Partners]


def find_useless(chosen: Any, rules: Rules) -> dict[str, Partners]:
    """The settings, with their partners, none of which is chosen in a mapping or a dataclass of settings."""
    return {
        setting: partners
        for setting, partners in rules.items()
        if not any(is_chosen(partner, chosen) for partner in partners)
    }


def is_chosen(partner: str, chosen: Any) -> bool:
    """Whether a partner such as `cache`, `layout=scene` or `model.refinement.kind!=none` is chosen; of several values
    at least one."""
    name, negation, value = re.fullmatch(r"([^=!]+)(!?)=?(.*)", partner).groups()  # type: ignore[union-attr]
    found = reduce(_part_of, name.split("."), chosen)
    if not value:
        return bool(found)
    return (value in found if isinstance(found, list | tuple) else found == value) != bool(negation)


def _part_of(settings: Any, name: str) -> Any:
    return settings[name] if isinstance(settings, Mapping) else getattr(settings, name)


def lies_in(setting: str, place: str) -> bool:
    """Whether a setting is the one of that name, or one of the dataclass of that name."""
    return setting == place or setting.startswith((f"{place}.", f"{place}["))


def complain(setting: str, partners: Partners, show: Callable[[str], str]) -> str:
    """What is wrong with a setting that has no effect; `show` writes a setting or partner as the user does."""
    if not partners:
        return f"{show(setting)} has no effect: leave it out"
    return f"{show(setting)} goes with {' or '.join(map(show, partners))}: give that too, or leave this out"


def find_all_useless(config: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Each setting of a dataclass, and of those in it, that has no effect, by dotted name below `place`, and the
    complaint about it."""
    if dataclasses.is_dataclass(config):
        yield from _complaints(config, place, getattr(config, "ONLY_WITH", {}))
        parts: Any = [(place + field.name, getattr(config, field.name)) for field in dataclasses.fields(config)]
    elif isinstance(config, Mapping):
        parts = [(f"{place}{key}", value) for key, value in config.items()]
    elif isinstance(config, list | tuple):
        parts = [(f"{place.removesuffix('.')}[{number}]", value) for number, value in enumerate(config)]
    else:
        parts = []
    for below, part in parts:
        yield from find_all_useless(part, f"{below}.")


def _complaints(config: Any, place: str, rules: Rules) -> Iterator[tuple[str, str]]:
    def show(name: str) -> str:
        return place + name.replace("!=", " other than ").replace("=", ": ")

    for setting, partners in find_useless(config, rules).items():
        yield place + setting, complain(setting, partners, show)


def refuse_given(config: Any, given: Any) -> None:
    """A ValueError that names each setting which was `given`, in plain values of the same form, and has no effect."""
    names = list(_dotted_names(given))
    complaints = [
        complaint for place, complaint in find_all_useless(config) if any(lies_in(name, place) for name in names)
    ]
    if complaints:
        raise ValueError("; ".join(complaints))


def refuse_changed(config: Any, place: str) -> None:
    """A ValueError that names each setting of a dataclass below `place` that has no effect and is not its default: of
    a dataclass nobody knows what was given."""
    rules = {name: partners for name, partners in config.ONLY_WITH.items() if _differs(config, name)}
    if complaints := [complaint for _, complaint in _complaints(config, place, rules)]:
        raise ValueError("; ".join(complaints))


def _differs(config: Any, name: str) -> bool:
    *parents, last = name.split(".")
    holder = reduce(getattr, parents, config)
    return getattr(holder, last) != getattr(type(holder), last, None)


def without(values: dict[str, Any], places: Collection[str]) -> dict[str, Any]:
    """Nested plain values, in place, without the settings of these dotted names."""
    for place in places:
        *parents, last = re.findall(r"[^.\[\]]+", place)
        holder = reduce(lambda part, key: part[int(key) if isinstance(part, list) else key], parents, values)
        holder.pop(last, None)
    return values


def _dotted_names(values: Any, place: str = "") -> Iterator[str]:
    """The names of all leaves of nested plain values."""
    if isinstance(values, Namespace):
        values = vars(values)
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _dotted_names(value, f"{place}.{name}" if place else name)
    elif isinstance(values, list | tuple) and values:
        for number, value in enumerate(values):
            yield from _dotted_names(value, f"{place}[{number}]")
    else:
        yield place
