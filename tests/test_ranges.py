"""Numbers outside the range of their type are named, wherever a config comes from."""

import math
from dataclasses import dataclass

import pytest

from textspot.ranges import NonNegative, NonNegativeInt, PositiveInt, Share, check_ranges


@dataclass(frozen=True)
class Config:
    count: PositiveInt = 1
    seed: NonNegativeInt = 0
    weight: NonNegative = 0.0
    share: Share = 1.0
    free: float = -3.0

    def __post_init__(self) -> None:
        check_ranges(self, "part.")


def test_the_ends_belong_to_a_range():
    assert Config() == Config(1, 0, 0.0, 1.0, -3.0)
    assert Config(7, 7, 7.5, 0.0).count == 7


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, r"part.count is 0, expected at least 1"),
        ({"seed": -1}, r"part.seed is -1, expected at least 0"),
        ({"weight": -0.1}, r"part.weight is -0.1, expected at least 0"),
        ({"weight": math.nan}, r"part.weight is nan"),
        ({"share": 1.1}, r"part.share is 1.1, expected a value in \[0, 1\]"),
        ({"count": 0, "share": -1.0}, r"part.count is 0, .*; part.share is -1.0, "),
    ],
)
def test_what_lies_outside_is_named_all_at_once(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Config(**values)
