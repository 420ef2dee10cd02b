"""Addresses of weights on the hub: hf://owner/name, hf://owner/name@revision, hf://owner/name/file.onnx."""

import os
import re
from dataclasses import dataclass

from textspot.model_card import CheckpointError

SCHEME = "hf:"  # of hf://, a path that was made of it keeps one slash or none
_ADDRESS = re.compile(r"hf://?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<file>[\w./-]+))?")


@dataclass(frozen=True)
class HubAddress:
    """A repository, a revision of it (the newest by default), and a file in it (by default the one that suits)."""

    repo: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf://{self.repo}{revision}" + (f"/{self.file}" if self.file else "")


def parse_address(path: str | os.PathLike) -> HubAddress | None:
    """The address that a path or text is; None if it names no hub. A malformed one is a `CheckpointError`."""
    text = os.fspath(path)
    if not text.startswith(SCHEME):
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise CheckpointError(f"{text}: expected hf://owner/name, hf://owner/name@revision or hf://owner/name/file")
    return HubAddress(**found.groupdict())
