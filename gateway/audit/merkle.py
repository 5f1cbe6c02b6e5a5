"""Hashes of the audit log as a Merkle tree. Source: RFC 9162 section 2.1.1."""

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()

TILE_HEIGHT = 8
TILE_SIZE = 1 << TILE_HEIGHT
"""Entries under one tile, the subtree whose root is kept. Source: C2SP tlog-tiles."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 over 0x00 and the entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 over 0x01 and both halves."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class CompactRange:
    """A tree that only grows: its size, and the roots of the complete subtrees that it consists of, largest first.

    That is one node for each bit of the size, so a tree of a million entries is twenty hashes, and appending
    costs one hash on average.
    """

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []

    def append(self, node: bytes, *, height: int = 0) -> None:
        """Append a leaf's hash, or the root of a complete subtree of 2^height leaves.

        Raises ValueError where such a subtree does not begin at this size.
        """
        if self.size % (1 << height):
            raise ValueError("a subtree begins at a multiple of its size")
        self.size += 1 << height
        while not self.size >> height & 1:
            node = node_hash(self._nodes.pop(), node)
            height += 1
        self._nodes.append(node)

    def root(self) -> bytes:
        """The root over all leaves."""
        return _fold(self._nodes) if self._nodes else EMPTY_ROOT


def subtree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over some leaves' hashes."""
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def _fold(nodes: Sequence[bytes]) -> bytes:
    root = nodes[-1]
    for left in reversed(nodes[:-1]):
        root = node_hash(left, root)
    return root
