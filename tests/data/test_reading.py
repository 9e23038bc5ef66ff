"""Rows are read by version, split and window, with the outcomes that were known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from landed_rows import HEAD, Truth, dataset, day, line, with_outcomes
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.records import Window
from treadle.data.datasets import Outcomes
from treadle.data.sources.files import Files


def test_reading_by_split_window_and_columns(datasets, land):
    land("in/a.csv", HEAD + "".join(line(i, i, day=1 + i % 28) for i in range(280)))
    datasets.ingest(dataset())

    train = datasets.read("d", split="train")
    both = datasets.read("d", split=["validation", "test"])
    window = datasets.read("d", window=Window(start=day(3), end=day(5)))

    assert train.height + both.height == 280
    assert set(train["_split"]) == {"train"}
    assert set(window["at"].dt.day()) == {3, 4}
    assert datasets.read("d", columns=["n", "_bucket"]).columns == ["n", "_bucket"]
    assert datasets.profile("d").splits == dict(sorted(datasets.read("d")["_split"].value_counts().rows()))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": ["m"]}, "has no column 'm'. Available: "),
        ({"split": "tset"}, "No split named 'tset'.*Did you mean 'test'"),
        ({"outcome": True}, "has no outcome"),
    ],
)
def test_reading_what_is_not_there_is_refused(datasets, land, options, told):
    land("in/a.csv", HEAD + line("a"))
    datasets.ingest(dataset())

    with pytest.raises(InvalidInput, match=told):
        datasets.read("d", **options)


def test_unknown_datasets_and_versions_are_not_found(datasets, land):
    land("in/a.csv", HEAD + line("a"))
    datasets.ingest(dataset())

    with pytest.raises(NotFound, match="Available: d"):
        datasets.read("e")
    with pytest.raises(NotFound, match="has no version 7. Its versions are 1 to 1"):
        datasets.version("d", 7)


def test_outcomes_are_joined_when_they_were_known(datasets, land):
    land("in/a.csv", HEAD + line("a") + line("b") + line("c"))
    land("truth/a.csv", "id,known,late,note\na,2013-01-02T00:00:00Z,true,\nb,2013-01-03T00:00:00Z,false,x\n")

    version = datasets.ingest(with_outcomes())

    def known(**options):
        return datasets.read("d", columns=["id", "late"], **options).rows()

    assert (version.landed, version.outcomes, version.outcomes_known) == (3, 2, 2)
    assert known() == [("a", True), ("b", False), ("c", None)]
    assert known(outcome=True) == [("a", True), ("b", False)]
    assert known(outcome=False) == [("c", None)]
    assert known(known_at=day(2)) == [("a", True), ("b", None), ("c", None)]
    assert known(known_at=day(2) - timedelta(microseconds=1), outcome=True) == []
    assert "note" not in datasets.read("d").columns


def test_an_outcome_waits_for_its_row(datasets, land):
    land("truth/a.csv", "id,known,late,note\nz,2013-01-02T00:00:00Z,true,\n")
    first = datasets.ingest(with_outcomes())
    land("in/a.csv", HEAD + line("z"))

    datasets.ingest(with_outcomes())

    assert (first.landed, first.rows, first.outcomes) == (0, 0, 1)
    assert datasets.read("d", version=1).is_empty()
    assert datasets.read("d", columns=["id", "late"]).rows() == [("z", True)]


def test_an_outcome_again_is_repeated_and_another_one_is_quarantined(datasets, land):
    land("in/a.csv", HEAD + line("a") + line("b"))
    land("truth/a.csv", "id,known,late,note\na,2013-01-02T00:00:00Z,true,\nb,2013-01-02T00:00:00Z,true,\n")
    datasets.ingest(with_outcomes())
    land("truth/b.csv", "id,known,late,note\na,2013-01-09T00:00:00Z,true,\nb,2013-01-09T00:00:00Z,false,\n")

    version = datasets.ingest(with_outcomes())

    assert (version.landed, version.quarantined) == (0, 0)
    assert (version.outcomes, version.outcomes_repeated, version.outcomes_quarantined) == (0, 1, 1)
    assert datasets.read("d", columns=["late"])["late"].to_list() == [True, True]
    assert datasets.quarantine("d").select("_part", "_reason").rows() == [
        (
            "outcomes",
            "key id=b is there already with other values (late: true → false), from truth/a.csv row 2",
        )
    ]


def test_an_outcome_without_arrival_is_known_from_its_ingestion(datasets, land, clock):
    declared = dataset(outcomes=Outcomes(source=Files("truth/*"), columns=["late"], contract=Truth))
    land("in/a.csv", HEAD + line("a"))
    land("truth/a.csv", "id,known,late,note\na,2012-01-02T00:00:00Z,true,\n")
    clock.set(day(5))
    datasets.ingest(declared)

    assert datasets.read("d", known_at=day(4), outcome=True).is_empty()
    assert datasets.read("d", known_at=day(5), outcome=True).height == 1


def test_an_outcome_in_the_row_is_known_with_the_row(datasets, land):
    land("in/a.csv", HEAD + line("a", 1) + line("b", ""))

    version = datasets.ingest(dataset(outcome="n"))

    assert (version.outcomes, version.outcomes_known) == (1, 1)
    assert datasets.read("d", outcome=True)["id"].to_list() == ["a"]


def test_without_a_time_a_window_is_of_moments_of_ingestion(datasets, land, clock):
    land("in/a.csv", HEAD + line("a"))
    datasets.ingest(dataset(time=None))
    now = clock.now()

    before = datasets.read("d", window=Window(start=None, end=now), columns=["id"])
    after = datasets.read("d", window=Window(start=now, end=now + timedelta(seconds=1)), columns=["id"])

    assert before["id"].to_list() == []
    assert after["id"].to_list() == ["a"]
    assert dataset(time=None).time_column == "_ingested_at"
