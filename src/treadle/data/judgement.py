"""Judges the new rows of a commit as a whole, or file by file: how many are bad, and what the dataset's rules say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from treadle.core.clock import Clock
from treadle.core.errors import NotFound, RuleBroken
from treadle.data.commits import Commit, live_rows, table_name
from treadle.data.dataset_rules import Facts, judge, nothing_stored, refused, remembered
from treadle.data.declarations import Dataset
from treadle.data.landing import Landed
from treadle.data.reading import Selection, read
from treadle.data.reasons import too_many
from treadle.data.state import State
from treadle.data.summaries import merged, summarise
from treadle.store.tables.tables import Tables


class Judge:
    """Asks the rules of a dataset, and gives them what they need to know."""

    def __init__(self, *, tables: Tables, clock: Clock, state: Callable[[str], State]) -> None:
        """Take the tables, and `state(name)`, which says what the ledger knows of a dataset."""
        self._tables, self._clock, self._state = tables, clock, state

    def leave_out(self, dataset: Dataset, landed: Landed, state: State) -> None:
        """Leave out the new files whose rows break a rule that skips: each is a problem until it changes, and the others go on."""
        rules = [rule for rule in dataset.rules if rule.severity == "skip"]
        if not rules or not landed.files or landed.spec is None:
            return
        facts = self._facts(dataset, state, pl.DataFrame())
        reasons = {}
        for (path,), rows in landed.good.group_by("_file", maintain_order=True):
            broken = judge(rules, rows, facts)
            if broken:
                told = "; ".join(f"rule {one.rule}: {one.text}" for one in broken)
                reasons[str(path)] = f"{path}: left out, as its rows break a rule. {told}"
        landed.leave_out(reasons)

    def judge(self, dataset: Dataset, *, state: State, commit: Commit) -> None:
        """Judge the new rows; what rules that warn say goes into the commit.

        Raises:
            RuleBroken: a rule that stops is broken, or too many rows are bad.
        """
        judge_share(dataset, commit)
        told = commit.told.get("rows")
        if not dataset.rules or told is None:
            return
        new = live_rows(told.written, dataset)
        skipped = bool(commit.landed["rows"].files)
        rules = [rule for rule in dataset.rules if rule.severity != "skip" or not skipped]
        broken = judge(rules, new, self._facts(dataset, state, told.replaced))
        error = refused(dataset.name, broken)
        if error is not None:
            raise error
        commit.warnings = tuple(f"rule {one.rule}: {one.text}" for one in broken)
        columns = remembered(dataset.rules)
        if columns:
            commit.summary = merged(commit.summary, summarise(new, columns))

    def _facts(self, dataset: Dataset, state: State, replaced: pl.DataFrame) -> Facts:
        """Return what rules need to know; the stored rows are those that stay."""
        last, table, key = state.last, table_name(dataset.name, "rows"), list(dataset.key_columns)
        gone = replaced.lazy().select(key) if replaced.height else None

        def stay(columns: Sequence[str]) -> pl.LazyFrame:
            if last is None:
                return nothing_stored(columns)
            rows = self._tables.scan(table, version=last.table_version)
            return (rows if gone is None else rows.join(gone, on=key, how="anti")).select(columns)

        return Facts(
            now=self._clock.now(),
            time=dataset.time,
            newest=last.time_max if last else None,
            previous=state.pin.summary if state.pin and last else None,
            lookup=self._values,
            stored=stay,
        )

    def _values(self, dataset: str, column: str) -> pl.Series:
        """Return the values of a column of another dataset, as it is now.

        Raises:
            NotFound: there is no such dataset yet.
            InvalidInput: it has no such column.
        """
        state = self._state(dataset)
        if state.pin is None or state.last is None:
            msg = f"A rule refers to dataset {dataset!r}, which has no version yet. Ingest it first: treadle ingest {dataset}"
            raise NotFound(msg)
        wanted = Selection(columns=(column,))
        return read(self._tables, state.last, newest=state.last, pin=state.pin, selection=wanted)[column]


def judge_share(dataset: Dataset, commit: Commit) -> None:
    """Stop where a larger share of the new rows is bad than is accepted.

    Raises:
        RuleBroken: it is.
    """
    if dataset.most_bad is None:
        return
    for part, told in commit.told.items():
        bad = pl.concat([commit.landed[part].bad, told.clashing])
        landed = bad.height + told.written.height + told.repeated + told.outdated
        words = too_many(bad, landed=landed, limit=dataset.most_bad)
        if words is not None:
            msg = f"Dataset {dataset.name!r}, {part}: {words}\nNothing was taken in. Mend what lands, or raise most_bad."
            raise RuleBroken(msg)
