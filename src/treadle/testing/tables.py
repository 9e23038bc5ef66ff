"""What every tables back end must do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import polars as pl
import pytest

from treadle.core.errors import Conflict, InvalidInput, NotFound
from treadle.store.tables.tables import Tables

_ROWS = pl.DataFrame({"id": [1, 2], "name": ["a", None]})
_MORE = pl.DataFrame({"id": [3], "name": ["c"]})


class TablesContract:
    """Give the fixture `tables` (empty), and `deliveries` where more of them are to be tried."""

    @pytest.fixture
    def deliveries(self) -> int:
        """How many deliveries each of four senders makes."""
        return 10

    def test_rows_of_every_kept_type_come_back(self, tables: Tables) -> None:
        """Types that a table keeps come back as they were."""
        at = datetime(2013, 1, 1, 12, 30, 0, 123_456)  # noqa: DTZ001 - a local time
        frame = pl.DataFrame(
            {
                "int8": pl.Series([1, None], dtype=pl.Int8),
                "int64": pl.Series([-(2**63), 2**63 - 1]),
                "float32": pl.Series([1.5, float("nan")], dtype=pl.Float32),
                "float64": [0.1, None],
                "boolean": [True, None],
                "string": ["é\x00", ""],
                "binary": [b"\x00\xff", None],
                "date": [date(1969, 12, 31), None],
                "local": [at, None],
                "moment": pl.Series([at, None]).dt.replace_time_zone("UTC"),
                "list": [[1, None], None],
                "struct": [{"x": 1, "y": "a"}, {"x": None, "y": None}],
            }
        )

        version = tables.append("all", frame, base=None)

        assert tables.scan("all", version=version).collect().equals(frame)

    def test_types_that_widen_without_loss_are_kept_wider(self, tables: Tables) -> None:
        """Unsigned integers become signed, categories strings; appending them again fits."""
        frame = pl.DataFrame(
            {
                "bucket": pl.Series([65_535], dtype=pl.UInt16),
                "split": pl.Series(["train"], dtype=pl.Enum(["train", "test"])),
            }
        )

        version = tables.append("t", frame, base=None)
        version = tables.append("t", frame, base=version)

        assert tables.schema("t") == {"bucket": pl.Int32(), "split": pl.String()}
        assert tables.scan("t").collect().rows() == [(65_535, "train")] * 2

    @pytest.mark.parametrize(
        "series",
        [
            pl.Series("x", [None]),
            pl.Series("x", [1], dtype=pl.UInt64),
            pl.Series("x", [datetime(2013, 1, 1, tzinfo=UTC)]).dt.convert_time_zone("Europe/Berlin"),
            pl.Series("x", [datetime(2013, 1, 1)], dtype=pl.Datetime("ns")),  # noqa: DTZ001
        ],
        ids=["null", "uint64", "zone", "nanoseconds"],
    )
    def test_types_that_would_lose_something_are_refused(self, tables: Tables, series: pl.Series) -> None:
        """The message names the column."""
        with pytest.raises(InvalidInput, match="'x'"):
            tables.append("t", series.to_frame(), base=None)

        assert not tables.exists("t")

    def test_every_version_stays_readable(self, tables: Tables) -> None:
        """An append does not change what an older version holds."""
        first = tables.append("flights/rows", _ROWS, base=None)
        second = tables.append("flights/rows", _MORE, base=first, note={"run": "run_1"})

        assert _ids(tables, "flights/rows", first) == [1, 2]
        assert _ids(tables, "flights/rows", second) == [1, 2, 3]
        assert tables.version("flights/rows") == second

    @pytest.mark.parametrize(
        "rows",
        [
            pl.DataFrame({"id": ["77"], "name": ["a"]}),
            pl.DataFrame({"id": [1.9], "name": ["a"]}),
            pl.DataFrame({"id": pl.Series([1], dtype=pl.Int32), "name": ["a"]}),
            pl.DataFrame({"id": [1]}),
            pl.DataFrame({"id": [1], "name": ["a"], "extra": [1]}),
            pl.DataFrame({"name": ["a"], "id": [1]}),
        ],
        ids=["string", "float", "int32", "missing", "extra", "order"],
    )
    def test_rows_that_do_not_fit_exactly_are_refused(self, tables: Tables, rows: pl.DataFrame) -> None:
        """Nothing is cast, filled or dropped without a word."""
        base = tables.append("t", _ROWS, base=None)

        with pytest.raises(InvalidInput):
            tables.append("t", rows, base=base)

        assert tables.version("t") == base

    def test_a_commit_that_no_ledger_knows_is_undone(self, tables: Tables) -> None:
        """The writer that died after its commit leaves nothing in later versions."""
        known = tables.append("t", _ROWS, base=None)
        orphan = tables.append("t", _MORE, base=known)

        again = tables.append("t", _MORE, base=known)

        assert again > orphan
        assert _ids(tables, "t", again) == [1, 2, 3]
        assert _ids(tables, "t", known) == [1, 2]

    def test_a_table_that_no_ledger_knows_is_replaced(self, tables: Tables) -> None:
        """Also where the dead writer's columns were others."""
        tables.append("t", pl.DataFrame({"other": ["x"]}), base=None)

        version = tables.append("t", _ROWS, base=None)

        assert tables.scan("t", version=version).collect().sort("id").equals(_ROWS)

    def test_a_table_older_than_the_ledger_is_refused(self, tables: Tables) -> None:
        """Rows that the ledger knows are missing: nothing is put on top."""
        version = tables.append("t", _ROWS, base=None)

        with pytest.raises(NotFound, match="backup"):
            tables.append("t", _MORE, base=version + 1)

        assert tables.version("t") == version

    def test_of_several_writers_one_wins(self, tables: Tables) -> None:
        """Losers get a `Conflict`, nothing acknowledged is lost, and versions have no gaps."""
        base = tables.append("t", pl.DataFrame({"id": [-1]}), base=None)
        acknowledged: list[int] = []
        conflicts: Counter[str] = Counter()

        def write(number: int) -> None:
            while True:
                newest = tables.version("t")
                try:
                    tables.append("t", pl.DataFrame({"id": [number]}), base=newest)
                except Conflict as error:
                    conflicts[type(error).__name__] += 1
                    continue
                acknowledged.append(number)
                return

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(12)))

        newest = tables.version("t")
        assert newest is not None
        assert newest - base >= 12
        held = Counter(_ids(tables, "t", newest))
        assert set(held.values()) == {1}
        assert set(held) - {-1} <= set(acknowledged)

    def test_of_several_writers_that_remove_the_same_rows_each_that_wins_has_removed_them(
        self, tables: Tables
    ) -> None:
        """Losers get a `Conflict`; what a winner was told of reads as it was told."""
        base = tables.append("t", pl.DataFrame({"id": range(100)}), base=None)
        gone = pl.DataFrame({"id": range(0, 100, 2)})

        def remove(_: int) -> int | None:
            try:
                return tables.remove("t", gone, base=base)
            except Conflict:
                return None

        with ThreadPoolExecutor(4) as pool:
            won = [version for version in pool.map(remove, range(4)) if version is not None]

        assert won
        assert len(set(won)) == len(won)
        assert all(_ids(tables, "t", version) == list(range(1, 100, 2)) for version in won)

    def test_deliveries_of_many_senders_arrive_once(self, tables: Tables, deliveries: int) -> None:
        """A number that was delivered is not delivered again; senders do not stand in each other's way."""

        def deliver(sender: int, number: int) -> None:
            rows = pl.DataFrame({"id": [1_000 * sender + number]})
            while True:
                try:
                    tables.deliver("log", rows, sender=f"s{sender}", number=number)
                except Conflict:
                    continue
                return

        def send(sender: int) -> None:
            for number in (1, 2, 2, 1, *range(3, deliveries + 1)):
                deliver(sender, number)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(send, range(4)))
        commits = tables.version("log")
        tables.tidy("log")

        sent = [1_000 * sender + n for sender in range(4) for n in range(1, deliveries + 1)]
        assert _ids(tables, "log", None) == sent
        assert commits == len(sent) - 1
        assert [tables.delivered("log", sender=f"s{sender}") for sender in range(5)] == [deliveries] * 4 + [0]

    def test_what_is_too_old_leaves_a_table_that_others_deliver_to(
        self, tables: Tables, deliveries: int
    ) -> None:
        """Nothing else does, and no sender's number is forgotten."""
        first, end = datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC)

        def insist(act: Callable[[], Any]) -> Any:
            while True:
                try:
                    return act()
                except Conflict:
                    continue

        def send(sender: int) -> None:
            for number in range(1, deliveries + 1):
                rows = pl.DataFrame({"id": [number, 100 * sender + number], "at": [first, end]})
                insist(partial(tables.deliver, "log", rows, sender=f"s{sender}", number=number))

        send(1)
        with ThreadPoolExecutor(3) as pool:
            sending = [pool.submit(send, sender) for sender in (2, 3, 4)]
            while not all(each.done() for each in sending):
                insist(partial(tables.expire, "log", column="at", before=end))
            for each in sending:
                each.result()
        tables.expire("log", column="at", before=end)

        assert _ids(tables, "log", None) == [
            100 * s + n for s in range(1, 5) for n in range(1, deliveries + 1)
        ]
        assert [tables.delivered("log", sender=f"s{sender}") for sender in range(1, 5)] == [deliveries] * 4
        assert tables.expired("log", column="at", before=end).rows == 0

    def test_columns_are_added_to_a_table_that_others_deliver_to(self, tables: Tables) -> None:
        """Those that are there are not added again."""
        tables.deliver("log", _ROWS, sender="s", number=1)

        for _ in range(2):
            tables.extend("log", {"name": pl.String(), "late": pl.Boolean()})
        tables.deliver("log", _MORE.with_columns(late=pl.lit(True)), sender="s", number=2)

        assert tables.version("log") == 2
        assert tables.scan("log").collect().sort("id")["late"].to_list() == [None, None, True]

    def test_added_columns_are_null_in_old_rows(self, tables: Tables) -> None:
        """And old versions do not have them."""
        first = tables.append("t", _ROWS, base=None)

        second = tables.widen("t", {"late": pl.Boolean()}, base=first)
        third = tables.append("t", _MORE.with_columns(late=pl.lit(True)), base=second)

        assert tables.scan("t", version=third).collect().sort("id")["late"].to_list() == [None, None, True]
        assert list(tables.schema("t", version=first)) == ["id", "name"]

    def test_a_column_cannot_be_added_twice(self, tables: Tables) -> None:
        """Nor over one of another type."""
        base = tables.append("t", _ROWS, base=None)

        with pytest.raises(InvalidInput, match="'name'"):
            tables.widen("t", {"name": pl.Int64()}, base=base)

    def test_a_compacted_table_has_the_same_rows(self, tables: Tables) -> None:
        """Many small files become few; old versions stay."""
        version = tables.append("t", _ROWS, base=None)
        for number in range(10, 15):
            version = tables.append("t", pl.DataFrame({"id": [number], "name": [""]}), base=version)

        compacted = tables.compact("t", base=version)

        assert _ids(tables, "t", compacted) == _ids(tables, "t", version) == [1, 2, 10, 11, 12, 13, 14]
        assert tables.compact("t", base=compacted) == compacted

    def test_vacuum_keeps_what_the_kept_versions_read(self, tables: Tables) -> None:
        """A dry run only says what would go; kept versions stay readable."""
        first = tables.append("t", _ROWS, base=None)
        second = tables.append("t", _MORE, base=first)
        third = tables.compact("t", base=second)

        told = tables.vacuum("t", keep=[first, third])
        assert _ids(tables, "t", second) == [1, 2, 3]
        removed = tables.vacuum("t", keep=[first, third], dry_run=False)

        assert len(removed) == len(told) == 1
        assert _ids(tables, "t", first) == [1, 2]
        assert _ids(tables, "t", third) == [1, 2, 3]
        assert tables.version("t") == third
        assert tables.vacuum("t", keep=[first, third]) == []
        assert tables.append("t", _MORE, base=third) == third + 1

    def test_vacuum_removes_what_no_ledger_knows(self, tables: Tables) -> None:
        """Files of an orphan commit go, and the next append still builds on the base."""
        base = tables.append("t", _ROWS, base=None)
        tables.append("t", _MORE, base=base)

        removed = tables.vacuum("t", keep=[base], dry_run=False)

        assert len(removed) == 1
        assert _ids(tables, "t", tables.append("t", _MORE, base=base)) == [1, 2, 3]

    def test_vacuum_wants_a_version_to_keep(self, tables: Tables) -> None:
        """Keeping nothing is `drop`; a version that does not exist cannot be kept."""
        tables.append("t", _ROWS, base=None)

        with pytest.raises(InvalidInput, match="drop"):
            tables.vacuum("t", keep=[], dry_run=False)
        with pytest.raises(NotFound, match="7"):
            tables.vacuum("t", keep=[7], dry_run=False)

        assert _ids(tables, "t", 0) == [1, 2]

    def test_names_are_those_of_tables(self, tables: Tables) -> None:
        """A dropped table is gone, and may be made again."""
        for name in ("b", "flights/rows", "flights/quarantine"):
            tables.append(name, _ROWS, base=None)

        tables.drop("b")
        tables.drop("never/was")

        assert tables.names() == ["flights/quarantine", "flights/rows"]
        assert tables.append("b", _MORE, base=None) == 0

    def test_rows_that_are_read_later_are_those_of_when_they_were_asked_for(self, tables: Tables) -> None:
        """Also where the version was not named, and the table has grown since."""
        base = tables.append("t", _ROWS, base=None)
        asked = tables.scan("t")

        tables.append("t", _MORE, base=base)

        assert sorted(asked.collect()["id"]) == [1, 2]
        assert _ids(tables, "t", None) == [1, 2, 3]

    def test_what_another_process_does_is_seen(self, tables: Tables) -> None:
        """It appends, and puts another table in this one's place, which ends at the same version."""
        other = Tables(tables._backend)
        base = tables.append("t", _ROWS, base=None)
        newest = tables.append("t", _ROWS, base=base)

        appended = other.append("t", _MORE, base=newest)
        assert tables.version("t") == appended
        assert _ids(tables, "t", appended) == [1, 1, 2, 2, 3]
        other.drop("t")
        assert tables.version("t") is None
        for number in range(appended + 1):
            other.append("t", _MORE, base=number - 1 if number else None)

        assert _ids(tables, "t", appended) == _ids(tables, "t", None) == [3, 3, 3]
        assert tables.append("t", _ROWS, base=appended) == appended + 1
        assert _ids(tables, "t", None) == [1, 2, 3, 3, 3]

    def test_a_table_that_is_not_there_is_named(self, tables: Tables) -> None:
        """So is a version that it does not have."""
        tables.append("t", _ROWS, base=None)

        with pytest.raises(NotFound, match="'nothing'"):
            tables.scan("nothing")
        with pytest.raises(NotFound, match="99"):
            tables.scan("t", version=99)
        assert tables.version("nothing") is None

    @pytest.mark.parametrize("name", ["", "../x", "a//b", "/a", "a/", "a b", ".hidden", "_delta_log/../x"])
    def test_names_that_are_paths_elsewhere_are_refused(self, tables: Tables, name: str) -> None:
        """A table cannot be put outside its store."""
        with pytest.raises(InvalidInput):
            tables.append(name, _ROWS, base=None)


def _ids(tables: Tables, name: str, version: int | None) -> list[int]:
    ids: list[int] = tables.scan(name, version=version).select("id").collect()["id"].to_list()
    return sorted(ids)
