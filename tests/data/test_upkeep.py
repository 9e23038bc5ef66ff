"""Corrections, deletions, going back, forgetting and collecting, against a naive model of what each version holds."""

from __future__ import annotations

import random
from contextlib import contextmanager
from datetime import UTC, datetime

import polars as pl
import pytest

from treadle.core.errors import ContractChanged, InvalidDeclaration, InvalidInput, NotFound
from treadle.data import ingest, upkeep
from treadle.data.contracts import Column, Contract
from treadle.data.datasets import Dataset, Outcomes
from treadle.data.raw import Batch, Raw
from treadle.data.sources.files import Files
from treadle.data.splits import HashSplit

AT = datetime(2013, 1, 1, tzinfo=UTC)


class Row(Contract):
    id: str
    n: int = Column(ge=0)
    changed: int
    gone: bool


class Truth(Contract):
    id: str
    late: bool


class Pushed:
    """A source that is read in order: what a test puts in, batch by batch."""

    def __init__(self):
        self.waiting, self.safe = [], []

    def put(self, *rows):
        self.waiting.append(
            pl.DataFrame(rows, schema={"id": str, "n": int, "changed": int, "gone": bool}, orient="row")
        )

    @contextmanager
    def batches(self, root, *, after, key):
        first = after["next"] if after else 0
        yield (
            Batch(
                raw=Raw(file=f"batch {number}", frame=self.waiting[number], form="typed"),
                position={"next": number + 1},
                acknowledge=lambda number=number: self.safe.append(number),
            )
            for number in range(first, len(self.waiting))
        )

    def spec(self):
        return {"source": "pushed"}


@pytest.fixture
def pushed():
    return Pushed()


@pytest.fixture
def declared(pushed):
    return Dataset(
        "d",
        source=pushed,
        contract=Row,
        key="id",
        split=HashSplit(),
        updated="changed",
        deleted="gone",
        outcomes=Outcomes(source=Files("truth/*.csv"), contract=Truth, columns=["late"]),
    )


def held(datasets, version=None):
    return {
        row[0]: row[1:] for row in datasets.read("d", version=version, columns=["id", "n", "changed"]).rows()
    }


def test_batches_become_versions_and_are_acknowledged_when_they_are_safe(datasets, pushed, declared):
    pushed.put(("a", 1, 1, False), ("b", -1, 1, False))
    pushed.put(("c", 3, 1, False))

    last = datasets.ingest(declared)

    assert (last.version, last.rows, pushed.safe) == (2, 2, [0, 1])
    assert [v.quarantined for v in datasets.versions("d")] == [1, 0]
    assert datasets.ingest(declared) is None
    pushed.put(("d", 4, 1, False))
    assert datasets.ingest(declared).version == 3


def test_a_correction_is_a_new_version_in_which_the_row_changed(datasets, pushed, declared):
    pushed.put(("a", 1, 1, False), ("b", 2, 1, False))
    datasets.ingest(declared)
    before = datasets.read("d").select("id", "_bucket", "_split")
    pushed.put(("a", 10, 2, False), ("b", 0, 0, False), ("c", 3, 1, False))

    made = datasets.ingest(declared)

    assert (made.landed, made.accepted, made.corrected, made.outdated, made.rows) == (2, 2, 1, 1, 3)
    assert held(datasets) == {"a": (10, 2), "b": (2, 1), "c": (3, 1)}
    assert held(datasets, 1) == {"a": (1, 1), "b": (2, 1)}
    after = datasets.read("d").select("id", "_bucket", "_split")
    assert before.join(after, on=["id", "_bucket", "_split"]).height == 2


def test_a_corrected_row_keeps_its_split_also_where_its_group_changes(datasets, pushed):
    declared = Dataset(
        "d", source=pushed, contract=Row, key="id", updated="changed", split=HashSplit(group="n")
    )
    pushed.put(*((str(i), i, 1, False) for i in range(50)))
    datasets.ingest(declared)
    before = dict(datasets.read("d", columns=["id", "_split"]).rows())
    pushed.put(*((str(i), i + 1000, 2, False) for i in range(50)))

    datasets.ingest(declared)

    assert dict(datasets.read("d", columns=["id", "_split"]).rows()) == before
    assert len(set(before.values())) == 3


