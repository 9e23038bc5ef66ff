"""Findings: what a person should know about the data before anything else, in plain words, gravest first."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from treadle.data.profiles import words
from treadle.data.profiles.records import Coverage, Finding, Profile
from treadle.data.profiles.signs import signs

_ORDER = {"alert": 0, "warning": 1, "note": 2}
_SAME = 0.999
_STANDARD_ERRORS = 5
_SPLIT_OFF = 0.02
_RARE = 0.01
_UNKNOWN = 0.5
#: So many gaps, none over twice as long as most, are a rhythm, as nights and weekends are, and not an accident.
_RHYTHM = 5


def findings(found: Profile, sample: pl.DataFrame) -> tuple[Finding, ...]:
    """Return all findings, alerts first."""
    if found.rows == 0:
        return (Finding(level="alert", kind="no-rows", text="There are no rows."),)
    listed = [
        *_leaks(found),
        *_changes(found),
        *_outcomes(found),
        *_rows(found),
        *_times(found),
        *_split(found),
        *(sign for column in found.columns for sign in signs(column, sample[column.name], found)),
        *_twins(found),
    ]
    return tuple(sorted(listed, key=lambda one: _ORDER[one.level]))


def _leaks(found: Profile) -> Iterator[Finding]:
    for leak in found.leakage:
        for column in leak.suspected:
            texts = [suspect.text for suspect in leak.suspects if suspect.column == column]
            # The sentences of several rules are about the same column: the first names it.
            text = " It ".join(texts)
            yield Finding(level="alert", kind="leakage", column=column, text=text)


def _changes(found: Profile) -> Iterator[Finding]:
    if found.comparison is None:
        return
    against = found.comparison.before.version
    clear = [change for change in found.comparison.changes if change.verdict == "clear"]
    for change in clear[:5]:
        yield Finding(
            level="warning",
            kind="changed",
            column=change.column,
            text=f"is distributed otherwise in the rows after version {against}: distance {change.distance:.2f}, where "
            f"chance stays below {change.floor:.2f}.",
        )
    if len(clear) > 5:
        names = ", ".join(change.column for change in clear[5:])
        text = f"{words.plural(len(clear) - 5, 'other column')} changed clearly since version {against}: {names}."
        yield Finding(level="warning", kind="changed", text=text)
    for change in found.comparison.changes:
        if change.new_values:
            values = ", ".join(
                f"{words.shown(value)} ({words.share(share)})" for value, share in change.new_values[:3]
            )
            yield Finding(
                level="warning",
                kind="new-values",
                column=change.column,
                text=f"has {words.plural(len(change.new_values), 'value')} that version {against} did not have: {values}.",
            )


def _outcomes(found: Profile) -> Iterator[Finding]:
    for column in found.columns:
        if "outcome" not in column.roles:
            continue
        if column.missing:
            yield Finding(
                level="warning" if column.missing > _UNKNOWN else "note",
                kind="outcome-unknown",
                column=column.name,
                text=f"is not known in {words.share(column.missing)} of the rows ({words.count(column.missing_rows)}).",
            )
        if column.distinct == 1:
            text = "has one value in all rows whose outcome is known: there is nothing to predict."
            yield Finding(level="alert", kind="outcome-constant", column=column.name, text=text)
        elif column.kind == "bool" and column.mean is not None and min(column.mean, 1 - column.mean) < _RARE:
            rare = min(column.mean, 1 - column.mean)
            value = "true" if column.mean < 1 / 2 else "false"
            text = f"is {value} in only {words.share(rare)} of the rows: judge models on what finds those."
            yield Finding(level="note", kind="outcome-rare", column=column.name, text=text)


def _rows(found: Profile) -> Iterator[Finding]:
    if found.duplicates:
        where = "" if found.exact else f" of {words.count(found.sampled)} sampled"
        verb = "repeats" if found.duplicates == 1 else "repeat"
        yield Finding(
            level="warning" if found.duplicates / found.sampled >= _RARE else "note",
            kind="duplicates",
            text=f"{words.plural(found.duplicates, 'row')}{where} {verb} another in everything but the key.",
        )
    if found.quarantined:
        yield Finding(
            level="note",
            kind="quarantine",
            text=f"{words.plural(found.quarantined, 'row is', 'rows are')} in quarantine: treadle datasets quarantine {found.dataset}",
        )


def _times(found: Profile) -> Iterator[Finding]:
    covered = found.coverage
    if covered is None or found.time is None:
        return
    if covered.gaps:
        yield Finding(
            level="note" if _is_rhythm(covered) else "warning",
            kind="gaps",
            text=f"{words.plural(len(covered.gaps), 'gap')} without rows; {_longest(covered)}.",
        )
    if covered.outside:
        text = (
            f"has {words.plural(covered.outside, 'row')} far from all others: "
            f"from {words.moment(found.time_min)} to {words.moment(found.time_max)}."
            if found.time_min and found.time_max
            else ""
        )
        yield Finding(level="warning", kind="far-times", column=found.time, text=text)
    if found.created_at and found.time_max and found.time_max.tzinfo and found.time_max > found.created_at:
        text = f"reaches to {words.moment(found.time_max)}, after the version was made ({words.moment(found.created_at)})."
        yield Finding(level="note", kind="future", column=found.time, text=text)


def _is_rhythm(covered: Coverage) -> bool:
    lengths = sorted(gap.end - gap.start for gap in covered.gaps)
    return len(lengths) >= _RHYTHM and lengths[-1] <= 2 * lengths[len(lengths) // 2]


def _longest(covered: Coverage) -> str:
    gap = max(covered.gaps, key=lambda one: one.end - one.start)
    start, end = (words.moment(at, every=covered.every) for at in (gap.start, gap.end))
    return f"the longest from {start} until {end}"


def _split(found: Profile) -> Iterator[Finding]:
    total = sum(part.rows for part in found.split_shares)
    for part in found.split_shares:
        if part.declared is None or not total:
            continue
        share, error = part.rows / total, (part.declared * (1 - part.declared) / total) ** 0.5
        if abs(share - part.declared) > max(_SPLIT_OFF, _STANDARD_ERRORS * error):
            text = f"The {part.name} split has {words.share(share)} of the rows, and was declared with {words.share(part.declared)}."
            yield Finding(level="warning", kind="split-size", text=text)
    yield from _split_outcomes(found)


def _split_outcomes(found: Profile) -> Iterator[Finding]:
    """Tell of a part in which the outcome is true clearly more or less often than in the others."""
    outcome = next((column for column in found.columns if "outcome" in column.roles), None)
    if outcome is None or outcome.kind != "bool" or outcome.mean is None:
        return
    for part in found.split_shares:
        if part.declared is None or part.outcome is None or not part.known:
            continue
        error = (outcome.mean * (1 - outcome.mean) / part.known) ** 0.5
        if abs(part.outcome - outcome.mean) > max(_SPLIT_OFF, _STANDARD_ERRORS * error):
            text = (
                f"{outcome.name} is true in {words.share(part.outcome)} of the {part.name} split, and in "
                f"{words.share(outcome.mean)} of all rows."
            )
            yield Finding(level="warning", kind="split-outcome", text=text)


def _twins(found: Profile) -> Iterator[Finding]:
    """Tell of columns that carry the same information: the second adds nothing but its cost."""
    if found.associations is None:
        return
    names = found.associations.columns
    outcomes = {column.name for column in found.columns if "outcome" in column.roles}
    moments = {column.name for column in found.columns if column.kind == "datetime"}
    for row, values in enumerate(found.associations.strength):
        for place, strength in enumerate(values[:row]):
            pair = {names[row], names[place]}
            if (
                strength is not None
                and abs(strength) >= _SAME
                and not pair & outcomes
                and not pair <= moments
            ):
                text = f"says the same as {names[place]}: they go together at {strength:.3f}."
                yield Finding(level="note", kind="twin", column=names[row], text=text)
