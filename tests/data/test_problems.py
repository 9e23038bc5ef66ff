"""A file that cannot be read is a problem: told, tried again, and in nobody's way."""

from __future__ import annotations

import pytest

from landed_rows import HEAD, Row, dataset, line, writes
from treadle.core.errors import NotFound


def test_a_bad_file_is_a_problem_and_stops_no_other(datasets, land):
    land("in/a.csv", HEAD + line("a"))
    land("in/b.csv", "id,at\nb,2013-01-01\n")
    land("in/c.csv", "")
    land("in/d.parquet", "PAR1")
    land("in/e.csv", "id,at,n,extra\n")

    version = datasets.ingest(dataset())

    assert (version.landed, version.accepted, len(version.problems)) == (1, 1, 4)
    told = datasets.problems("d")
    assert [text.split(":")[0].split(" ")[0] for text in told] == [
        "in/b.csv",
        "in/c.csv",
        "in/d.parquet",
        "in/e.csv",
    ]
    assert "Missing column 'n'" in told[0]
    assert "Unknown column 'extra'" in told[3]


def test_only_problems_make_no_version_and_are_told_once(datasets, land, tmp_path):
    land("in/a.csv", "")

    assert datasets.ingest(dataset()) is None
    before = writes(tmp_path)
    assert datasets.ingest(dataset()) is None
    assert writes(tmp_path) == before
    assert len(datasets.problems("d")) == 1
    with pytest.raises(NotFound, match="Dataset 'd' has no version yet"):
        datasets.version("d")


def test_a_problem_is_over_when_the_file_is_mended_or_taken_away(datasets, land):
    land("in/a.csv", "")
    gone = land("in/b.csv", "")
    datasets.ingest(dataset())

    land("in/a.csv", HEAD + line("a"))
    gone.unlink()
    datasets.ingest(dataset())

    assert datasets.problems("d") == []
    assert datasets.version("d").rows == 1


def test_a_problem_is_tried_again_when_the_contract_changes(datasets, land):
    class Wider(Row):
        extra: str | None

    land("in/a.csv", HEAD + line("a"))
    land("in/b.csv", "id,at,n,extra\nb,2013-01-01,1,x\n")
    datasets.ingest(dataset())

    version = datasets.ingest(dataset(contract=Wider))

    assert version.files == ("in/b.csv",)
    assert datasets.problems("d") == []
    assert datasets.read("d", columns=["id", "extra"]).rows() == [("a", None), ("b", "x")]


def test_a_file_that_cannot_be_opened_is_a_problem_and_is_tried_again(datasets, tmp_path, land):
    land("in/a.csv", HEAD + line("a"))
    loop = tmp_path / "in/b.csv"
    loop.symlink_to(loop)
    first = datasets.ingest(dataset())
    told = datasets.problems("d")
    loop.unlink()
    land("in/b.csv", HEAD + line("b"))

    second = datasets.ingest(dataset())

    assert (first.rows, second.rows) == (1, 2)
    assert told[0].startswith("in/b.csv cannot be read: ")
    assert datasets.problems("d") == []