def test_a_row_that_is_marked_as_gone_is_gone_and_may_come_back(datasets, pushed, declared):
    pushed.put(("a", 1, 1, False), ("b", 2, 1, False))
    pushed.put(("a", 1, 2, True))
    pushed.put(("a", 5, 3, False), ("b", 2, 0, True))

    datasets.ingest(declared)

    assert [(v.rows, v.deleted) for v in datasets.versions("d")] == [(2, 0), (1, 1), (2, 0)]
    assert held(datasets, 2) == {"b": (2, 1)}
    assert held(datasets) == {"a": (5, 3), "b": (2, 1)}


def test_the_mark_of_gone_rows_cannot_be_dropped(datasets, pushed, declared):
    pushed.put(("a", 1, 1, True))
    datasets.ingest(declared)

    with pytest.raises(ContractChanged, match="'gone' and is now not set.*would come back"):
        datasets.ingest(
            Dataset("d", source=pushed, contract=Row, key="id", split=HashSplit(), updated="changed")
        )


def test_columns_that_cannot_order_or_end_a_row_are_refused(pushed):
    with pytest.raises(InvalidDeclaration, match="'id' is str; expected a moment"):
        Dataset("d", source=pushed, contract=Row, key="id", updated="id")
    with pytest.raises(InvalidDeclaration, match="'n' is int; expected true or false"):
        Dataset("d", source=pushed, contract=Row, key="id", deleted="n")


def test_a_message_with_an_unknown_field_does_not_hold_up_the_others(datasets, pushed, declared):
    pushed.waiting.append(pl.DataFrame())
    frame = pl.DataFrame(
        {"id": ["a", "b"], "n": [1, 2], "changed": [1, 1], "gone": [False, False], "x": [None, "?"]}
    )
    raw = Raw(file="messages", frame=frame, form="json")
    pushed.batches = lambda root, *, after, key: one(None if after else Batch(raw=raw, position={"n": 1}))

    made = datasets.ingest(declared)

    assert (made.accepted, made.quarantined) == (1, 1)
    told = datasets.quarantine("d")["_reason"].item()
    assert told.endswith("x: unknown field with the value '?'; known are id, n, changed, gone")


@contextmanager
def one(batch):
    yield iter([batch] if batch else [])


def test_going_back_is_a_new_version(datasets, pushed, declared, land):
    pushed.put(("a", 1, 1, False), ("b", 2, 1, False))
    datasets.ingest(declared)
    land("truth/1.csv", "id,late\na,true\n")
    pushed.put(("a", 9, 2, False), ("c", 3, 1, False))
    datasets.ingest(declared)

    made = datasets.roll_back("d", 1, reason="a bad file")

    assert (made.version, made.rows, made.outcomes_known, made.landed) == (3, 2, 0, 0)
    assert made.why == "rolled back to version 1: a bad file"
    assert held(datasets) == held(datasets, 1) == {"a": (1, 1), "b": (2, 1)}
    assert held(datasets, 2) == {"a": (9, 2), "b": (2, 1), "c": (3, 1)}
    assert datasets.read("d", version=2, outcome=True)["id"].to_list() == ["a"]
    assert datasets.read("d", outcome=True).is_empty()
    assert datasets.ingest(declared) is None


def test_deleting_keeps_earlier_versions(datasets, pushed, declared, land):
    pushed.put(("a", 1, 1, False), ("b", 2, 1, False))
    land("truth/1.csv", "id,late\na,true\nb,false\n")
    datasets.ingest(declared)

    made = datasets.delete("d", where={"n": [1, 7]}, reason="asked to")

    assert (made.rows, made.outcomes_known, made.removed) == (1, 1, 1)
    assert (held(datasets), held(datasets, 1)) == ({"b": (2, 1)}, {"a": (1, 1), "b": (2, 1)})
    with pytest.raises(NotFound, match="No row of dataset 'd' has n=1. Nothing was changed."):
        datasets.delete("d", where={"n": 1}, reason="again")
    with pytest.raises(InvalidInput, match="no column 'm'"):
        datasets.delete("d", where={"m": 1}, reason="?")
    with pytest.raises(InvalidInput, match="'n' is int, and 'x' is not"):
        datasets.delete("d", where={"n": "x"}, reason="?")


