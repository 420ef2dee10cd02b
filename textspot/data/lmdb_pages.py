"""Whether the pages of an LMDB file stay inside it, found out without mapping it.

LMDB trusts what stands in its pages. Where damage makes a page or a value reach beyond the end of the file, the first
process that looks there dies of SIGBUS. So the tree is walked before it is opened: pages of branches and leaves, not
the values, which lie on pages of their own.

Source: lmdb.h and mdb.c of OpenLDAP, format version 1.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAX_WALKED_PAGES = 20_000  # about two million records; of larger trees the rest is left to LMDB

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_HEADER_BYTES, _NODE_BYTES = 16, 8
_META = struct.Struct("<IIQQ" + 2 * "IHHQQQQQ" + "QQ")  # after a page's header
_BRANCH, _LEAF, _META_PAGE = 0x01, 0x02, 0x08
_ON_OTHER_PAGES = 0x01  # flag of a node whose value has pages of its own
_NO_PAGE = 2**64 - 1
_MAX_DEPTH = 32


@dataclass(frozen=True)
class _Tree:
    """What the newer of the two meta pages says: size of a page, root and depth of the tree, last page."""

    page_bytes: int
    root: int
    depth: int
    last_page: int
    transaction: int


def check_pages(file: Path) -> None:
    """A ValueError that says what is wrong with the structure of an LMDB file, if anything is."""
    size = file.stat().st_size
    with open(file, "rb") as opened:
        tree = _read_tree(opened)
        if size < (tree.last_page + 1) * tree.page_bytes:
            expected = (tree.last_page + 1) * tree.page_bytes
            raise ValueError(f"cut short, {size} of {expected} bytes are there")
        if tree.root == _NO_PAGE:
            return
        if not 1 <= tree.depth <= _MAX_DEPTH:
            raise ValueError("damaged: its tree has no depth that can be")
        _walk(opened, tree, size)


def _read_tree(file: BinaryIO) -> _Tree:
    first = file.read(_HEADER_BYTES + _META.size)
    page_bytes = _parse_meta(first).page_bytes
    file.seek(page_bytes)
    trees = [_parse_meta(first), _parse_meta(file.read(_HEADER_BYTES + _META.size))]
    return max(trees, key=lambda tree: tree.transaction)


def _parse_meta(page: bytes) -> _Tree:
    if len(page) < _HEADER_BYTES + _META.size or not page[10] & _META_PAGE:
        raise ValueError("not an LMDB file: its meta pages are missing")
    magic, version, _, _, page_bytes, *free_and_main, last_page, transaction = _META.unpack_from(page, _HEADER_BYTES)
    if (magic, version) != (_MAGIC, _VERSION):
        raise ValueError("not an LMDB file: its meta pages bear another mark")
    if page_bytes & (page_bytes - 1) or not 256 <= page_bytes <= 65536:
        raise ValueError(f"damaged: pages of {page_bytes} bytes")
    depth, root = free_and_main[9], free_and_main[-1]
    return _Tree(page_bytes, root, depth, last_page, transaction)


def _walk(file: BinaryIO, tree: _Tree, size: int) -> None:
    """Visit all pages of the tree, level by level."""
    level, num_walked = [tree.root], 0
    for depth in range(tree.depth, 0, -1):
        below: list[int] = []
        for number in level:
            num_walked += 1
            if num_walked > MAX_WALKED_PAGES:
                return
            below += _check_page(file, tree, number, _LEAF if depth == 1 else _BRANCH, size)
        if len(below) > tree.last_page:
            raise ValueError("damaged: its tree has more pages than the file")
        level = below


def _check_page(file: BinaryIO, tree: _Tree, number: int, kind: int, size: int) -> Iterator[int]:
    """Check one page; the numbers of those below it."""
    if not 1 < number <= tree.last_page:
        raise ValueError(f"damaged: page {number} of {tree.last_page}")
    file.seek(number * tree.page_bytes)
    page = np.frombuffer(file.read(tree.page_bytes), dtype=np.uint8)
    own_number = int(page[:8].view("<u8")[0])
    flags, lower, upper = (int(value) for value in page[10:16].view("<u2"))
    if own_number != number or flags & (_BRANCH | _LEAF) != kind:
        raise ValueError(f"damaged: page {number} is another one")
    if not _HEADER_BYTES <= lower <= upper <= tree.page_bytes or lower % 2:
        raise ValueError(f"damaged: page {number} has no bounds that can be")
    places = page[_HEADER_BYTES:lower].view("<u2").astype(np.int64)
    if len(places) == 0:
        raise ValueError(f"damaged: page {number} is empty")
    if places.min() < upper or places.max() > tree.page_bytes - _NODE_BYTES:
        raise ValueError(f"damaged: page {number} points outside itself")
    nodes = page[places[:, None] + np.arange(_NODE_BYTES)].view("<u2").astype(np.int64)
    low, high, node_flags, key_bytes = nodes.T
    ends = places + _NODE_BYTES + key_bytes
    if kind == _BRANCH:
        if ends.max() > tree.page_bytes:
            raise ValueError(f"damaged: page {number} holds a key that reaches beyond it")
        return iter((low | high << 16 | node_flags << 32).tolist())
    return _check_leaf(page, tree, number, ends, low | high << 16, node_flags, size)


def _check_leaf(
    page: np.ndarray,
    tree: _Tree,
    number: int,
    ends: np.ndarray,
    value_bytes: np.ndarray,
    flags: np.ndarray,
    size: int,
) -> Iterator[int]:
    """Check the values of a leaf, given where its keys end; no pages lie below it."""
    outside = ValueError(f"damaged: page {number} holds a value that reaches beyond the file")
    if (flags & ~_ON_OTHER_PAGES).any():
        raise ValueError(f"damaged: page {number} holds what is no value")
    elsewhere = flags == _ON_OTHER_PAGES
    if (ends + np.where(elsewhere, 8, value_bytes)).max() > tree.page_bytes:
        raise outside
    if elsewhere.any():
        firsts = page[ends[elsewhere, None] + np.arange(8)].view("<u8")[:, 0]
        if firsts.max() > tree.last_page or firsts.min() <= 1:
            raise outside
        if (firsts.astype(np.int64) * tree.page_bytes + _HEADER_BYTES + value_bytes[elsewhere]).max() > size:
            raise outside
    return iter(())
