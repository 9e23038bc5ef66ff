"""Names that people give to dataset versions, as `gold` or `before-the-move`."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import Connection, delete, select

from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, NotFound, closest
from treadle.core.records import DatasetVersion, Record, from_json, to_json
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import dataset_tags, put

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")


class Tag(Record, frozen=True, kw_only=True):
    """A name of a dataset version; it may be given to another version later."""

    dataset: str
    tag: str
    version: int
    at: datetime
    actor: str = ""
    reason: str = ""


class Tags:
    """Names versions, which `datasets.read("flights", version="gold")` then finds.

    >>> tags.give("gold", datasets.version("flights", 12), reason="checked by hand")      # doctest: +SKIP
    """

    def __init__(self, *, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock

    def give(self, tag: str, version: DatasetVersion, *, actor: str = "", reason: str = "") -> Tag:
        """Give a version a name, also when another version of its dataset has it.

        Raises:
            InvalidInput: the tag could be taken for a number or a moment.
        """
        check_name(tag)
        made = Tag(
            dataset=version.dataset,
            tag=tag,
            version=version.version,
            at=self._clock.now(),
            actor=actor,
            reason=reason,
        )
        with self._ledger.write() as connection:
            put(
                connection,
                dataset_tags,
                dataset=made.dataset,
                tag=made.tag,
                version=made.version,
                body=to_json(made),
            )
        return made

    def take(self, dataset: str, tag: str) -> None:
        """Take a tag away.

        Raises:
            NotFound: no version of the dataset has it.
        """
        c = dataset_tags.c
        with self._ledger.write() as connection:
            done = connection.execute(delete(dataset_tags).where((c.dataset == dataset) & (c.tag == tag)))
            if not done.rowcount:
                raise unknown(connection, dataset, tag)

    def list(self, dataset: str) -> list[Tag]:
        """Return the tags of a dataset's versions, by name."""
        with self._ledger.read() as connection:
            return of(connection, dataset)


def of(connection: Connection, dataset: str) -> list[Tag]:
    """Return the tags of a dataset, by name."""
    c = dataset_tags.c
    bodies = connection.execute(select(c.body).where(c.dataset == dataset).order_by(c.tag)).scalars()
    return [from_json(body, Tag) for body in bodies]


def unknown(connection: Connection, dataset: str, tag: str) -> NotFound:
    """Build the error for a tag that no version has."""
    known = [one.tag for one in of(connection, dataset)]
    return NotFound(f"No version of dataset {dataset!r} has the tag {tag!r}. {closest(tag, known)}")


def check_name(tag: str) -> None:
    """Make sure that a tag cannot be taken for a number or a moment.

    Raises:
        InvalidInput: it can, or has other characters than letters, digits, '.', '_' and '-'.
    """
    if not _NAME.fullmatch(tag):
        msg = f"{tag!r} is no tag. Expected a letter, then at most 99 letters, digits, '.', '_' or '-'."
        raise InvalidInput(msg, field="tag")
