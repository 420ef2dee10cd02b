"""A part of the network comes in several kinds, and each kind has settings of its own."""

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class NoSettings:
    """The settings of a kind that has none."""


@dataclass(frozen=True)
class Choice:
    """The kind of a part, a name in the dict of that part, and its settings: the `Config` of the class there.

    As plain values that is `{kind: rfcn, rfcn: {max_proposals: 300}}`.
    """

    kind: str
    settings: Any = NoSettings()

    def to_dict(self) -> dict[str, Any]:
        """The plain values; a kind without settings has no section."""
        return {"kind": self.kind} | ({self.kind: asdict(self.settings)} if fields(self.settings) else {})
