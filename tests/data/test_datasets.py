from __future__ import annotations

import threading
from datetime import timedelta

import polars as pl
import pytest

from landed_rows import HEAD, Row, dataset, day, line, with_outcomes, writes
from treadle.core.errors import ContractChanged, InvalidDeclaration, SplitChanged
from treadle.data.contracts import Column, rule
from treadle.data.datasets import Datasets
from treadle.data.splits import HashSplit
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables


def test_landed_rows_are_accepted_or_quarantined(datasets, land):
    land("in/a.csv", HEAD + line("a") + line("b", -1) + line("", 1) + "c,soon,x\n")

    version = datasets.ingest(dataset())

    assert (version.landed, version.accepted, version.quarantined) == (4, 1, 3)
    assert (version.version, version.rows, version.files) == (1, 1, ("in/a.csv",))
    assert datasets.read("d", columns=["id", "n"]).rows() == [("a", 0)]
    assert datasets.quarantine("d").select("_file", "_row", "_reason", "_version").rows() == [
        ("in/a.csv", 2, "n: -1 is below 0", 1),
        ("in/a.csv", 3, "id: is the key or time, and has no value", 1),
        (
            "in/a.csv",
            4,
            "at: 'soon' is not a moment in ISO 8601, as 2013-01-31T05:00:00Z; n: 'x' is not an integer",
            1,
        ),
    ]


def test_only_what_is_new_is_read(datasets, land):
    land("in/a.csv", HEAD + line("a"))
    datasets.ingest(dataset())
    land("in/b.csv", HEAD + line("b"))

    version = datasets.ingest(dataset())

    assert (version.version, version.landed, version.files) == (2, 1, ("in/b.csv",))
    assert datasets.read("d", version=1)["id"].to_list() == ["a"]
    assert datasets.read("d")["id"].to_list() == ["a", "b"]


def test_a_run_without_news_writes_nothing(datasets, land, tmp_path):
    land("in/a.csv", HEAD + line("a") + line("b", -1))
    land("in/empty.csv", "")
    datasets.ingest(dataset())
    before = writes(tmp_path)

    assert datasets.ingest(dataset()) is None
    assert writes(tmp_path) == before


def test_many_files_are_one_version_in_the_order_of_their_names(datasets, land):
    for name in "cab":
        land(f"in/{name}.csv", HEAD + line(f"{name}1") + line(f"{name}2"))

    version = datasets.ingest(dataset())

    assert version.version == 1
    assert datasets.read("d")["id"].to_list() == ["a1", "a2", "b1", "b2", "c1", "c2"]


def test_a_file_replaced_in_place_adds_what_is_new_and_quarantines_what_changed(datasets, land):
    land("in/a.csv", HEAD + line("a") + line("b", 1))
    datasets.ingest(dataset())
    land("in/a.csv", HEAD + line("a") + line("b", 2) + line("c"))

    version = datasets.ingest(dataset())

    assert (version.landed, version.accepted, version.quarantined, version.repeated) == (2, 1, 1, 1)
    assert datasets.read("d", columns=["id", "n"]).rows() == [("a", 0), ("b", 1), ("c", 0)]
    assert datasets.quarantine("d")["_reason"].to_list() == [
        "key id=b is there already with other values (n: 1 → 2), from in/a.csv row 2"
    ]


def test_a_touched_file_is_not_read_again(datasets, land, tmp_path):
    text = HEAD + line("a") + line("b", -1)
    land("in/a.csv", text)
    datasets.ingest(dataset())
    land("in/a.csv", text)

    assert datasets.ingest(dataset()) is None
    before = writes(tmp_path)
    assert datasets.ingest(dataset()) is None
    assert writes(tmp_path) == before


def test_repeated_rows_alone_make_no_version(datasets, land):
    land("in/a.csv", HEAD + line("a"))
    datasets.ingest(dataset())
    land("in/b.csv", HEAD + line("a"))

    assert datasets.ingest(dataset()) is None
    assert len(datasets.versions("d")) == 1


def test_a_clock_that_goes_backwards_does_not_take_versions_along(datasets, land, clock):
    land("in/a.csv", HEAD + line("a"))
    first = datasets.ingest(dataset())
    clock.set(day(1) - timedelta(days=30))
    land("in/b.csv", HEAD + line("b"))

    second = datasets.ingest(dataset())

    assert second.created_at == first.created_at


