"""What a workspace can do with its state as a whole: keep it elsewhere, put it back, and let go of what nobody needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from treadle.app import retention
from treadle.app.retention import Forgotten, Garbage
from treadle.app.turned import Turned
from treadle.core import settings
from treadle.core.clock import parse_span

if TYPE_CHECKING:
    from treadle.store.backups import Backup


class Kept(Turned):
    """The part of a workspace that keeps its state, and lets parts of it go."""

    def forget(self, dataset: str, *, where: Mapping[str, Any], reason: str) -> Forgotten:
        """Take rows out of every version of a dataset, for ever, and name the model versions that saw them.

        Raises:
            NotFound: no row has these values.
        """
        return retention.forget(self._whole, dataset, where=where, reason=reason)

    def collect(
        self,
        names: Sequence[str] | None = None,
        *,
        what: Sequence[str] = retention.KINDS,
        keep_last: int = 10,
        younger_than: str = "30d",
        dry_run: bool = True,
    ) -> Garbage:
        """Remove what no kept version of some datasets, trees and models needs (by default: of all), or say what would go.

        Of datasets and trees, what models were trained on always stays; of models, what an alias, an endpoint's current revision, a server
        or a waiting approval refers to. Records and histories stay. Of logs, what is older than `serving.keep_predictions` goes.

        Raises:
            NotFound: there is nothing of a name.
        """
        return retention.collect(
            self._whole,
            names,
            what=what,
            last=keep_last,
            younger_than=parse_span(younger_than),
            dry_run=dry_run,
        )

    def backup(self, to: str, *, keep: int | None = None) -> Backup:
        """Write a backup of the whole state to a folder or bucket, while it is in use; of those there perhaps only some stay.

        All that was acknowledged before it began is in it: what servers on other machines have logged, from the moment at which they
        shipped it. What an earlier backup at the place holds is not stored again. Your own files are not in it: they are in version control.

        Raises:
            InvalidInput: `keep` is below 1, or the place has backups of another project.
            Busy: another backup is being made.
            StoreUnavailable: a store does not answer, or is full.
        """
        from treadle.app.backups import backup

        return backup(self._whole, to, keep=keep, progress=self._progress)

    def backups(self, place: str) -> list[Backup]:
        """Return the backups at a place, the oldest first."""
        from treadle.store.backups import Backups

        return Backups.open(place, root=self.root, options=settings.aws_options()).all()

    def restore(self, source: str, *, backup: str = "") -> Backup:
        """Put the state of a backup (by default the newest at a place) into this project's stores, which are empty.

        They may be of another kind than those that it came from: so a project moves to PostgreSQL or a bucket. See `app.restoring`.

        Raises:
            NotFound: there is no such backup.
            Conflict: the stores are not empty.
            DigestMismatch: the backup is damaged; nothing of it counts.
        """
        from treadle.app.restoring import restore

        return restore(self._whole, source, backup=backup, progress=self._progress)