def test_tags_and_moments_name_versions(datasets, tags, pushed, declared, clock):
    start = clock.now()
    for n in range(3):
        clock.advance("1d")
        pushed.put((str(n), n, 1, False))
        datasets.ingest(declared)

    tags.give("gold", datasets.version("d", 2), actor="ann", reason="checked")

    assert datasets.version("d", "gold").version == 2
    assert len(held(datasets, "gold")) == 2
    assert datasets.version("d", clock.now()).version == 3
    assert [tag.tag for tag in tags.list("d")] == ["gold"]
    tags.take("d", "gold")
    with pytest.raises(NotFound, match="No version of dataset 'd' has the tag 'gold'"):
        datasets.read("d", version="gold")
    with pytest.raises(NotFound, match="had no version at"):
        datasets.version("d", start)
    with pytest.raises(InvalidInput, match="'7' is no tag"):
        tags.give("7", datasets.version("d"))


@pytest.mark.parametrize("secret", ["Zaphod-Beeblebrox", "a'b\"c"])
def test_what_is_forgotten_leaves_no_byte(datasets, tags, pushed, declared, land, tmp_path, secret):
    pushed.put((secret, 1, 1, False), ("b", 2, 1, False), (secret, -7, 3, False))
    datasets.ingest(declared)
    quoted = '"' + secret.replace('"', '""') + '"'
    land("truth/1.csv", f"id,late\n{quoted},true\nb,false\n")
    pushed.put((secret, 5, 2, False), ("b", 3, 2, False))
    datasets.ingest(declared)
    tags.give("kept", datasets.version("d", 1))

    found = datasets.forget("d", where={"id": secret}, reason="a request")

    assert (found.version, found.first, found.removed) == (3, 1, 1)
    assert [held(datasets, v) for v in (1, 2, 3)] == [{"b": (2, 1)}, {"b": (3, 2)}, {"b": (3, 2)}]
    assert datasets.quarantine("d").is_empty()
    assert datasets.version("d").outcomes_known == 1
    assert not [path for path in (tmp_path / "tables").rglob("*") if path.is_file() and holds(path, secret)]
    assert secret not in (tmp_path / "ledger.db").read_bytes().decode(errors="ignore")
    pushed.put(("c", 4, 1, False))
    assert datasets.ingest(declared).rows == 2
    with pytest.raises(NotFound, match="Nothing was changed"):
        datasets.forget("d", where={"id": secret}, reason="twice")


def test_what_is_forgotten_can_be_collected_at_once(datasets, pushed, declared):
    pushed.put(("a", 1, 1, False), ("b", 2, 1, False))
    datasets.ingest(declared)
    datasets.forget("d", where={"id": "a"}, reason="a request")

    done = datasets.collect("d", keep=[], dry_run=False)

    assert (done.versions, done.files) == ((), ())
    assert held(datasets, 1) == held(datasets) == {"b": (2, 1)}


