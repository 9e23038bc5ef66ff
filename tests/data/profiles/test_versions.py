from __future__ import annotations

import random

import polars as pl
import pytest

import treadle as td
from treadle.core.errors import InvalidInput, NotFound
from treadle.data.datasets import Datasets
from treadle.data.profiles import tally

HEAD = "id,at,x,word\n"


def rows(first: int, last: int, *, word: str = "old") -> str:
    dice = random.Random(first)
    return HEAD + "".join(
        f"{n},2013-01-{1 + n % 28:02}T00:00:00Z,{dice.gauss(0, 1):.3f},{word}\n" for n in range(first, last)
    )


@pytest.fixture
def sales() -> td.Dataset:
    return td.Dataset(
        "sales",
        source=td.Files("in/*.csv"),
        key="id",
        time="at",
        outcomes=td.Outcomes(source=td.Files("out/*.csv"), columns=["late"], arrived="known_at"),
        split=td.HashSplit(train=0.6, validation=0.2, test=0.2),
    )


@pytest.fixture
def stored(datasets: Datasets, land, sales: td.Dataset) -> Datasets:
    """Version 1 has 600 rows and one in quarantine, version 2 has 300 more whose word is new; half of the outcomes are known."""
    land("in/1.csv", rows(0, 600) + ",2013-01-01T00:00:00Z,1,bad\n")
    land(
        "out/1.csv",
        "id,late,known_at\n"
        + "".join(
            f"{n},{'true' if n % 6 == 0 else 'false'},2013-02-01T00:00:00Z\n" for n in range(0, 600, 2)
        ),
    )
    datasets.ingest(sales)
    land("in/2.csv", rows(600, 900, word="new"))
    datasets.ingest(sales)
    return datasets


def test_the_profile_of_a_version_knows_its_roles_split_and_outcomes(stored: Datasets):
    found = stored.profile("sales", version=1)

    assert (found.version, found.rows, found.parents) == (1, 600, ("dataset_version:sales/1",))
    assert {column.name: column.roles for column in found.columns if column.roles} == {
        "id": ("key",),
        "at": ("time",),
        "late": ("outcome",),
        "known_at": ("arrived",),
    }
    assert found.column("late").missing == 0.5
    assert found.quarantined == 1
    assert {part.name: part.declared for part in found.split_shares} == {
        "train": 0.6,
        "validation": 0.2,
        "test": 0.2,
    }
    assert sum(part.known or 0 for part in found.split_shares) == 300
    assert found.leakage[0].outcome == "late"


def test_columns_are_counted_without_joining_outcomes_that_they_do_not_need(
    stored: Datasets, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    original = tally.registers
    monkeypatch.setattr(tally, "sample_size", lambda columns: 100)
    monkeypatch.setattr(
        tally, "registers", lambda rows, name: asked.append(rows.explain()) or original(rows, name)
    )

    found = stored.profile("sales")

    assert (found.rows, found.exact) == (900, False)
    assert found.column("word").distinct == 2
    joins = [plan for plan in asked if "JOIN" in plan]
    assert len(asked) == 6
    assert len(joins) == 2


def test_a_version_is_compared_with_an_earlier_one(stored: Datasets):
    found = stored.profile("sales", version=2, against=1).comparison

    assert found is not None
    assert (found.before.version, found.before.rows, found.rows_after) == (1, 600, 300)
    assert {one.column: one.verdict for one in found.changes if one.column in {"x", "word"}} == {
        "word": "clear",
        "x": "chance",
    }


def test_another_outcome_can_be_asked_about(stored: Datasets):
    found = stored.profile("sales", outcome="word")

    assert [leak.outcome for leak in found.leakage] == ["word"]
    assert found.column("word").roles == ("outcome",)


def test_what_cannot_be_profiled_is_said(stored: Datasets):
    with pytest.raises(InvalidInput, match="has no column 'lat'.*Did you mean 'late'"):
        stored.profile("sales", outcome="lat")
    with pytest.raises(InvalidInput, match="Version 2 of 'sales' is not before version 2"):
        stored.profile("sales", against=2)
    with pytest.raises(NotFound, match="no version 7"):
        stored.profile("sales", against=7)


def test_the_rows_of_a_profile_are_those_that_are_read(stored: Datasets):
    read = stored.read("sales")

    found = stored.profile("sales")

    assert found.column("x").mean == pytest.approx(read["x"].mean())
    assert found.splits == dict(sorted(read["_split"].value_counts().rows()))
    assert found.coverage is not None
    assert sum(found.coverage.rows) == read.height
    assert (found.time_min, found.time_max) == (read["at"].min(), read["at"].max())
    assert found.column("word").missing_rows == read["word"].null_count() == 0
    assert isinstance(read, pl.DataFrame)
