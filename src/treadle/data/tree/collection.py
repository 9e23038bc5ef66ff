"""Collecting garbage: contents that no version needs are removed, never those of a version that somebody refers to."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import ExitStack

import msgspec

from treadle.core.clock import Clock
from treadle.core.errors import NotFound
from treadle.core.records import Record
from treadle.data.tree.intake import split
from treadle.data.tree.manifest import read_leaf, read_root
from treadle.data.tree.versions import (
    COLLECTION,
    COMMIT,
    TreeVersion,
    read_references,
    read_versions,
    write_collected,
)
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.contents import Contents, parsed

_BATCH = 500


class Collected(Record, frozen=True, kw_only=True):
    """What a collection removed, or would remove."""

    tree: str
    #: Versions whose contents are given up, so that they can no longer be read.
    versions: tuple[int, ...]
    #: Versions that stay because they are the newest, were asked for, or were used by a model version or a run under way.
    kept: tuple[int, ...]
    #: Contents that nothing needs any more, of any tree, and their bytes.
    contents: int
    size: int
    #: Whether this is only what would be removed.
    dry_run: bool


def collect(
    tree: str, *, keep: Collection[int], dry_run: bool, ledger: Ledger, contents: Contents, clock: Clock
) -> Collected:
    """Give up versions of a tree; see `Trees.collect`."""
    with ExitStack() as stack:
        leases: list[Lease] = []
        if not dry_run:
            names = (COLLECTION, COMMIT)
            leases = [stack.enter_context(ledger.turn(name, holder="trees", clock=clock)) for name in names]
        doomed, kept, others = _sorted_out(tree, keep, ledger)
        needed = _needed([*kept, *others], contents)
        garbage = {digest: size for digest, size in contents.list() if digest not in needed}
        if not dry_run:
            _give_up(doomed, leases, ledger, clock)
            _remove(list(garbage), leases, ledger, contents)
            contents.sweep()
    return Collected(
        tree=tree,
        versions=tuple(version.version for version in doomed),
        kept=tuple(version.version for version in kept),
        contents=len(garbage),
        size=sum(garbage.values()),
        dry_run=dry_run,
    )


def _sorted_out(
    tree: str, keep: Collection[int], ledger: Ledger
) -> tuple[list[TreeVersion], list[TreeVersion], list[TreeVersion]]:
    """Return the versions of a tree to give up, those to keep, and all those of other trees."""
    with ledger.read() as connection:
        there = [version for version in read_versions(connection) if version.collected_at is None]
        wanted = {*keep, *read_references(connection, tree)}
    own = [version for version in there if version.tree == tree]
    unknown = set(keep) - {version.version for version in own}
    if unknown or not own:
        listed = ", ".join(str(version.version) for version in own) or "none"
        msg = f"Tree {tree!r} has no version {min(unknown, default=1)} that can be kept. It has: {listed}."
        raise NotFound(msg)
    wanted.add(own[-1].version)
    return (
        [version for version in own if version.version not in wanted],
        [version for version in own if version.version in wanted],
        [version for version in there if version.tree != tree],
    )


def _needed(versions: Iterable[TreeVersion], contents: Contents) -> set[bytes]:
    """Return every content that versions need: files, their pieces, and the manifests themselves.

    Raises:
        NotFound: a manifest is not there; nothing may be removed then.
        DigestMismatch: a manifest is damaged.
    """
    needed: set[bytes] = set()
    for digest in {parsed(version.digest) for version in versions}:
        root = read_root(digest, contents.read)
        needed.add(digest)
        for leaf in root.leaves:
            if leaf.digest in needed:
                continue
            needed.add(leaf.digest)
            for entry in read_leaf(leaf, contents.read):
                if not entry.parts:
                    needed.add(entry.digest)
                elif entry.parts not in needed:
                    needed |= {entry.parts, *split(contents.read(entry.parts))}
    return needed


def _give_up(versions: Iterable[TreeVersion], leases: Iterable[Lease], ledger: Ledger, clock: Clock) -> None:
    with ledger.write() as connection:
        for lease in leases:
            lease.check(connection)
        for version in versions:
            write_collected(connection, msgspec.structs.replace(version, collected_at=clock.now()))


def _remove(digests: list[bytes], leases: Iterable[Lease], ledger: Ledger, contents: Contents) -> None:
    for start in range(0, len(digests), _BATCH):
        with ledger.read() as connection:
            for lease in leases:
                lease.check(connection)
        for digest in digests[start : start + _BATCH]:
            contents.delete(digest)
