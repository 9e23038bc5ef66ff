"""Whether rows have changed against a reference: every column by every detector, corrected once over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core import plugins
from treadle.core.errors import InvalidInput, closest, not_found
from treadle.core.records import Record
from treadle.monitoring import tails
from treadle.monitoring.detector import Case, Detector, Measured
from treadle.monitoring.estimation import Estimate
from treadle.monitoring.reference import Reference
from treadle.monitoring.summaries import Column, count
from treadle.monitoring.whereabouts import located

#: Detectors that a comparison takes by default: those of single columns.
DEFAULT = ("categories", "missing", "range", "unseen", "values", "words")
#: Findings whose rows are looked for.
_LOCATED = 10


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How rows are compared.

    >>> Asked(rate=0.01, least={"values": 0.05}).rate
    0.01

    Raises:
        InvalidInput: a rate or a threshold is none.
        NotFound: there is no such detector.
    """

    #: The chance of any finding where nothing has changed.
    rate: float = 0.01
    #: Detector → the smallest effect that counts; others have their own.
    least: Mapping[str, float] = field(default_factory=dict)
    detectors: Sequence[str] = DEFAULT
    #: Columns to compare; none: all of the reference.
    columns: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check what was asked."""
        if not 0 < self.rate < 1:
            msg = f"rate={self.rate!r}: expected a chance between 0 and 1, as 0.01."
            raise InvalidInput(msg, field="rate")
        for name in (*self.detectors, *self.least):
            if name not in plugins.available("detector"):
                raise not_found("detector", name, plugins.available("detector"))
        for name, value in self.least.items():
            if not 0 <= value < 1:
                msg = f"The least effect of {name!r} is {value!r}; expected a share of rows from 0 to below 1, as 0.02."
                raise InvalidInput(msg, field="least")


class Finding(Record, frozen=True, kw_only=True):
    """What one detector says of one column."""

    #: `input`, `prediction`, `confidence` or `target`; see `reference.Role`.
    role: str
    #: Empty: all columns together.
    column: str
    detector: str
    #: The chance of as much where nothing has changed, and the same corrected for all that was tried.
    p: float
    corrected: float
    #: How much has changed, what of that is noise, and the least that counts.
    effect: float
    floor: float
    least: float
    #: Whether it is a finding: surely more than noise, and enough to matter.
    drifted: bool
    text: str
    #: How much of the answers' variation goes with the column; None: it is no input, or was not tried.
    importance: float | None = None
    #: The moment since when it is so; None: all the time, or there is no time.
    since: datetime | None = None
    #: Where it is so above all, as `origin=JFK`; empty: everywhere.
    slice: str = ""

    @property
    def matter(self) -> float:
        """What findings are ordered by: the effect, weighed by how much the answers depend on the column."""
        weight = 1.0 if self.importance is None else 0.05 + self.importance
        return self.effect * weight


class Drift(Record, frozen=True, kw_only=True):
    """What a comparison of a window with a version's reference came to."""

    #: The version, as `delay/3`, and what the rows are, as `endpoint:delay`.
    version: str
    source: str
    at: datetime
    #: The window's event time, `start <= time < end`; None: it has no such end.
    start: datetime | None = None
    end: datetime | None = None
    #: Rows of the window and of the reference.
    rows: int
    reference_rows: int
    #: The chance of any finding where nothing has changed.
    rate: float
    #: Everything that was tried, the findings first, those that matter most before others.
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    #: How good the version's answers in the window are thought to be, where that can be estimated.
    estimates: tuple[Estimate, ...] = ()

    @property
    def drifted(self) -> tuple[Finding, ...]:
        """The findings: what has changed."""
        return tuple(one for one in self.findings if one.drifted)

    @property
    def text(self) -> str:
        """What it came to, in one sentence."""
        found = self.drifted
        said = f"{self.rows:,} rows of {self.source} against {self.version}"
        if not found:
            return f"Nothing has changed in {said} ({len(self.findings)} tests)."
        columns = list(dict.fromkeys(one.column or "all columns together" for one in found))
        shown = ", ".join(columns[:5]) + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")
        return f"{shown} changed in {said}. {columns[0]}: {found[0].text}"


