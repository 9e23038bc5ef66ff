"""Rows of a shared table that are too old leave it, whatever happens meanwhile, and nothing else does."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from treadle.core.errors import NotFound
from treadle.store.tables.backends import folder
from treadle.store.tables.expiry import Expired
from treadle.store.tables.tables import Tables

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def _day(number: float) -> datetime:
    return _FIRST + timedelta(days=number)


def _rows(*days: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"{day}" for day in days], "at": [_day(day) for day in days]},
        schema={"id": pl.String, "at": pl.Datetime("us", "UTC")},
    )


def _there(tables: Tables) -> list[str]:
    return sorted(tables.scan("t").collect()["id"])


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables.open("tables", root=tmp_path, options={})


def _data(root: Path) -> set[str]:
    return {path.name for path in (root / "tables/t").glob("*.parquet")}


def test_what_is_older_goes_and_what_is_of_that_very_moment_stays(tables: Tables) -> None:
    tables.deliver("t", _rows(1, 2), sender="a", number=1)
    tables.deliver("t", _rows(3, 4 - 1e-6, 4, 5), sender="b", number=7)

    asked = tables.expired("t", column="at", before=_day(4))
    done = tables.expire("t", column="at", before=_day(4))

    assert asked == done
    assert (done.rows, done.size > 0) == (4, True)
    assert _there(tables) == ["4", "5"]
    assert tables.expired("t", column="at", before=_day(4)) == Expired()


def test_to_ask_changes_nothing_and_to_do_it_again_does_nothing(tables: Tables, tmp_path: Path) -> None:
    tables.deliver("t", _rows(1, 2), sender="a", number=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    tables.expired("t", column="at", before=_day(9))
    assert tables.expired("nothing", column="at", before=_day(9)) == Expired()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before

    tables.expire("t", column="at", before=_day(2))
    version = tables.version("t")
    assert tables.expire("t", column="at", before=_day(2)) == Expired()
    assert tables.version("t") == version
    with pytest.raises(NotFound):
        tables.expire("nothing", column="at", before=_day(9))
    assert not tables.exists("nothing")


def test_a_sender_goes_on_where_it_was_though_all_that_it_sent_is_gone(tables: Tables) -> None:
    for number in range(1, 12):  # a checkpoint is made on the way
        tables.deliver("t", _rows(number), sender="dead", number=number)
    tables.expire("t", column="at", before=_day(99))
    for number in range(1, 12):
        tables.deliver("t", _rows(100 + number), sender="other", number=number)

    assert tables.delivered("t", sender="dead") == 11
    assert not tables.deliver("t", _rows(11), sender="dead", number=11)
    assert tables.deliver("t", _rows(200), sender="dead", number=12)
    assert len(_there(tables)) == 12


@pytest.mark.parametrize("commits", [1, 9], ids=["plain", "with a checkpoint"])
def test_one_who_died_on_the_way_has_removed_all_or_nothing(
    commits: int, tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, commits + 1):
        tables.deliver("t", _rows(1, 50 + number), sender="a", number=number)
    there = _there(tables)
    with monkeypatch.context() as patch:
        patch.setattr(folder.Backend, "settle", _die)
        with pytest.raises(KeyboardInterrupt):
            tables.expire("t", column="at", before=_day(9))
    assert _there(Tables.open("tables", root=tmp_path, options={})) == there

    again = Tables.open("tables", root=tmp_path, options={})
    assert again.deliver("t", _rows(99), sender="b", number=1)
    assert _there(again) == sorted([*there, "99"])
    with monkeypatch.context() as patch:
        patch.setattr(folder.Backend, "remove", _die)
        with pytest.raises(KeyboardInterrupt):
            again.expire("t", column="at", before=_day(9))

    assert "1" not in _there(again)
    assert len(_there(again)) == commits + 1


def test_files_go_an_hour_later_also_those_that_killed_writers_left(tables: Tables, tmp_path: Path) -> None:
    tables.deliver("t", _rows(1, 9), sender="a", number=1)
    reading = tables.scan("t")
    tables.expire("t", column="at", before=_day(9))
    (tmp_path / "tables/t/part-left.parquet").write_bytes(b"half")
    assert len(_data(tmp_path)) == 3
    assert reading.collect().height == 2

    tables.expire("t", column="at", before=_day(9))
    assert len(_data(tmp_path)) == 3
    for path in (tmp_path / "tables/t").glob("part-left*"):
        os.utime(path, (0, 0))
    tables.expire("t", column="at", before=_day(9))

    assert len(_data(tmp_path)) == 2
    assert _there(tables) == ["9"]


def test_the_log_of_the_table_does_not_grow_for_ever(tables: Tables, tmp_path: Path) -> None:
    other, log = Tables.open("tables", root=tmp_path, options={}), tmp_path / "tables/t/_delta_log"
    other.deliver("t", _rows(1), sender="dead", number=5)
    assert _there(other) == ["1"]
    for number in range(1, 45):
        tables.deliver("t", _rows(9 + number), sender="a", number=number)
    reading = tables.scan("t")

    before = sorted(path.name for path in log.iterdir())
    tables.expire("t", column="at", before=_day(0))
    assert sorted(path.name for path in log.iterdir()) == before

    for path in log.iterdir():
        if path.name < f"{25:020d}":
            os.utime(path, (0, 0))
    tables.expire("t", column="at", before=_day(9))

    assert min(path.name for path in log.iterdir()) == f"{20:020d}.checkpoint.parquet"
    assert reading.collect().height == 45
    for each in (tables, other, Tables.open("tables", root=tmp_path, options={})):
        assert len(_there(each)) == 44
        assert each.delivered("t", sender="dead") == 5
        assert not each.deliver("t", _rows(1), sender="dead", number=5)
        assert tables.scan("t", version=22).collect().height == 23


def test_writers_deliver_meanwhile(tmp_path: Path) -> None:
    """Two senders, each with its own view of the table, and somebody who removes what is old, again and again."""
    failures: list[BaseException] = []
    start = threading.Barrier(3)

    def send(name: str) -> None:
        try:
            tables = Tables.open("tables", root=tmp_path, options={})
            start.wait()
            for number in range(1, 13):
                tables.deliver("t", _rows(number, 50 + number), sender=name, number=number)
        except BaseException as error:
            failures.append(error)
            raise

    Tables.open("tables", root=tmp_path, options={}).deliver("t", _rows(1), sender="first", number=1)
    threads = [threading.Thread(target=send, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    tables, rows, rounds = Tables.open("tables", root=tmp_path, options={}), 0, 0
    start.wait()
    while any(thread.is_alive() for thread in threads):
        rows += tables.expire("t", column="at", before=_day(50)).rows
        rounds += 1
    for thread in threads:
        thread.join()
    rows += tables.expire("t", column="at", before=_day(50)).rows

    assert failures == []
    assert rows == 1 + 2 * 12
    assert _there(tables) == sorted([str(50 + number) for number in range(1, 13)] * 2)
    assert [tables.delivered("t", sender=name) for name in "ab"] == [12, 12]


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