def test_an_additive_contract_widens_the_table(datasets, land):
    class Wider(Row):
        m: float | None

    land("in/a.csv", HEAD + line("a"))
    datasets.ingest(dataset())
    land("in/b.csv", "id,at,n,m\nb,2013-01-01,1,2.5\n")

    version = datasets.ingest(dataset(contract=Wider))

    assert [name for name, _ in version.schema] == ["id", "at", "n", "m"]
    assert datasets.read("d", columns=["id", "m"]).rows() == [("a", None), ("b", 2.5)]
    assert "m" not in datasets.read("d", version=1).columns
    assert datasets.difference("d", 1).columns == ("m Float64",)


def test_a_contract_that_old_rows_break_is_refused_with_the_difference(datasets, land):
    class Narrower(Row):
        n: int | None = Column(ge=0, le=5)

    class Retyped(Row):
        n: str

    land("in/a.csv", HEAD + line("a", 9))
    datasets.ingest(dataset())

    with pytest.raises(ContractChanged, match="column 'n' is above 5 in 1 stored rows"):
        datasets.ingest(dataset(contract=Narrower))
    with pytest.raises(ContractChanged, match=r"column 'n' was int \| None and is now str"):
        datasets.pin(dataset(contract=Retyped))
    with pytest.raises(ContractChanged, match="is no longer declared"):
        datasets.ingest(dataset(contract=None))
    with pytest.raises(ContractChanged, match="the key was 'id' and is now 'id', 'n'"):
        datasets.ingest(dataset(key=["id", "n"]))


def test_a_narrower_contract_that_old_rows_meet_is_taken(datasets, land, tmp_path):
    class Narrower(Row):
        n: int | None = Column(ge=0, le=5)

        @rule("n is even")
        def even(self):
            return pl.col("n") % 2 == 0

    land("in/a.csv", HEAD + line("a", 4))
    datasets.ingest(dataset())

    assert datasets.pin(dataset(contract=Narrower)) == (
        "column 'n': le was not set and is now 5",
        "rule 'even' (n is even) is new",
    )
    assert datasets.ingest(dataset(contract=Narrower)) is None
    before = writes(tmp_path)
    assert datasets.ingest(dataset(contract=Narrower)) is None
    assert writes(tmp_path) == before


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (HashSplit(train=0.7, validation=0.2), "shares was 'train=0.8, validation=0.1, test=0.1'"),
        (HashSplit(salt="x"), "salt was 'd' and is now 'x'"),
        (HashSplit(group="n"), "deciding columns was 'id' and is now 'n'"),
        (None, "the split was declared and is now not"),
    ],
)
def test_a_changed_split_is_refused(datasets, land, split, told):
    land("in/a.csv", HEAD + line("a"))
    datasets.ingest(dataset())

    with pytest.raises(SplitChanged, match=told):
        datasets.ingest(dataset(split=split))


def test_rows_keep_their_split_and_groups_stay_together(datasets, land):
    declared = dataset(split=HashSplit(group="n"))
    for number in range(3):
        land(f"in/{number}.csv", HEAD + "".join(line(f"{number}-{i}", i % 40) for i in range(200)))
        datasets.ingest(declared)
    versions = [datasets.read("d", version=number, columns=["id", "n", "_split"]) for number in (1, 2, 3)]

    sides = [dict(frame.select("id", "_split").iter_rows()) for frame in versions]

    assert sides[0].items() <= sides[1].items() <= sides[2].items()
    assert versions[2].group_by("n").agg(pl.col("_split").n_unique())["_split"].to_list() == [1] * 40
    assert set(sides[2].values()) == {"train", "validation", "test"}


def test_without_a_contract_the_first_types_are_pinned(datasets, land):
    declared = dataset(contract=None)
    land("in/a.csv", HEAD + line("a", 1) + line("b", ""))
    datasets.ingest(declared)
    land("in/b.csv", HEAD + line("c", "x") + line("d", 2))

    version = datasets.ingest(declared)

    assert dict(version.schema)["n"] == "Int64"
    assert (version.accepted, version.quarantined) == (1, 1)
    assert datasets.quarantine("d")["_reason"].to_list() == ["n: 'x' is not an integer"]


def test_inferred_types_must_have_what_is_declared(datasets, land):
    land("in/a.csv", "id,at,n\na,yesterday,1\n")

    with pytest.raises(InvalidDeclaration, match="'at' is str; expected datetime"):
        datasets.ingest(dataset(contract=None))


