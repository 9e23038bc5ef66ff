"""Adding: what a tree's folder holds becomes a new version, or nothing at all.

Contents and manifest are stored first and flushed; one ledger transaction then makes them count. A process that dies in
between leaves contents that no version names: the next adding stores them again, and a collection removes them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput
from treadle.core.progress import Progress
from treadle.core.records import Record
from treadle.data.tree import manifest as manifests
from treadle.data.tree import stat_cache
from treadle.data.tree.declaration import Tree
from treadle.data.tree.manifest import Manifest
from treadle.data.tree.scan import Listing, Scan, packed
from treadle.data.tree.survey import Found, Known, Survey
from treadle.data.tree.unpacking import Unpacking
from treadle.data.tree.versions import COMMIT, TreeVersion, read_collections, read_version, write_version
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.contents import Contents, shown


class TreeStatus(Record, frozen=True, kw_only=True):
    """What a tree's folder holds, against its newest version."""

    tree: str
    #: The newest version; None: there is none.
    version: int | None
    #: Files in the folder.
    files: int
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    #: What cannot be had, as `path: reason`.
    problems: tuple[str, ...] = ()

    @property
    def is_unchanged(self) -> bool:
        """Whether adding the tree now would make no version."""
        return not (self.added or self.changed or self.removed)


class Additions:
    """Looks at the folders of trees, and commits what is new in them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        contents: Contents,
        clock: Clock,
        root: Path,
        state: Path,
        avoid: Collection[Path],
        progress: Progress,
    ) -> None:
        """Take the stores, the project's folder, that of the stat caches, and folders that are not data."""
        self._ledger, self._contents, self._clock = ledger, contents, clock
        self._root, self._state, self._avoid = root, state, avoid
        self._progress = progress

    def run(self, tree: Tree, *, rehash: bool, empty: bool) -> TreeVersion | None:
        """Commit what a tree's folder holds; see `Trees.add`."""
        listing = self._scan(tree)
        if not rehash and self._survey(tree, listing).quick():
            return None
        with self._ledger.turn(f"tree/{tree.name}", holder="trees", clock=self._clock) as lease:
            while True:
                survey = self._survey(tree, listing)
                done, version = self._attempt(tree, survey, lease, rehash=rehash, empty=empty)
                if done:
                    return version
                listing = self._scan(tree)

    def status(self, tree: Tree) -> TreeStatus:
        """Say what adding a tree would do; see `Trees.status`."""
        survey = self._survey(tree, self._scan(tree))
        last = survey.known.last
        number = last.version if last else None
        if survey.quick():
            return TreeStatus(tree=tree.name, version=number, files=survey.count)
        if last is None and not tree.is_packed:
            there = tuple(sorted(survey.listing.files))
            found = Found(problems=survey.listing.problems)
            return TreeStatus(
                tree=tree.name, version=None, files=len(there), added=there, problems=found.told
            )
        found = survey.look(store=False)
        entries, before = found.entries(), survey.last_entries()
        status = TreeStatus(
            tree=tree.name,
            version=number,
            files=len(entries),
            added=tuple(sorted(entries.keys() - before.keys())),
            changed=tuple(
                sorted(path for path in entries.keys() & before.keys() if entries[path] != before[path])
            ),
            removed=tuple(sorted(before.keys() - entries.keys())),
            problems=found.told,
        )
        survey.save(found, manifest=survey.known.manifest if status.is_unchanged and not found.kept else b"")
        return status

    def _scan(self, tree: Tree) -> Listing:
        if tree.is_packed:
            return packed(tree, self._root / tree.source)
        return Scan(tree, self._root / tree.source, avoid=self._avoid).run()

    def _survey(self, tree: Tree, listing: Listing) -> Survey:
        with self._ledger.read() as connection:
            last = read_version(connection, tree.name, None)
            collection = read_collections(connection)
        file = self._state / f"{tree.name}.cache"
        cache = stat_cache.load(file, source=listing.root, place=self._contents.shown)
        known = Known(last, collection, file, cache)
        if tree.is_packed:
            return Unpacking(tree, listing, known, self._contents, progress=self._progress)
        return Survey(listing, known, self._contents, progress=self._progress)

    def _attempt(
        self, tree: Tree, survey: Survey, lease: Lease, *, rehash: bool, empty: bool
    ) -> tuple[bool, TreeVersion | None]:
        """Return whether it is done, and the version that came of it; not done: garbage was collected meanwhile."""
        found = survey.look(rehash=rehash, link=tree.link)
        entries, last = found.entries(), survey.known.last
        made = manifests.build(entries.values())
        exact = made.digest if not found.kept else b""
        is_same = made.digest == survey.known.manifest or (last is None and not entries)
        if not entries and not empty and not is_same:
            raise _emptied(tree, survey)
        if rehash or not is_same:
            self._store(made, known=set() if rehash else {leaf.digest for leaf in survey.root.leaves})
        survey.save(found, manifest=exact)
        if is_same:
            return True, None
        version = self._version(tree, survey, found, made)
        return self._commit(version, survey, lease), version

    def _store(self, made: Manifest, *, known: set[bytes]) -> None:
        for digest, data in made.contents.items():
            if digest not in known:
                self._contents.put(digest, data)
        self._contents.flush()

    def _version(self, tree: Tree, survey: Survey, found: Found, made: Manifest) -> TreeVersion:
        last = survey.known.last
        gone, came = manifests.difference(survey.root, made.root, lambda digest: self._read(digest, made))
        changed = gone.keys() & came.keys()
        return TreeVersion(
            tree=tree.name,
            version=last.version + 1 if last else 1,
            created_at=self._clock.now(),
            digest=shown(made.digest),
            files=made.root.files,
            size=made.root.size,
            added=len(came) - len(changed),
            changed=len(changed),
            removed=len(gone) - len(changed),
            stored=found.stored,
            problems=found.told,
            parents=(last.ref,) if last else (),
        )

    def _read(self, digest: bytes, made: Manifest) -> bytes:
        return made.contents.get(digest) or self._contents.read(digest)

    def _commit(self, version: TreeVersion, survey: Survey, lease: Lease) -> bool:
        """Make a version count, unless contents that it relies on may have been collected meanwhile."""
        with (
            self._ledger.turn(COMMIT, holder="trees", clock=self._clock) as turn,
            self._ledger.write() as connection,
        ):
            turn.check(connection)
            lease.check(connection)
            if read_collections(connection) != survey.known.collection:
                return False
            write_version(connection, version)
        return True


def _emptied(tree: Tree, survey: Survey) -> InvalidInput:
    last = survey.known.last
    assert last is not None
    return InvalidInput(
        f"Tree {tree.name!r}: the folder {survey.listing.root} holds no file, and version {last.version} had {last.files:,}. "
        "See whether its disk is mounted. If it is meant to be empty: treadle trees add --empty",
        field="source",
    )
