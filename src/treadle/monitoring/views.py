"""What performance is made of, kept by stretch of time for each question that is asked again and again.

Everything here can be made again from the logs: it is kept so that only what is new has to be read. Whoever has read what is new
writes it in one transaction, and only where nobody else did so meanwhile; what nobody asks for any more is removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import polars as pl
from sqlalchemy import delete, select, update

from treadle.core.clock import Clock
from treadle.core.records import Record, from_json, to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: What was not asked for so long is removed; that it is still asked for is noted so often.
UNUSED, _NOTED = timedelta(days=30), timedelta(days=1)
#: The beginning of the one stretch that has none.
_NEVER = -1
START = "start"
_KIND = pl.Datetime("us", "UTC")


class Mark(Record, frozen=True, kw_only=True):
    """How far logs have been taken in."""

    #: Grows with each write.
    change: int
    #: Commits of the log of predictions, and of that of outcomes.
    predictions: int
    outcomes: int
    #: Rows whose commit is not known.
    unstamped: tuple[int, int]
    #: The earliest moment of a prediction.
    first: datetime | None
    #: The rows of outcomes.
    reported: int
    #: By dataset, the version whose outcomes were looked at.
    landed: dict[str, int]
    #: What is taken from each term before it is summed.
    center: tuple[float, ...] = ()


@dataclass(frozen=True)
class Kept:
    """What is kept of a question."""

    mark: Mark
    parts: pl.DataFrame


class Views:
    """What performance is made of, in the ledger."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock

    def read(self, view: str, schema: Mapping[str, pl.DataType]) -> Kept | None:
        """Return what is kept of a question, with `start` and the columns of `schema`; None: nothing is."""
        with self._ledger.read() as connection:
            head = connection.execute(
                select(t.performance_views).where(t.performance_views.c.view == view)
            ).first()
            if head is None:
                return None
            wanted = select(t.performance_parts).where(t.performance_parts.c.view == view)
            rows = connection.execute(wanted.order_by(t.performance_parts.c.start)).all()
        now = t.micros(self._clock.now())
        if now - head.used_at > _NOTED // timedelta(microseconds=1):
            self._note(view, now)
        parts = [_frame(row.start, row.body, schema) for row in rows]
        empty = pl.DataFrame(schema={START: _KIND, **schema})
        return Kept(from_json(head.body, Mark), pl.concat([empty, *parts]))

    def write(
        self,
        view: str,
        endpoint: str,
        *,
        mark: Mark,
        parts: pl.DataFrame,
        touched: pl.Series | None,
        expected: int | None,
    ) -> bool:
        """Keep the stretches that were touched (None: all anew), and how far that goes; False: somebody else was faster.

        `expected` is the `change` that was read, None where nothing was kept.
        """
        now = t.micros(self._clock.now())
        chosen = (
            parts
            if touched is None
            else parts.filter(pl.col(START).is_in(touched.implode(), nulls_equal=True))
        )
        rows = [
            {"view": view, "start": start, "body": _text(part)} for start, part in _by_start(chosen).items()
        ]
        with self._ledger.write() as connection:
            body = connection.execute(
                select(t.performance_views.c.body).where(t.performance_views.c.view == view)
            ).scalar()
            if (None if body is None else from_json(body, Mark).change) != expected:
                return False
            gone = t.performance_parts.c.view == view
            if touched is not None:
                gone &= t.performance_parts.c.start.in_([_number(at) for at in touched])
            connection.execute(delete(t.performance_parts).where(gone))
            t.put_all(connection, t.performance_parts, rows)
            t.put(
                connection, t.performance_views, view=view, endpoint=endpoint, used_at=now, body=to_json(mark)
            )
            self._forget(connection, t.micros(self._clock.now() - UNUSED))
        return True

    def drop(self, endpoint: str) -> None:
        """Remove what is kept of an endpoint."""
        with self._ledger.write() as connection:
            mine = select(t.performance_views.c.view).where(t.performance_views.c.endpoint == endpoint)
            connection.execute(delete(t.performance_parts).where(t.performance_parts.c.view.in_(mine)))
            connection.execute(delete(t.performance_views).where(t.performance_views.c.endpoint == endpoint))

    def _note(self, view: str, now: int) -> None:
        with self._ledger.write() as connection:
            chosen = t.performance_views.c.view == view
            connection.execute(update(t.performance_views).where(chosen).values(used_at=now))

    def _forget(self, connection: Any, before: int) -> None:
        old = t.performance_views.c.used_at < before
        mine = select(t.performance_views.c.view).where(old)
        connection.execute(delete(t.performance_parts).where(t.performance_parts.c.view.in_(mine)))
        connection.execute(delete(t.performance_views).where(old))


def _by_start(parts: pl.DataFrame) -> dict[int, pl.DataFrame]:
    found = parts.partition_by(START, as_dict=True, maintain_order=True)
    return {_number(start): part.drop(START) for (start,), part in found.items()}


def _number(start: Any) -> int:
    return _NEVER if start is None else t.micros(start)


def _text(part: pl.DataFrame) -> str:
    return msgspec.json.encode(part.to_dict(as_series=False)).decode()


def _frame(start: int, body: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    told = msgspec.json.decode(body)
    at = None if start == _NEVER else t.moment(start)
    columns = [pl.Series(name, told[name], dtype=kind) for name, kind in schema.items()]
    return pl.DataFrame(columns).select(pl.lit(at, _KIND).alias(START), pl.all())
