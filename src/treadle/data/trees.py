"""Trees: folders of files of any kind, each commit a numbered version that never changes."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from treadle.core.clock import Clock
from treadle.core.errors import DigestMismatch, InvalidInput, NotFound, closest
from treadle.core.progress import Progress, Silent
from treadle.core.records import Record
from treadle.data.tree import collection
from treadle.data.tree.additions import Additions
from treadle.data.tree.additions import TreeStatus as TreeStatus
from treadle.data.tree.archive import ArchiveLimits as ArchiveLimits
from treadle.data.tree.checkout import Checkout, Mode, check_out
from treadle.data.tree.collection import Collected
from treadle.data.tree.declaration import Tree as Tree
from treadle.data.tree.intake import split
from treadle.data.tree.manifest import Entry, difference, find, read_entries, read_root
from treadle.data.tree.versions import TreeVersion as TreeVersion
from treadle.data.tree.versions import read_names, read_version, read_versions
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.contents import Contents, parsed, shown

#: The folder, in that of the project's state, where it is noted what files were when they were last read.
CACHES = "trees"


class TreeFile(Record, frozen=True, kw_only=True):
    """One file of a version."""

    path: str
    #: BLAKE3 of its bytes, as `b3sum` prints it.
    digest: str
    size: int
    executable: bool = False


class TreeDifference(Record, frozen=True, kw_only=True):
    """What differs between two versions of a tree."""

    tree: str
    before: int
    after: int
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Trees:
    """Commits folders of files and gives them back.

    >>> trees.add(photos)                                                   # doctest: +SKIP
    >>> trees.checkout("photos", version=3, to=Path("data/photos"))         # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        contents: Contents,
        clock: Clock,
        root: Path,
        state: Path,
        progress: Progress | None = None,
    ) -> None:
        """Take the stores, the project's folder, and the folder in it that holds the project's state."""
        self._ledger, self._contents, self._clock = ledger, contents, clock
        self._root = root
        self._progress = progress or Silent()
        self._additions = Additions(
            ledger=ledger,
            contents=contents,
            clock=clock,
            root=root,
            state=state / CACHES,
            avoid=(state, Path(contents.shown)),
            progress=self._progress,
        )

    def add(self, tree: Tree, *, rehash: bool = False, empty: bool = False) -> TreeVersion | None:
        """Commit what the tree's folder holds as one version; None: nothing differs from the newest one.

        Only files whose size, times or inode changed are read. A file that cannot be read stays as the newest version has
        it, or is left out where that has none, and is told among the version's problems. `rehash` reads and stores every
        file, which mends a damaged store; `empty` allows a version without files where there were some.

        Raises:
            SourceUnreadable: the folder is not there, or the archive is refused.
            InvalidInput: the folder is empty all at once.
            Busy: another process has been adding the same tree for ten minutes.
            StoreUnavailable: the contents cannot be stored; there is no new version.
        """
        return self._additions.run(tree, rehash=rehash, empty=empty)

    def status(self, tree: Tree) -> TreeStatus:
        """Say what adding the tree would do. Only files whose size, times or inode changed are read; nothing is stored.

        Raises:
            SourceUnreadable: the folder is not there.
        """
        return self._additions.status(tree)

    def names(self) -> list[str]:
        """Return the names of all trees that have a version, sorted."""
        with self._ledger.read() as connection:
            return read_names(connection)

    def version(self, name: str, version: int | None = None) -> TreeVersion:
        """Return one version, the newest by default.

        Raises:
            NotFound: there is no such tree or version.
        """
        with self._ledger.read() as connection:
            found = read_version(connection, name, version)
            newest = found or read_version(connection, name, None)
        if newest is None:
            msg = f"Tree {name!r} has no version yet. {closest(name, self.names())} Make one with: treadle trees add {name}"
            raise NotFound(msg)
        if found is None:
            msg = f"Tree {name!r} has no version {version}. Its versions are 1 to {newest.version}."
            raise NotFound(msg)
        return found

    def versions(self, name: str) -> list[TreeVersion]:
        """Return all versions, oldest first.

        Raises:
            NotFound: there is no such tree.
        """
        self.version(name)
        with self._ledger.read() as connection:
            return read_versions(connection, name)

    def files(self, name: str, *, version: int | None = None) -> list[TreeFile]:
        """Return the files of a version, sorted by path.

        Raises:
            NotFound: there is no such version, or its contents were collected.
        """
        return [
            TreeFile(
                path=entry.path, digest=shown(entry.digest), size=entry.size, executable=entry.executable
            )
            for entry in self._entries(self._readable(name, version))
        ]

    def read(self, name: str, path: str, *, version: int | None = None) -> bytes:
        """Return the bytes of one file of a version, checked against its digest.

        Raises:
            NotFound: there is no such version or file.
            DigestMismatch: the stored bytes are damaged.
        """
        found = self._readable(name, version)
        root = read_root(parsed(found.digest), self._contents.read)
        entry = find(root, path, self._contents.read)
        if entry is None:
            msg = f"Version {found.version} of tree {name!r} has no file {path!r}. See: treadle trees show {name}"
            raise NotFound(msg)
        if not entry.parts:
            return self._contents.read(entry.digest)
        return b"".join(map(self._contents.read, split(self._contents.read(entry.parts))))

    def difference(self, name: str, before: int, *, after: int | None = None) -> TreeDifference:
        """Return the files that differ between a version and a later one, the newest by default.

        Raises:
            NotFound: there is no such version.
            InvalidInput: the second is the earlier one.
        """
        first, last = self._readable(name, before), self._readable(name, after)
        if last.version < first.version:
            msg = f"Version {last.version} of {name!r} is before version {first.version}. Give the earlier one first."
            raise InvalidInput(msg)
        read = self._contents.read
        roots = [read_root(parsed(version.digest), read) for version in (first, last)]
        gone, came = difference(roots[0], roots[1], read)
        return TreeDifference(
            tree=name,
            before=first.version,
            after=last.version,
            added=tuple(sorted(came.keys() - gone.keys())),
            changed=tuple(sorted(came.keys() & gone.keys())),
            removed=tuple(sorted(gone.keys() - came.keys())),
        )

    def checkout(
        self,
        name: str,
        *,
        to: Path,
        version: int | None = None,
        mode: Mode = "auto",
        overwrite: bool = False,
    ) -> Checkout:
        """Bring a folder (relative to the project) to a version, the newest by default.

        Only what differs is touched. Files that no checkout put there, or that were changed since, stay: where one of the
        version's files is to be they are refused, unless `overwrite`; elsewhere they are left. `mode` says how files and
        store are one: `clone` (blocks shared until somebody writes), `link` (the same file, read-only), `copy`; `auto` is
        the first of these that is possible. Repeating an interrupted checkout goes on with it.

        Raises:
            NotFound: there is no such version, or its contents were collected.
            AlreadyExists: other files are in the way; nothing was touched.
            DigestMismatch: a stored content is damaged.
            InvalidInput: the mode is not possible here.
            Busy: another process is checking out to the same folder.
            StoreFull: no space is left.
        """
        found = self._readable(name, version)
        return check_out(
            self._entries(found),
            tree=name,
            version=found.version,
            to=self._root / to,
            contents=self._contents,
            mode=mode,
            overwrite=overwrite,
            progress=self._progress,
        )

    def verify(self, name: str, *, version: int | None = None) -> list[str]:
        """Read every content of a version and return what is damaged or missing, as `path: reason`.

        Raises:
            NotFound: there is no such version, or its contents were collected.
        """
        entries = self._entries(self._readable(name, version))
        with ThreadPoolExecutor(self._contents.workers) as pool:
            told = []
            for done, reason in enumerate(pool.map(self._damage, entries), start=1):
                self._progress.advance(done, len(entries))
                told += [reason] if reason else []
        return told

    def collect(self, name: str, *, keep: Collection[int], dry_run: bool = True) -> Collected:
        """Give up the versions of a tree outside `keep`, and remove every content that no version of any tree needs.

        Versions that a model version or a run under way was made from are always kept, and so is the newest. A version that was
        given up keeps its record.

        Raises:
            NotFound: one of the kept versions does not exist.
            DigestMismatch: a manifest is damaged; nothing is removed.
        """
        return collection.collect(
            name,
            keep=keep,
            dry_run=dry_run,
            ledger=self._ledger,
            contents=self._contents,
            clock=self._clock,
        )

    def _readable(self, name: str, version: int | None) -> TreeVersion:
        found = self.version(name, version)
        if found.collected_at is not None:
            msg = (
                f"Version {found.version} of tree {name!r} was given up on {found.collected_at:%Y-%m-%d}: its contents are "
                "gone. Take a later version."
            )
            raise NotFound(msg)
        return found

    def _entries(self, version: TreeVersion) -> list[Entry]:
        return read_entries(read_root(parsed(version.digest), self._contents.read), self._contents.read)

    def _damage(self, entry: Entry) -> str:
        try:
            if entry.parts:
                for piece in split(self._contents.read(entry.parts)):
                    self._contents.read(piece)
            else:
                self._contents.read(entry.digest)
        except (DigestMismatch, NotFound) as error:
            return f"{entry.path}: {error}"
        return ""
