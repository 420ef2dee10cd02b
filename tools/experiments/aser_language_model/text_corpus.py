"""Documents of a folder as tokens: those to train and calibrate on, and those held out.

Legend: W windows, T tokens of a window.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

HELD_OUT_EVERY = 20  # of so many documents, one is held out


@dataclass(frozen=True)
class Corpus:
    """Text files.

    Args:
        folder: folder that holds the files, at any depth; each is a document.
        suffix: ending of their names.
        skip: globs over paths within the folder; what matches one is left out.
        test_folder: folder of the documents that are held out, if the data set names them; null holds out one in twenty
            of `folder`.
    """

    folder: Path
    suffix: str = ".txt"
    skip: tuple[str, ...] = ()
    test_folder: Path | None = None

    def documents(self, held_out: bool) -> Iterator[str]:
        """The texts, in the order of their paths. A folder without any, and a file that is not UTF-8, are a
        `ValueError`."""
        folder = self.test_folder if held_out and self.test_folder else self.folder
        paths = [path for path in sorted(folder.rglob(f"*{self.suffix}")) if path.is_file()]
        chosen = [path for path in paths if self._belongs(path.relative_to(folder).as_posix(), held_out)]
        if not chosen:
            part = "held out" if held_out else "to train on"
            raise ValueError(f"{folder}: no document {part} ends with {self.suffix}: expected at least one")
        for path in chosen:
            try:
                yield path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}: not UTF-8 ({error}): convert it, or name it in skip") from error

    def _belongs(self, name: str, held_out: bool) -> bool:
        """A document's part depends on its name alone, so a corpus may grow."""
        if any(fnmatchcase(name, glob) for glob in self.skip):
            return False
        if self.test_folder:
            return True
        return (zlib.crc32(name.encode()) % HELD_OUT_EVERY == 0) == held_out


def tokenize(documents: Iterable[str], tokenizer: Any) -> Tensor:
    """All tokens (N,) int64, the tokenizer's end of text after each document if it has one."""
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    tokens: list[int] = []
    for text in documents:
        tokens += tokenizer(text, add_special_tokens=False)["input_ids"] + end
    return torch.tensor(tokens, dtype=torch.int64)


def tokenize_some(documents: Iterable[str], tokenizer: Any, count: int, seed: int) -> Tensor:
    """The tokens of as many documents, in an order that the seed decides, as make up `count` tokens, or of all."""
    texts = list(documents)
    tokens = torch.zeros(0, dtype=torch.int64)
    for index in torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed)).tolist():
        if len(tokens) >= count:
            break
        tokens = torch.cat([tokens, tokenize([texts[index]], tokenizer)])
    return tokens


def spread_windows(tokens: Tensor, length: int, count: int) -> Tensor:
    """At most `count` windows (W, T) that do not overlap, spread evenly. Fewer tokens than one window are a
    `ValueError`."""
    whole = len(tokens) // length
    if not whole:
        raise ValueError(f"{len(tokens)} tokens are held out, expected at least {length}, one window")
    chosen = torch.linspace(0, whole - 1, min(whole, count)).round().long()
    return tokens[: whole * length].reshape(whole, length)[chosen]


def random_windows(tokens: Tensor, length: int, count: int, seed: int) -> Tensor:
    """Windows (W, T) from anywhere, the same for the same seed."""
    if len(tokens) < length:
        raise ValueError(f"the documents have {len(tokens)} tokens, expected at least {length}, one window")
    starts = torch.randint(len(tokens) - length + 1, (count,), generator=torch.Generator().manual_seed(seed))
    return torch.stack([tokens[start : start + length] for start in starts.tolist()])
