"""Alerts, and what may become one, as the ledger keeps them."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select

from treadle.core.alert import Alert
from treadle.core.records import from_json
from treadle.monitoring.rules import Sighting
from treadle.store.ledger import tables as t


def about(rule: str | None, subject: str | None) -> list[ColumnElement[bool]]:
    """Return the conditions for a rule and a subject, where they are asked for."""
    asked = ((t.alerts.c.rule, rule), (t.alerts.c.subject, subject))
    return [column == value for column, value in asked if value is not None]


def open_one(connection: Connection, rule: str, subject: str) -> Alert | None:
    """Return the open alert of a rule and a subject; None: there is none."""
    chosen = (t.alerts.c.rule == rule) & (t.alerts.c.subject == subject) & t.alerts.c.open.is_(True)
    body = connection.execute(select(t.alerts.c.body).where(chosen)).scalar()
    return from_json(body, Alert) if body else None


def alert(connection: Connection, name: str) -> Alert | None:
    """Return an alert by its id; None: there is none."""
    body = connection.execute(select(t.alerts.c.body).where(t.alerts.c.id == name)).scalar()
    return from_json(body, Alert) if body else None


def sightings(connection: Connection) -> dict[tuple[str, str], Sighting]:
    """Return what was found and is not an alert yet."""
    rows = connection.execute(select(t.sightings)).all()
    return {(row.rule, row.subject): from_json(row.body, Sighting) for row in rows}