def compare(
    reference: Reference,
    parts: Mapping[str, pl.DataFrame],
    *,
    version: str,
    source: str,
    at: datetime,
    asked: Asked | None = None,
    time: pl.Series | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    notes: Sequence[str] = (),
    estimates: Sequence[Estimate] = (),
) -> Drift:
    """Compare the rows of a window, as frames by role, with a reference.

    `time` are the rows' moments, of shape (rows,). Columns that the window lacks are left out and noted.

    Raises:
        InvalidInput: a column that was asked for is not in the reference.
    """
    wanted = asked or Asked()
    _check(reference, wanted)
    detectors = {name: plugins.load("detector", name).Detector() for name in wanted.detectors}
    pairs, absent = _pairs(reference, parts, wanted)
    tried = [*_of_columns(detectors, pairs), *_of_rows(detectors, reference, parts)]
    found = _findings(tried, detectors, reference, wanted)
    inputs = parts.get("input", pl.DataFrame())
    return Drift(
        version=version,
        source=source,
        at=at,
        start=start,
        end=end,
        rows=inputs.height or max((frame.height for frame in parts.values()), default=0),
        reference_rows=reference.rows,
        rate=wanted.rate,
        findings=_located(found, parts, time),
        notes=(*reference.notes, *notes, *absent),
        estimates=tuple(estimates),
    )


Tried = tuple[str, str, str, Measured]


def _check(reference: Reference, asked: Asked) -> None:
    known = [name for found in reference.columns.values() for name in found]
    for name in asked.columns:
        if name not in known:
            msg = f"There is no column {name!r} in the reference. {closest(name, known)}"
            raise InvalidInput(msg, field="columns")


def _pairs(
    reference: Reference, parts: Mapping[str, pl.DataFrame], asked: Asked
) -> tuple[list[tuple[str, str, Column, Column]], list[str]]:
    pairs, absent = [], []
    for role, columns in reference.columns.items():
        if role not in parts:
            continue
        for name, before in columns.items():
            if asked.columns and name not in asked.columns:
                continue
            if name in parts[role].columns:
                pairs.append((role, name, before, count(parts[role][name], before)))
            else:
                absent.append(f"The window has no column {name!r}, so it was not compared.")
    return pairs, absent


def _of_columns(
    detectors: Mapping[str, Detector], pairs: Sequence[tuple[str, str, Column, Column]]
) -> list[Tried]:
    found = []
    for role, name, before, now in pairs:
        for kind, detector in detectors.items():
            if detector.of == "column":
                measured = detector.measure(Case(column=name, before=before, now=now))
                if measured is not None:
                    found.append((role, name, kind, measured))
    return found


def _of_rows(
    detectors: Mapping[str, Detector], reference: Reference, parts: Mapping[str, pl.DataFrame]
) -> list[Tried]:
    together = {kind: detector for kind, detector in detectors.items() if detector.of == "rows"}
    if not together or "input" not in parts:
        return []
    sample = reference.rows_kept()
    shared = [name for name in sample.columns if name in parts["input"].columns]
    if not shared:
        return []
    case = Case(column="", sample=sample.select(shared), rows=parts["input"].select(shared))
    measured = ((kind, detector.measure(case)) for kind, detector in together.items())
    return [("input", "", kind, one) for kind, one in measured if one is not None]


def _findings(
    tried: Sequence[Tried], detectors: Mapping[str, Detector], reference: Reference, asked: Asked
) -> list[tuple[Finding, dict[str, Any]]]:
    if not tried:
        return []
    corrected = tails.corrected(np.array([one.p for *_, one in tried]))
    found = []
    for (role, name, kind, one), p in zip(tried, corrected, strict=True):
        least = asked.least.get(kind, detectors[kind].least)
        above = math.sqrt(max(0.0, one.effect**2 - one.floor**2))
        finding = Finding(
            role=role,
            column=name,
            detector=kind,
            p=one.p,
            corrected=float(p),
            effect=one.effect,
            floor=one.floor,
            least=least,
            drifted=bool(p <= asked.rate) and above >= least,
            text=one.text,
            importance=reference.importance.get(name) if role == "input" else None,
        )
        found.append((finding, one.moved))
    return sorted(
        found, key=lambda pair: (not pair[0].drifted, -pair[0].matter if pair[0].drifted else pair[0].p)
    )


def _located(
    found: Sequence[tuple[Finding, dict[str, Any]]], parts: Mapping[str, pl.DataFrame], time: pl.Series | None
) -> tuple[Finding, ...]:
    """Return the findings, the first of those that have drifted with since when and where."""
    inputs = parts.get("input", pl.DataFrame())
    told = []
    for place, (finding, moved) in enumerate(found):
        frame = parts.get(finding.role, pl.DataFrame())
        if place < _LOCATED and finding.drifted and frame.height:
            rows = inputs if inputs.height == frame.height else pl.DataFrame()
            moments = time if time is not None and len(time) == frame.height else None
            since, where = located(finding.column, moved, frame, rows=rows, time=moments)
            finding = msgspec.structs.replace(finding, since=since, slice=where)
        told.append(finding)
    return tuple(told)
