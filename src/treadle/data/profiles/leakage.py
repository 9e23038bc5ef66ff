"""Leakage suspects: columns that probably hold what is not known when a prediction is asked for.

Each rule is evidence, not proof, and none looks at a column's name:

- `decides`: the column alone takes away 90 % of the outcome's uncertainty.
- `stands-out`: it takes away 25 %, and three times as much as the best of the columns that take away less than 25 %.
- `missing-together`: where it has no value, the outcome never becomes known (95 % of at least 30 rows, where the times of
  those rows would explain half at most). What is filled in by the same event as the outcome is not known before it.
- `missing-decides`: where it has no value, or where it has one, the outcome is of one class (99 % of at least 50 rows,
  where the times would explain 90 % at most, by more than chance).

A column that lies after the row's time is told apart from these: a plan does so honestly, a record does not, and the rows
cannot tell which it is – unless rows were ingested before that moment came, which only a plan allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.data.declarations import INGESTED_AT
from treadle.data.profiles import words
from treadle.data.profiles.columns import kind_of, numbers
from treadle.data.profiles.histogram import Floats
from treadle.data.profiles.records import Leakage, Skill, Suspect
from treadle.data.profiles.skill import MOST_CLASSES, Target, coded, folds, skill, target_of
from treadle.data.profiles.subject import Subject

DECIDES = 0.9
STANDS_OUT = 0.25
TIMES_THE_REST = 3.0
TOGETHER = 0.95
TOGETHER_BY_TIME = 0.5
ONE_CLASS = 0.99
ONE_CLASS_BY_TIME = 0.9
LATER = 0.99

#: Rows that skills are measured on.
MOST_ROWS = 100_000
_LEAST_ROWS = 100
_LEAST_OF_A_CLASS = 10
_LEAST_TOGETHER = 30
_LEAST_ONE_CLASS = 50
#: Natural logarithm of the odds that chance is asked to beat.
_CHANCE = 20.0
#: Share of rows ingested before a moment that shows it to be planned.
_PLANNED = 0.01
_STRETCHES = 50

Bools = npt.NDArray[np.bool_]


def leakage(sample: pl.DataFrame, subject: Subject, *, outcome: str) -> Leakage:
    """Examine every column of the sampled rows, which are in random order, for what it knows of one outcome."""
    known = sample.filter(pl.col(outcome).is_not_null()).head(MOST_ROWS)
    target = target_of(known[outcome]) if known.height >= _LEAST_ROWS else None
    reason = _unfit(known[outcome], target)
    kind = target.kind if target else "classes"
    if target is None or reason:
        return Leakage(outcome=outcome, kind=kind, rows=known.height, skipped=reason)
    aside = {*subject.outcomes, outcome, subject.arrived}
    columns = [
        name
        for name, dtype in sample.schema.items()
        if not name.startswith("_") and name not in aside and kind_of(dtype) != "other"
    ]
    skills = _skills(known, columns, target)
    suspects = [
        *_by_skill(skills, outcome),
        *_by_missing_together(sample, columns, subject, outcome),
        *_by_missing_class(known, columns, subject, outcome, target),
    ]
    named = {suspect.column for suspect in suspects}
    return Leakage(
        outcome=outcome,
        kind=kind,
        rows=known.height,
        skills=tuple(skills),
        suspects=tuple(suspects),
        later=tuple(_later(sample, [name for name in columns if name not in named], subject)),
    )


def _unfit(outcome: pl.Series, target: Target | None) -> str:
    """Return why skills cannot be measured, or nothing."""
    if len(outcome) < _LEAST_ROWS:
        return f"Only {words.plural(len(outcome), 'sampled row')} with a known outcome: at least {_LEAST_ROWS} are needed."
    if target is None:
        distinct = outcome.n_unique()
        if distinct < 2:
            return "The outcome has one value in all rows: there is nothing to predict."
        return f"The outcome is text with {words.count(distinct)} values: at most {MOST_CLASSES} can be examined."
    if target.kind == "classes" and target.values.sum(axis=0).min() < _LEAST_OF_A_CLASS:
        return f"A class of the outcome has fewer than {_LEAST_OF_A_CLASS} of {words.count(len(outcome))} sampled rows."
    return ""


def _skills(known: pl.DataFrame, columns: Sequence[str], target: Target) -> list[Skill]:
    fold = folds(known.height)
    found = [skill(name, coded(known[name]), target, fold) for name in columns]
    return sorted(found, key=lambda one: (-one.explained, one.column))


def _by_skill(skills: Sequence[Skill], outcome: str) -> Iterator[Suspect]:
    """Name the columns that predict the outcome alone, and far better than the others do."""
    rest = max((one.explained for one in skills if one.explained < STANDS_OUT), default=0.0)
    for one in skills:
        auc = f", AUC {one.auc:.3f}" if one.auc is not None else ""
        if one.explained >= DECIDES:
            text = f"alone decides {outcome}: it takes away {words.share(one.explained)} of the uncertainty{auc}."
            yield Suspect(column=one.column, outcome=outcome, rule="decides", text=text)
        elif one.explained >= max(STANDS_OUT, TIMES_THE_REST * rest):
            text = (
                f"alone takes away {words.share(one.explained)} of the uncertainty in {outcome}{auc}; "
                f"the best of the ordinary columns {words.share(rest)}."
            )
            yield Suspect(column=one.column, outcome=outcome, rule="stands-out", text=text)


def _by_missing_together(
    sample: pl.DataFrame, columns: Sequence[str], subject: Subject, outcome: str
) -> Iterator[Suspect]:
    """Name the columns without which the outcome never comes, fullest evidence first."""
    unknown = sample[outcome].is_null().to_numpy()
    if unknown.sum() < _LEAST_TOGETHER:
        return
    by_time = _explained_by_time(sample, subject, unknown.astype(np.float64))
    found: list[tuple[float, Suspect]] = []
    for name in columns:
        missing = sample[name].is_null().to_numpy()
        rows = int(missing.sum())
        if rows < _LEAST_TOGETHER or by_time[missing].mean() > TOGETHER_BY_TIME:
            continue
        together = float(unknown[missing].mean())
        if together >= TOGETHER:
            covered = float(missing[unknown].mean())
            text = _together_text(rows, together, covered, outcome, overall=float(unknown.mean()))
            found.append((covered, Suspect(column=name, outcome=outcome, rule="missing-together", text=text)))
    yield from (suspect for _, suspect in sorted(found, key=lambda one: (-one[0], one[1].column)))


def _together_text(rows: int, together: float, covered: float, outcome: str, *, overall: float) -> str:
    if together == 1.0 and covered == 1.0:
        return (
            f"is missing exactly where {outcome} is never known ({words.plural(rows, 'row')}): both are written by the same "
            "event, so it is not known before."
        )
    return (
        f"has no value in {words.plural(rows, 'row')}, and {'none' if together == 1.0 else words.share(1 - together)} of "
        f"them ever got an outcome, though {words.share(1 - overall)} of all rows did: it is filled in by what happens later."
    )


def _by_missing_class(
    known: pl.DataFrame, columns: Sequence[str], subject: Subject, outcome: str, target: Target
) -> Iterator[Suspect]:
    """Name the columns whose having a value, or having none, gives the class away."""
    if target.kind != "classes":
        return
    by_time = np.column_stack([_explained_by_time(known, subject, one) for one in target.values.T])
    for name in columns:
        missing = known[name].is_null().to_numpy()
        for inside, how in ((missing, "has no value"), (~missing, "has a value")):
            place = _only_class(target.values, by_time, inside)
            if place is None or missing.all() or not missing.any():
                continue
            text = (
                f"gives {outcome} away: where it {how} ({words.plural(int(inside.sum()), 'sampled row')}), {outcome} is "
                f"{words.shown(str(target.classes[place]))} in {words.share(float(target.values[inside, place].mean()))}, "
                f"against {words.share(float(target.values[:, place].mean()))} of all."
            )
            yield Suspect(column=name, outcome=outcome, rule="missing-decides", text=text)
            break


def _only_class(truth: Floats, by_time: Floats, inside: Bools) -> int | None:
    """Return the place of the class that all rows inside have, if neither their times nor chance explains it."""
    rows = int(inside.sum())
    if rows < _LEAST_ONE_CLASS:
        return None
    place = int(truth[inside].sum(axis=0).argmax())
    expected = float(by_time[inside, place].mean())
    pure = float(truth[inside, place].mean()) >= ONE_CLASS
    beyond = expected <= ONE_CLASS_BY_TIME and rows * -np.log(max(expected, 1e-9)) >= _CHANCE
    return place if pure and beyond else None


def _explained_by_time(rows: pl.DataFrame, subject: Subject, values: Floats) -> Floats:
    """Return the mean value around each row's time: recent rows have no outcome yet, and a feed may have failed for a week."""
    if subject.time is None or subject.time not in rows.columns:
        return np.full(rows.height, values.mean())
    place = numbers(rows[subject.time].rank("ordinal").fill_null(1)).astype(np.int64) - 1
    stretch = place * _STRETCHES // max(rows.height, 1)
    counts = np.bincount(stretch, minlength=_STRETCHES)
    sums = np.bincount(stretch, weights=values, minlength=_STRETCHES)
    means: Floats = (sums / np.maximum(counts, 1))[stretch]
    return means