def test_a_killed_forgetting_is_finished_by_the_next_collection(
    datasets, pushed, declared, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    pushed.put(("Zaphod-Beeblebrox", 1, 1, False), ("b", 2, 1, False))
    datasets.ingest(declared)
    with monkeypatch.context() as dying:
        dying.setattr(upkeep.Upkeep, "_remove_files", killed)
        with pytest.raises(KeyboardInterrupt):
            datasets.forget("d", where={"id": "Zaphod-Beeblebrox"}, reason="a request")
    files = [path for path in (tmp_path / "tables").rglob("*") if path.is_file()]
    before = [path for path in files if holds(path, "Zaphod-Beeblebrox")]

    datasets.collect("d", keep=[], dry_run=False)

    assert before
    assert not [path for path in before if path.exists() and holds(path, "Zaphod-Beeblebrox")]
    assert held(datasets, 1) == held(datasets) == {"b": (2, 1)}


def test_what_lands_while_something_is_forgotten_stays(datasets, pushed, declared, monkeypatch):
    commit = upkeep.Upkeep._commit

    def and_more_lands(*arguments, **options):
        version = commit(*arguments, **options)
        pushed.put(("c", 3, 1, False))
        datasets.ingest(declared)
        return version

    pushed.put(("a", 1, 1, False), ("b", 2, 1, False))
    datasets.ingest(declared)
    monkeypatch.setattr(upkeep.Upkeep, "_commit", and_more_lands)
    datasets.forget("d", where={"id": "a"}, reason="a request")

    assert held(datasets) == {"b": (2, 1), "c": (3, 1)}


def holds(path, secret):
    data = path.read_bytes()
    if secret.encode() in data:
        return True
    if path.suffix == ".parquet":
        return secret in str(pl.read_parquet(path).rows())
    return False


def test_collecting_drops_forms_that_no_kept_version_has(datasets, pushed, declared, clock):
    for n in range(1, 7):
        pushed.put(("a", n, n, False), (f"x{n}", n, 1, False))
        datasets.ingest(declared)
    versions = {n: held(datasets, n) for n in range(1, 7)}
    clock.advance("2h")

    would = datasets.collect("d", keep=[3])
    done = datasets.collect("d", keep=[3], dry_run=False)

    assert (done.versions, done.forms) == (would.versions, would.forms) == (((1, 2), (4, 5)), 4)
    assert held(datasets, 3) == versions[3]
    assert held(datasets) == versions[6]
    with pytest.raises(
        NotFound, match="Version 4 of dataset 'd' was collected.*versions 4 to 5.*Read version 6"
    ):
        datasets.read("d", version=4)
    with pytest.raises(NotFound, match="was collected"):
        datasets.roll_back("d", 2, reason="too late")
    pushed.put(("a", 9, 9, False))
    datasets.ingest(declared)
    assert held(datasets, 6) == versions[6]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_every_version_holds_what_a_naive_model_says(datasets, pushed, declared, clock, monkeypatch, seed):
    # Every other seed looks keys up in the index, which is for large datasets.
    monkeypatch.setattr(ingest, "INDEXED", 0 if seed % 2 else 10**9)
    chance, model, versions = random.Random(seed), {}, {}
    for _ in range(40):
        deed = chance.random()
        clock.advance("3h")
        if deed < 0.75 or len(versions) < 3:
            rows = [
                (
                    f"k{chance.randrange(12)}",
                    chance.randrange(5),
                    chance.randrange(30),
                    chance.random() < 0.15,
                )
                for _ in range(chance.randrange(1, 6))
            ]
            unique = {(row[0], row[2]): row for row in rows}
            pushed.put(*unique.values())
            for row in unique.values():
                if row[0] not in model or row[2] > model[row[0]][2]:
                    model[row[0]] = row
            datasets.ingest(declared)
        elif deed < 0.85:
            to = chance.choice(sorted(versions))
            datasets.roll_back("d", to, reason="chance")
            model = dict(versions[to])
        elif model and any(not row[3] for row in model.values()):
            name = chance.choice([key for key, row in model.items()])
            datasets.delete("d", where={"id": name}, reason="chance")
            model.pop(name)
        versions[datasets.version("d").version] = dict(model)
        if chance.random() < 0.05:
            kept = set(chance.sample(sorted(versions), k=len(versions) // 2)) | {max(versions)}
            gone = datasets.collect("d", keep=kept, dry_run=False).versions
            versions = {v: m for v, m in versions.items() if not any(a <= v <= b for a, b in gone)}

    for version, expected in versions.items():
        live = {key: (row[1], row[2]) for key, row in expected.items() if not row[3]}
        assert held(datasets, version) == live, version
    assert datasets.version("d").rows == len(held(datasets))
