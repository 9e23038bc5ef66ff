"""Pages of a table: the order in which it is read, where a page begins, and how the place after it is written down.

Rows are read in the order of (watermark, key columns), each page behind the last row of the one before it (keyset pagination),
so that a page costs the same wherever it is, given an index on these columns. A place is written as plain JSON values:
integers as they are, everything else as text that the database reads back exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration, InvalidInput, SourceUnreadable, closest
from treadle.core.optional import require

#: A written value of a watermark or key.
Value = int | str

#: How far back an ingestion looks again where nothing else is declared, for moments and for numbers.
OVERLAP, OVERLAP_NUMBERS = "10m", 1_000
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)([ T])(\d\d:\d\d(?::\d\d)?)(\.\d+)?(Z|[+-]\d\d(?::?\d\d)?)?")
_DAY = timedelta(days=1)


class Keyset:
    """The order of a table's rows, and what a page of them asks for."""

    def __init__(
        self, rows: Any, *, watermark: str | None, key: Sequence[str], what: str, engine: Any
    ) -> None:
        """Take an Ibis table; `engine` has `kind` and `nulls_come_first`.

        Raises:
            SourceUnreadable: the table lacks one of the columns, or it cannot be ordered by them.
        """
        self._ibis = require("ibis", extra="table")
        self._what = what
        self._kind = engine.kind
        self._nulls_first = engine.nulls_come_first
        self.rows = rows
        self.watermark = watermark
        #: The columns of the key, without the watermark.
        self.key = tuple(name for name in key if name != watermark)
        self._check()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the order."""
        return (self.watermark, *self.key) if self.watermark else self.key

    def top(self) -> Any:
        """Return the expression of the highest watermark, as the one row and column of a table."""
        return self.rows.aggregate(top=self.rows[self.watermark].max())

    def pages(self, *, start: Value | None, behind: Sequence[Value] | None, top: Value | None) -> list[Any]:
        """Return expressions whose rows, one after the other, are those that come next.

        `behind` is the written place of the last row that is known; else `start` is the watermark to start at. They are
        several so that each is one stretch of an index: first the rows with the watermark of that last row, then those
        above it.
        """
        if behind is None:
            return [self._ordered(self._above(start, top, inclusive=True))]
        if self.watermark is None:
            return [self._ordered(self._after(behind))]
        mark, *key = behind
        above = self._ordered(self._above(mark, top, inclusive=False))
        if not key:
            return [above]
        level = self.rows[self.watermark] == self._literal(mark, self.watermark)
        return [self._ordered([level, *self._after(key)]), above]

    def loose(self, *, start: Value | None, top: Value | None) -> Any | None:
        """Return the expression of the rows that have no place in the order, or None where the table allows none.

        That is rows without a watermark, and those from `start` to `top` without a key.
        """
        schema = self.rows.schema()
        parts = []
        if self.watermark and schema[self.watermark].nullable:
            parts.append(self.rows[self.watermark].isnull())
        keys = [self.rows[name].isnull() for name in self.key if schema[name].nullable]
        if keys:
            either = _any(keys)
            for bound in self._bounds(start, top, inclusive=True):
                either &= bound
            parts.append(either)
        return self.rows.filter(_any(parts)).order_by(self.columns) if parts else None

    def write(self, frame: pl.DataFrame, index: int) -> list[Value]:
        """Return the place of a row of a page."""
        return [written(frame[name].slice(index, 1), what=self._what)[0] for name in self.columns]

    def _check(self) -> None:
        schema = self.rows.schema()
        for name in self.columns:
            if name not in schema:
                msg = f"{self._what} has no column {name!r}. {closest(name, schema.names)}"
                raise SourceUnreadable(msg)
        for name in self.columns:
            dtype = schema[name]
            if dtype.is_floating() or dtype.is_binary() or dtype.is_nested():
                msg = (
                    f"{self._what}: {name!r} is {dtype}, which gives rows no exact order. Expected integers, text, dates "
                    "or moments for the key and the watermark."
                )
                raise SourceUnreadable(msg)

    def _ordered(self, filters: Sequence[Any]) -> Any:
        schema = self.rows.schema()
        whole = [self.rows[name].notnull() for name in self.key if schema[name].nullable]
        order = [self._ibis.asc(name, nulls_first=self._nulls_first) for name in self.columns]
        return (
            self.rows.filter(*filters, *whole).order_by(order)
            if filters or whole
            else self.rows.order_by(order)
        )

    def _above(self, mark: Value | None, top: Value | None, *, inclusive: bool) -> list[Any]:
        bounds = self._bounds(mark, top, inclusive=inclusive)
        return bounds or ([self.rows[self.watermark].notnull()] if self.watermark else [])

    def _bounds(self, mark: Value | None, top: Value | None, *, inclusive: bool) -> list[Any]:
        if self.watermark is None:
            return []
        column, found = self.rows[self.watermark], []
        if mark is not None:
            low = self._literal(mark, self.watermark)
            found.append(column >= low if inclusive else column > low)
        if top is not None:
            found.append(column <= self._literal(top, self.watermark))
        return found

    def _after(self, key: Sequence[Value]) -> list[Any]:
        """Return the filters of the rows whose key is above one, the first of them for the index."""
        columns = [self.rows[name] for name in self.key]
        values = [self._literal(value, name) for value, name in zip(key, self.key, strict=True)]
        above = columns[-1] > values[-1]
        for column, value in zip(columns[-2::-1], values[-2::-1], strict=True):
            above = (column > value) | ((column == value) & above)
        return [above] if len(columns) == 1 else [columns[0] >= values[0], above]

    def _literal(self, value: Value, name: str) -> Any:
        ibis, dtype = self._ibis, self.rows.schema()[name]
        if isinstance(value, int) or dtype.is_string():
            return ibis.literal(value)
        if self._kind == "sqlite":
            return _as_it_is(value, dtype)
        if dtype.is_timestamp():
            # Databricks knows no digits of a second, and only more than six must be asked for.
            dtype = dtype.copy(scale=dtype.scale if (dtype.scale or 0) > 6 else None)
        return ibis.literal(value).cast(dtype.copy(nullable=True))


class Overlap:
    """How far behind the last row an ingestion starts, to find rows that were stamped before it and committed after it.

    `elapsed` is how long a writer may take between stamp and commit, after which nothing is missing any more.
    """

    def __init__(self, declared: str | int | None, dtype: Any, *, what: str) -> None:
        """Take what was declared for a watermark of an Ibis type.

        Raises:
            InvalidDeclaration: a span for numbers, or a number for moments.
        """
        self._what = what
        self._days = bool(dtype.is_date())
        numbers = dtype.is_integer() or dtype.is_decimal()
        if declared is not None and isinstance(declared, int) != bool(numbers):
            expected = "a number, as 1000" if numbers else "a span, as '10m'"
            msg = f"{what}: overlap={declared!r} does not fit a watermark of the type {dtype}. Expected {expected}."
            raise InvalidDeclaration(msg, field="overlap")
        self._number = declared if isinstance(declared, int) else OVERLAP_NUMBERS
        self._span = parse_span(declared) if isinstance(declared, str) else parse_span(OVERLAP)
        self.elapsed = self._span + _DAY if self._days else self._span

    def before(self, value: Value) -> Value:
        """Return the written watermark that is the overlap before another one.

        Raises:
            SourceUnreadable: a text watermark is no moment.
        """
        if isinstance(value, int):
            return value - self._number
        try:
            return _earlier(value, self._span)
        except ValueError as error:
            msg = (
                f"{self._what}: the watermark holds {value!r}. A watermark that is text must be moments in ISO 8601, all of "
                "them written in one way."
            )
            raise SourceUnreadable(msg) from error


def check_overlap(declared: str | int | None) -> None:
    """Make sure that an overlap is a span or a number.

    Raises:
        InvalidDeclaration: it is not.
    """
    if isinstance(declared, str):
        try:
            parse_span(declared)
        except InvalidInput as error:
            raise InvalidDeclaration(f"Table(overlap={declared!r}): {error}", field="overlap") from error
    elif declared is not None and (isinstance(declared, bool) or declared < 0):
        msg = f"Table(overlap={declared!r}) is no distance. Expected a span such as '10m', or a number such as 1000."
        raise InvalidDeclaration(msg, field="overlap")


def written(cells: pl.Series, *, what: str) -> list[Any]:
    """Return cells of a watermark or key as plain values: integers, or text that sorts as the cells do.

    Raises:
        SourceUnreadable: the cells have another type than a place can be written in.
    """
    dtype = cells.dtype
    if isinstance(dtype, pl.Datetime):
        digits = 9 if dtype.time_unit == "ns" else 6
        zone = "+00:00" if dtype.time_zone else ""
        moments = cells.dt.convert_time_zone("UTC") if zone else cells
        return moments.dt.to_string(f"%Y-%m-%d %H:%M:%S%.{digits}f{zone}").to_list()
    if dtype.is_integer() or dtype in {pl.String, pl.Null}:
        return cells.to_list()
    if isinstance(dtype, pl.Decimal) and dtype.scale == 0:
        return [None if cell is None else int(cell) for cell in cells]
    if dtype in {pl.Date, pl.Boolean} or isinstance(dtype, pl.Decimal | pl.Categorical | pl.Enum):
        return cells.cast(pl.String).to_list()
    msg = f"{what}: {cells.name!r} holds {dtype}, which gives rows no exact order."
    raise SourceUnreadable(msg)


def _earlier(text: str, span: timedelta) -> str:
    """Return the moment or day in a text, a span earlier, written in the same way.

    >>> _earlier("2013-01-01T00:05:00Z", timedelta(minutes=10))
    '2012-12-31T23:55:00Z'
    """
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        # All rows of a day have one watermark: the day itself is looked at again as long as it lasts.
        return str(date.fromisoformat(text) - math.ceil(max(span / _DAY, 1)) * _DAY)
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(text)
    day, between, time, fraction, zone = found.groups(default="")
    moment = datetime.fromisoformat(f"{day}T{time}{fraction[:7].ljust(7, '0') if fraction else ''}") - span
    digits = f".{moment.microsecond:06d}000"[: len(fraction)]
    return f"{moment:%Y-%m-%d}{between}{str(moment.time())[: len(time)]}{digits}{zone}"


def _any(conditions: Sequence[Any]) -> Any:
    found = conditions[0]
    for condition in conditions[1:]:
        found |= condition
    return found


def _as_it_is(text: str, dtype: Any) -> Any:
    """Return text that SQLite compares with a column as it stands: Ibis would write a moment in its own way.

    `likely` returns its argument; nothing else that Ibis can write gives a text the type of the column.
    """
    ibis = require("ibis", extra="table")

    def likely(value: str) -> str:
        return value

    declared = ibis.udf.scalar.builtin(likely, name="likely", signature=(("string",), dtype))
    return declared(text)
