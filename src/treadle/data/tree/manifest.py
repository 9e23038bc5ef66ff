"""Manifests: the list of a tree's files, cut into leaves so that two versions share what they have in common.

The files are sorted by path. A leaf ends after each path whose XXH3-64 has its lowest eight bits zero, so where leaves
are cut depends on the paths alone, and a change touches the leaves of the paths that changed. The root lists the leaves.
Its digest is the tree's: equal files have equal digests, however they came about.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import msgspec
import xxhash

from treadle.core.errors import DigestMismatch
from treadle.data.tree.scan import INDEX
from treadle.store.objects.contents import DIGEST, digest_of, shown

#: Reads a content by its digest, checked.
Read = Callable[[bytes], bytes]

T = TypeVar("T")

_FORMAT = 1
_LEAF_ENDS = 0xFF
#: A part of a path that is empty, this folder or the one above, in paths that are set apart by zero bytes.
_UNSAFE = re.compile(r"(?<=[/\0])\.{0,2}[/\0]")


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One file of a tree."""

    #: Below the folder, with slashes.
    path: str
    #: BLAKE3 of the content.
    digest: bytes
    size: int
    executable: bool = False
    #: Digest of the list of the digests of the pieces in which a large content is kept; empty: it is kept whole.
    parts: bytes = b""


class LeafRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where some consecutive files are listed."""

    first: str
    digest: bytes
    files: int


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """All leaves of a manifest."""

    format: int = _FORMAT
    files: int
    size: int
    leaves: list[LeafRef]


class Manifest(msgspec.Struct, frozen=True):
    """A manifest about to be stored."""

    digest: bytes
    root: Root
    #: What is to be stored, by digest.
    contents: dict[bytes, bytes]


def build(entries: Iterable[Entry]) -> Manifest:
    """Return the manifest of some files, in any order."""
    leaves: list[LeafRef] = []
    contents: dict[bytes, bytes] = {}
    files = size = 0
    for leaf in _cut(sorted(entries, key=lambda entry: entry.path)):
        data = msgspec.msgpack.encode(leaf)
        digest = digest_of(data)
        contents[digest] = data
        leaves.append(LeafRef(leaf[0].path, digest, len(leaf)))
        files += len(leaf)
        size += sum(entry.size for entry in leaf)
    root = Root(files=files, size=size, leaves=leaves)
    data = msgspec.msgpack.encode(root)
    digest = digest_of(data)
    contents[digest] = data
    return Manifest(digest, root, contents)


def read_root(digest: bytes, read: Read) -> Root:
    """Return a manifest's root.

    Raises:
        NotFound: it is not there.
        DigestMismatch: it is damaged, or no manifest.
    """
    return _decoded(digest, read(digest), Root)


def read_leaf(leaf: LeafRef, read: Read) -> list[Entry]:
    """Return the files of a leaf, whose paths are safe to use below a folder; see `read_root` for what is raised."""
    entries = _decoded(leaf.digest, read(leaf.digest), list[Entry])
    _check(entries, leaf)
    return entries


def read_entries(root: Root, read: Read) -> list[Entry]:
    """Return all files of a manifest, sorted by path; see `read_root` for what is raised."""
    entries = [entry for leaf in root.leaves for entry in read_leaf(leaf, read)]
    _check_together(entries)
    return entries


def find(root: Root, path: str, read: Read) -> Entry | None:
    """Return one file, reading only the leaf that may list it."""
    at = bisect_right(root.leaves, path, key=lambda leaf: leaf.first) - 1
    if at < 0:
        return None
    return next((entry for entry in read_leaf(root.leaves[at], read) if entry.path == path), None)


def difference(before: Root, after: Root, read: Read) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Return by path what only the one and only the other lists; leaves that both have are not read."""
    shared = {leaf.digest for leaf in before.leaves} & {leaf.digest for leaf in after.leaves}
    was, now = (
        {
            entry.path: entry
            for leaf in root.leaves
            if leaf.digest not in shared
            for entry in read_leaf(leaf, read)
        }
        for root in (before, after)
    )
    same = {path for path, entry in was.items() if now.get(path) == entry}
    return _without(was, same), _without(now, same)


def _without(entries: dict[str, Entry], paths: set[str]) -> dict[str, Entry]:
    return {path: entry for path, entry in entries.items() if path not in paths}


def _cut(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    start = 0
    for end, entry in enumerate(entries, start=1):
        if not xxhash.xxh3_64_intdigest(entry.path.encode()) & _LEAF_ENDS:
            yield entries[start:end]
            start = end
    if start < len(entries):
        yield entries[start:]


def _decoded(digest: bytes, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise _refused(digest, str(error)) from error


def _check(entries: Sequence[Entry], leaf: LeafRef) -> None:
    """Make sure that a leaf is what this release would have written: a digest proves who it is, not that it is good."""
    paths = "\0".join(["", *(entry.path for entry in entries), ""])
    if (entries and _UNSAFE.search(paths)) or paths.count("\0") != len(entries) + 1:
        raise _refused(leaf.digest, "a path has no place in it")
    before = ""
    for entry in entries:
        path = entry.path
        if path <= before or path == INDEX:
            raise _refused(leaf.digest, f"the path {path!r} has no place in it")
        if len(entry.digest) != DIGEST or len(entry.parts) not in (0, DIGEST) or entry.size < 0:
            raise _refused(leaf.digest, f"the file {path!r} has no digest or size")
        before = path
    if len(entries) != leaf.files or (entries and entries[0].path != leaf.first):
        raise _refused(leaf.digest, "its root says otherwise")


def _check_together(entries: Sequence[Entry]) -> None:
    """Make sure that the leaves are in order, and that no path is a file and a folder at once."""
    paths = {entry.path for entry in entries}
    folders = {path.rpartition("/")[0] for path in paths}
    while folders:
        if clash := next((folder for folder in folders if folder in paths), None):
            raise _refused(b"", f"{clash!r} is a file and a folder")
        folders = {folder.rpartition("/")[0] for folder in folders} - {""}
    if any(a.path >= b.path for a, b in pairwise(entries)):
        raise _refused(b"", "its leaves are out of order")


def _refused(digest: bytes, reason: str) -> DigestMismatch:
    which = f" {shown(digest)}" if digest else ""
    return DigestMismatch(
        f"The manifest{which} is no manifest of a tree: {reason}. It was tampered with, or a newer Treadle wrote it; put "
        "back a backup of the objects."
    )
