"""A survey: what a tree's folder holds now, against what was last known of it. Only files that may have changed are read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from treadle.core.clock import SystemClock
from treadle.core.errors import DigestMismatch, NotFound
from treadle.core.progress import Progress
from treadle.data.tree import intake as intakes
from treadle.data.tree import manifest as manifests
from treadle.data.tree import stat_cache
from treadle.data.tree.intake import Intake, Wanted, split
from treadle.data.tree.manifest import Entry, Root
from treadle.data.tree.scan import Listing, Problem, Stamp
from treadle.data.tree.stat_cache import TICK, Row, StatCache
from treadle.data.tree.versions import TreeVersion
from treadle.store.ledger.tables import micros
from treadle.store.objects.contents import Contents, parsed

#: Bytes after which what was taken so far is made to last, so that a killed taking goes on from there.
_LASTING = 4 * 2**30


@dataclass(frozen=True)
class Known:
    """What is known of a tree before its folder is looked at."""

    #: The newest version.
    last: TreeVersion | None
    #: How often garbage had been collected.
    collection: int
    #: Where the stat cache is, and what is in it.
    cache_file: Path
    cache: StatCache | None

    @property
    def manifest(self) -> bytes:
        """Digest of the newest version's manifest; empty: there is none."""
        return parsed(self.last.digest) if self.last else b""

    @property
    def is_cached(self) -> bool:
        """Whether the stat cache tells of the newest version's files."""
        return self.cache is not None and self.cache.manifest == self.manifest and bool(self.manifest)


@dataclass
class Found:
    """What a folder holds."""

    rows: dict[str, Row] = field(default_factory=dict)
    #: By path: a file that cannot be read now, as it was in the newest version.
    kept: dict[str, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    #: Bytes of contents that were stored.
    stored: int = 0

    @property
    def told(self) -> tuple[str, ...]:
        """The problems, as `path: reason`."""
        return tuple(sorted(f"{problem.path}: {problem.reason}" for problem in self.problems))

    def entries(self) -> dict[str, Entry]:
        """Return the files, by path."""
        found = {
            path: Entry(path, row.digest, row.stamp[0], row.stamp[4], row.parts)
            for path, row in self.rows.items()
        }
        return {**self.kept, **found}


class Survey:
    """One look at a folder."""

    def __init__(self, listing: Listing, known: Known, contents: Contents, *, progress: Progress) -> None:
        #: What is there, and what was known before.
        self.listing, self.known = listing, known
        self._contents, self._progress = contents, progress
        self._before = micros(SystemClock().now()) * 1000 - TICK
        self._root: Root | None = None
        self._held: set[bytes] = set()

    @property
    def root(self) -> Root:
        """The newest version's manifest; without a version an empty one."""
        if self._root is None:
            known = self.known.manifest
            self._root = (
                manifests.read_root(known, self._contents.read) if known else Root(files=0, size=0, leaves=[])
            )
        return self._root

    def last_entries(self) -> dict[str, Entry]:
        """Return the newest version's files, by path."""
        return {entry.path: entry for entry in manifests.read_entries(self.root, self._contents.read)}

    @property
    def count(self) -> int:
        """How many files there are, as far as that is known without reading one."""
        return len(self.listing.files)

    def quick(self) -> bool:
        """Return whether it is certain, without reading a file or the manifest, that nothing differs."""
        cache, files = self.known.cache, self.listing.files
        if cache is None or not self.known.is_cached or self.listing.problems:
            return False
        rows = cache.rows
        if len(files) != len(rows):
            return False
        try:
            # Equal stamps are the rule, and comparing them here spares a call for each file.
            return all((row := rows[path]).stamp == stamp or row.fits(stamp) for path, stamp in files.items())
        except KeyError:
            return False

    def look(self, *, rehash: bool = False, link: bool = False, store: bool = True) -> Found:
        """Read the files that may have changed, and return what the folder holds.

        `rehash` reads and stores every file; without `store` files are only hashed.
        """
        self._held = set() if rehash else self._known_contents()
        cached = {} if rehash or self.known.cache is None else self.known.cache.rows
        found = Found(problems=list(self.listing.problems))
        wanted = self._sort(cached, found)
        intake = Intake(
            self._contents if store else None,
            held=self._held,
            before=self._before,
            link=link,
            workers=self._contents.workers,
        )
        if store and not rehash:
            intake.hold(self._pieces(wanted))
        if wanted:
            self._take(intake, wanted, found)
        found.kept = self._kept(found.problems)
        found.stored = intake.stored
        return found

    def save(self, found: Found, *, manifest: bytes) -> None:
        """Save what was learnt for the next look, where the store holds it; `manifest`: of exactly these files, or empty.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        rows = {path: row for path, row in found.rows.items() if row.digest in self._held}
        fresh = StatCache(
            source=self.listing.root,
            place=self._contents.shown,
            collection=self.known.collection,
            manifest=manifest if len(rows) == len(found.rows) else b"",
            archive=self._archive,
            rows=rows,
        )
        stat_cache.save(self.known.cache_file, fresh)

    @property
    def _archive(self) -> Stamp | None:
        """The stamp to note of an archive."""
        return None

    def _known_contents(self) -> set[bytes]:
        """Return the digests that the store certainly holds: of the newest version, and of a killed taking since."""
        cache = self.known.cache
        rows = cache.rows.values() if cache and cache.collection == self.known.collection else ()
        if self.known.is_cached and cache:
            return {row.digest for row in cache.rows.values()}
        return {row.digest for row in rows} | {entry.digest for entry in self.last_entries().values()}

    def _sort(self, cached: dict[str, Row], found: Found) -> list[Wanted]:
        """Note the files that are what they were, and return the others."""
        wanted = []
        for path, stamp in self.listing.files.items():
            row = cached.get(path)
            if row is not None and row.fits(stamp) and row.digest in self._held:
                found.rows[path] = row
            else:
                place = self.listing.places.get(path) or f"{self.listing.root}/{path}"
                wanted.append(Wanted(path, place, fresh=stamp[1] >= self._before))
        return wanted

    def _pieces(self, wanted: list[Wanted]) -> set[bytes]:
        """Return the pieces that are held of the large files that may have changed."""
        held: set[bytes] = set()
        for file in wanted:
            if self.listing.files[file.path][0] <= intakes.WHOLE:
                continue
            entry = manifests.find(self.root, file.path, self._contents.read)
            with suppress(NotFound, DigestMismatch):  # then all its pieces are stored anew
                if entry and entry.parts:
                    held |= {entry.parts, *split(self._contents.read(entry.parts))}
        return held

    def _take(self, intake: Intake, wanted: list[Wanted], found: Found) -> None:
        lasting = _LASTING
        self._progress.step(f"read {len(wanted):,} files of {self.listing.root}")
        for batch in intake.take(wanted, lambda done: self._progress.advance(done, len(wanted))):
            for taken in batch:
                if taken.problem is not None:
                    found.problems.append(taken.problem)
                elif taken.row is not None:
                    found.rows[taken.path] = taken.row
            if intake.stored > lasting:
                lasting = intake.stored + _LASTING
                self._contents.flush()
                self.save(found, manifest=b"")

    def _kept(self, problems: list[Problem]) -> dict[str, Entry]:
        """Return the files of the newest version that are perhaps still there and cannot be read."""
        passing = [problem.path for problem in problems if problem.passing]
        if not passing:
            return {}
        hidden = tuple(f"{path}/" for path in passing)
        return {
            path: entry
            for path, entry in self.last_entries().items()
            if path in passing or path.startswith(hidden)
        }
