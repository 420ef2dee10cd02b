"""Ranges of settings, declared in their types: `steps: PositiveInt = 1000`."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints


@dataclass(frozen=True)
class Range:
    """What a number may be, both ends included; `endless` numbers may be infinite."""

    low: float
    high: float = math.inf
    endless: bool = False

    def __repr__(self) -> str:  # as help shows it
        return f"at least {self.low:g}" if self.high == math.inf else f"a value in [{self.low:g}, {self.high:g}]"


PositiveInt = Annotated[int, Range(1)]
NonNegativeInt = Annotated[int, Range(0)]
NonNegative = Annotated[float, Range(0)]
Limit = Annotated[float, Range(0, endless=True)]  # infinity is none
Share = Annotated[float, Range(0, 1)]


def check_ranges(config: Any, place: str) -> None:
    """A ValueError that names every number of a dataclass outside the range of its type, below `place`; and every float
    that is not finite, but for an endless one."""
    limits = dict(_ranges(type(config)))
    endless = [
        name
        for name, value in vars(config).items()
        if isinstance(value, float) and not math.isfinite(value) and not (name in limits and limits[name].endless)
    ]
    wrong = [f"{place}{name} is {getattr(config, name)}, expected a finite number" for name in endless]
    wrong += [
        f"{place}{name} is {getattr(config, name)}, expected {limit}"
        for name, limit in limits.items()
        if name not in endless and not limit.low <= getattr(config, name) <= limit.high
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _ranges(config: Any) -> list[tuple[str, Range]]:
    hints = get_type_hints(config, include_extras=True)
    return [(name, limit) for name, hint in hints.items() for limit in get_args(hint)[1:] if isinstance(limit, Range)]
