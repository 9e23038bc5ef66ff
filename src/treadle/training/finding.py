"""Finding runs by their metrics and parameters: conditions as people write them, and the query for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, and_, func, or_, select

from treadle.core.errors import InvalidInput
from treadle.core.records import Run
from treadle.store.ledger import tables as t

_CONDITION = re.compile(r"\s*((?:metrics|params)\.[^\s<>=!]+)\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*")
#: Runs that meet a condition, from which on it is common.
_MANY = 2_000
_COMPARE = {
    "<": "__lt__",
    "<=": "__le__",
    ">": "__gt__",
    ">=": "__ge__",
    "=": "__eq__",
    "!=": "__ne__",
}


def values_of(run: Run) -> list[dict[str, Any]]:
    """Return the values by which an ended run is found: its metrics, and parameters that are numbers or texts."""
    found = []
    for kind, values in (("metrics", run.metrics), ("params", run.params)):
        for name, value in values.items():
            number = float(value) if isinstance(value, int | float) else None
            text = value if isinstance(value, str) else None
            if number is not None or text is not None:
                found.append({"run": run.id, "name": f"{kind}.{name}", "number": number, "text": text})
    return found


def query(*, where: Sequence[str], sort: str, descending: bool, model: str | None, limit: int) -> Select[Any]:
    """Return the query for the bodies of runs that meet all conditions, sorted by a value.

    Raises:
        InvalidInput: a condition or the name to sort by is not understood.
    """
    wanted, by = chosen(where=where, sort=sort, model=model or "")
    if not sort:
        return wanted.order_by(t.runs.c.id.desc()).limit(limit)
    value = by[0]
    return wanted.order_by(value.desc() if descending else value.asc(), t.runs.c.id).limit(limit)


def chosen(
    *,
    where: Sequence[str],
    sort: str,
    model: str = "",
    status: str | None = None,
    common: Collection[str] = (),
) -> tuple[Select[Any], list[Column[Any]]]:
    """Return the query for the bodies of runs that meet all conditions, and the columns by which they are in order.

    Conditions in `common` hold of many runs: they are asked of each run in its turn, the others first of all.

    Raises:
        InvalidInput: a condition or the name to sort by is not understood.
    """
    wanted = select(t.runs.c.body)
    for text in where:
        meets = select(t.run_values.c.run).where(_condition(text))
        if text in common:
            wanted = wanted.where(meets.where(t.run_values.c.run == t.runs.c.id).correlate(t.runs).exists())
        else:
            wanted = wanted.where(t.runs.c.id.in_(meets))
    if model:
        # Of a model with very many runs those at the top are found by the values' index, not all of its runs first.
        column = func.coalesce(t.runs.c.model, "") if sort and _of(model) in common else t.runs.c.model
        wanted = wanted.where(column == model)
    if status is not None:
        wanted = wanted.where(t.runs.c.status == status)
    if not sort:
        return wanted, [t.runs.c.id]
    if not sort.startswith(("metrics.", "params.")):
        msg = f"Runs cannot be sorted by {sort!r}. Expected metrics.NAME or params.NAME, as 'metrics.loss'."
        raise InvalidInput(msg, field="sort")
    value = t.run_values.c.number
    wanted = wanted.join(t.run_values, t.run_values.c.run == t.runs.c.id)
    wanted = wanted.where((t.run_values.c.name == sort) & value.is_not(None))
    return wanted, [value, t.run_values.c.run]


def _of(model: str) -> str:
    """Return the condition that a run is one of a model's."""
    return f"model={model}"


def common(connection: Connection, where: Sequence[str], *, model: str = "") -> set[str]:
    """Return the conditions that so many runs meet that their ids are not to be gathered first; being of a model is one.

    Raises:
        InvalidInput: a condition is not understood.
    """
    found = set()
    for text in where:
        some = select(t.run_values.c.run).where(_condition(text)).limit(_MANY).subquery()
        if connection.execute(select(func.count()).select_from(some)).scalar_one() == _MANY:
            found.add(text)
    if model:
        own = select(t.runs.c.id).where(t.runs.c.model == model).limit(_MANY).subquery()
        if connection.execute(select(func.count()).select_from(own)).scalar_one() == _MANY:
            found.add(_of(model))
    return found


def _condition(text: str) -> ColumnElement[bool]:
    found = _CONDITION.fullmatch(text)
    if found is None:
        msg = f"The condition {text!r} is not understood. Expected for example 'metrics.loss<0.3' or 'params.kind=tree'."
        raise InvalidInput(msg, field="where")
    name, operator, given = found.groups()
    compare = _COMPARE[operator]
    number, column = _number(given), t.run_values.c
    as_text = getattr(column.text, compare)(given.strip("'\""))
    if number is None:
        return and_(column.name == name, as_text)
    as_number = getattr(column.number, compare)(number)
    matches = or_(as_number, as_text) if operator == "=" else as_number
    return and_(column.name == name, matches)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text.lower())