def _later(sample: pl.DataFrame, columns: Sequence[str], subject: Subject) -> Iterator[tuple[str, str]]:
    """Tell of moments after the row's own that may be records and may be plans."""
    if subject.time is None or subject.time not in sample.columns:
        return
    for name in columns:
        if kind_of(sample.schema[name]) != "datetime" or name == subject.time:
            continue
        both = sample.select(
            pl.col(name).alias("stamp"), pl.col(subject.time).alias("time"), *_ingested(sample)
        )
        both = both.drop_nulls()
        if both.height < _LEAST_ROWS or (both["stamp"] > both["time"]).mean() < LATER:  # type: ignore[operator]
            continue
        fixed = (both["stamp"] - both["time"]).n_unique() == 1
        planned = "at" in both.columns and float((both["stamp"] > both["at"]).mean()) >= _PLANNED  # type: ignore[arg-type]
        if not fixed and not planned:
            after = words.share(float((both["stamp"] > both["time"]).mean()))  # type: ignore[arg-type]
            yield (
                name,
                f"lies after {subject.time} in {after} of the rows. A plan may; a record of what happened may not.",
            )


def _ingested(sample: pl.DataFrame) -> list[pl.Expr]:
    return [pl.col(INGESTED_AT).alias("at")] if INGESTED_AT in sample.columns else []
