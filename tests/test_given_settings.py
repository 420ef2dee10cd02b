"""A setting that has no effect beside the others is found, wherever it stands."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from textspot.data.card import Card
from textspot.given_settings import find_all_useless, refuse_changed, refuse_given, without
from textspot.recipe import Recipe


@dataclass(frozen=True)
class Drink:
    ONLY_WITH: ClassVar = {"sugar": ("kind=tea", "kind=coffee"), "ice": ("kind!=tea",), "price": ()}

    kind: str = "tea"
    sugar: int = 1
    ice: int = 2
    price: float = 3.0


@dataclass(frozen=True)
class Order:
    ONLY_WITH: ClassVar = {"tip": ("drinks",), "first.kind": ("card",)}

    first: Drink = field(default_factory=Drink)
    drinks: tuple[Drink, ...] = ()
    by_name: dict[str, Drink] = field(default_factory=dict)
    card: str | None = None
    tip: int = 0


ORDER = Order(drinks=(Drink("tea"), Drink("water")), by_name={"mine": Drink("coffee")}, tip=5)


def test_each_is_found_with_its_place():
    assert [place for place, _ in find_all_useless(ORDER)] == [
        *("first.kind", "first.ice", "first.price", "drinks[0].ice", "drinks[0].price"),
        *("drinks[1].sugar", "drinks[1].price", "by_name.mine.price"),
    ]
    assert dict(find_all_useless(ORDER))["drinks[1].sugar"] == (
        "drinks[1].sugar goes with drinks[1].kind: tea or drinks[1].kind: coffee: give that too, or leave this out"
    )
    assert next(find_all_useless(Order(card="a", first=Drink("coffee"), tip=0)))[0] == "tip"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"drinks": [{"sugar": 1}, {"sugar": 1}]}, r"^drinks\[1\].sugar goes with"),
        ({"first": {"ice": 2}}, "^first.ice goes with first.kind other than tea"),
        ({"by_name": {"mine": {"price": 3.0}}}, "^by_name.mine.price has no effect: leave it out"),
        ({"first": {"ice": 2, "price": 3.0}}, "first.ice .*; first.price"),
    ],
)
def test_what_was_given_is_refused_even_at_its_default(given, words):
    with pytest.raises(ValueError, match=words):
        refuse_given(ORDER, given)


@pytest.mark.parametrize("given", [{}, {"drinks": []}, {"tip": 5, "drinks": [{"kind": "tea", "sugar": 1}]}])
def test_what_was_not_given_or_has_an_effect_is_not(given):
    refuse_given(ORDER, given)


def test_of_a_dataclass_alone_what_differs_from_its_default_is_refused():
    refuse_changed(Drink(), "order.")
    refuse_changed(Drink("water", ice=7), "order.")
    with pytest.raises(ValueError, match=r"^order\.ice goes with order.kind other than tea: give that too"):
        refuse_changed(Drink(ice=7), "order.")
    with pytest.raises(ValueError, match=r"^first\.kind goes with card"):
        refuse_changed(Order(first=Drink("water")), "")


def test_plain_values_are_left_without_it():
    values = {"a": [{"b": 1, "c": {"d": 2}}], "e": 3}
    assert without(values, ["a[0].c.d", "e", "a[0].missing"]) == {"a": [{"b": 1, "c": {}}]}


def _dataclasses_in(hint: Any) -> set[type]:
    """Every dataclass that a type names, and those that these have as fields."""
    if dataclasses.is_dataclass(hint):
        return {hint}.union(*(_dataclasses_in(one.type) for one in dataclasses.fields(hint)))
    return set().union(*(_dataclasses_in(part) for part in getattr(hint, "__args__", ())))


def _names(rules: dict[str, tuple[str, ...]]) -> set[str]:
    partners = {partner.split("=")[0].rstrip("!") for partners in rules.values() for partner in partners}
    return {*rules, *partners}


def _has(config: Any, name: str) -> bool:
    first, _, deeper = name.partition(".")
    found = {one.name: one.type for one in dataclasses.fields(config)}
    if first not in found or not deeper:
        return first in found
    return deeper == "kind" or any(_has(one, deeper) for one in _dataclasses_in(found[first]))


@pytest.mark.parametrize("config", sorted(_dataclasses_in(Recipe) | _dataclasses_in(Card), key=str))
def test_rules_of_configs_name_settings_that_there_are(config):
    for name in _names(getattr(config, "ONLY_WITH", {})):
        assert name.startswith("model.") or _has(config, name), name