def test_several_formats_are_one_dataset(datasets, land, tmp_path):
    land("in/a.csv", HEAD + line("a"))
    land(
        "in/b.jsonl", '{"id": "b", "at": "2013-01-01T00:00:00Z"}\n{"id": "c", "at": "2013-01-01", "n": "7"}\n'
    )
    frame = pl.DataFrame({"id": ["d"], "at": [day(1)], "n": [7.5]})
    frame.write_parquet(tmp_path / "in/c.parquet")

    version = datasets.ingest(dataset())

    assert datasets.read("d", columns=["id", "n"]).rows() == [("a", 0), ("b", None)]
    assert (version.accepted, version.quarantined) == (2, 2)
    assert datasets.quarantine("d")["_reason"].to_list() == [
        "n: '7' is not an integer",
        "n: 7.5 is not an integer (the file has the type Float64)",
    ]


def test_small_files_are_joined_and_every_version_stays_readable(datasets, land):
    for number in range(70):
        land(f"in/{number:03}.csv", HEAD + line(number))
        datasets.ingest(dataset())

    assert [
        datasets.read("d", version=number, columns=["id"]).height for number in (1, 32, 33, 34, 65, 70)
    ] == [
        1,
        32,
        33,
        34,
        65,
        70,
    ]


def test_collecting_removes_what_was_joined_long_ago_and_every_version_stays(datasets, land, clock):
    for number in range(40):
        land(f"in/{number:03}.csv", HEAD + line(number))
        datasets.ingest(dataset())
    fresh = datasets.collect("d", keep=[])
    clock.advance("2h")

    would = datasets.collect("d", keep=[])
    removed = datasets.collect("d", keep=[], dry_run=False)

    assert fresh.files == ()
    assert would == removed
    assert removed.files
    assert removed.versions == ()
    assert [datasets.read("d", version=n).height for n in (1, 2, 39, 40)] == [1, 2, 39, 40]


def test_two_ingestions_at_once_lose_and_double_nothing(datasets, land, tmp_path, clock):
    land("in/a.csv", HEAD + "".join(line(i) for i in range(500)))
    results = []

    def work():
        ledger = Ledger.open("sqlite:///ledger.db", root=tmp_path)
        tables = Tables.open("tables", root=tmp_path, options={})
        other = Datasets(ledger=ledger, tables=tables, clock=clock, root=tmp_path)
        results.append(other.ingest(dataset()))
        ledger.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(result is not None for result in results) == 1
    assert len(results) == 4
    assert datasets.read("d")["id"].n_unique() == datasets.read("d").height == 500


def test_every_version_balances(datasets, land):
    for number in range(4):
        rows = [line(f"{number}-{i}", n=-1 if i % 7 == number else i) for i in range(50)]
        land(f"in/{number}.csv", HEAD + "".join(rows) + line("same", number))
        datasets.ingest(dataset())

    versions = datasets.versions("d")

    assert all(one.landed == one.accepted + one.quarantined for one in versions)
    assert sum(one.landed for one in versions) == 4 * 51
    assert versions[-1].rows == datasets.read("d").height
    assert sum(one.quarantined for one in versions) == datasets.quarantine("d").height


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"key": []}, "has no key"),
        ({"key": "nope"}, "'nope' is no column of 'Row'"),
        ({"time": "n"}, "'n' is int; expected datetime"),
        ({"outcome": "late"}, "outcome: 'late' is no column"),
        ({"source": "in/*.csv"}, "expected for example td.Files"),
        ({"split": HashSplit(group="x")}, "group: 'x' is no column"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(options, told):
    with pytest.raises(InvalidDeclaration, match=told):
        dataset(**options)


def test_every_back_end_holds_a_dataset(ledger, tables, land, tmp_path, clock):
    datasets = Datasets(ledger=ledger, tables=tables, clock=clock, root=tmp_path)
    for number in range(3):
        land(f"in/{number}.csv", HEAD + line(number) + line("x", -1))
        land(f"truth/{number}.csv", f"id,known,late,note\n{number},2013-01-02T00:00:00Z,true,\n")
        datasets.ingest(with_outcomes())

    assert datasets.ingest(with_outcomes()) is None
    assert datasets.read("d", columns=["id", "late"]).rows() == [("0", True), ("1", True), ("2", True)]
    assert datasets.version("d").version == datasets.quarantine("d").height == 3
