"""Small files that are read together."""

from __future__ import annotations

import polars as pl
import pytest

import treadle as td
from treadle.data import landing
from treadle.data.raw import Raw, joined
from treadle.data.state import State

HEADER = "id,at,value"
FILES = {
    "a.csv": f"{HEADER}\n1,2026-01-01,0.5\n2,2026-01-02,1\n",
    "b.csv": f"{HEADER}\n3,2026-01-03,much\n4,2026-01-04,2\n",
    "c.csv": HEADER + "\n",
    "d.csv": "id,at\n5,2026-01-05\n",
    "e.csv": f"{HEADER}\n6,2026-01-06,3,4\n7,2026-01-07,5\n",
    "f.csv": "id,value,at\n8,6,2026-01-08\n",
    "g.csv": f"{HEADER}\n9,2026-01-09,-1\n",
    "h.csv": f"{HEADER}\n10,2026-01-10,7\n",
}


class Reading(td.Contract):
    id: int
    at: str
    value: float = td.Column(ge=0)


def landed(root, contract):
    dataset = td.Dataset("d", source=td.Files("*.csv"), contract=contract, key="id")
    part = dataset.parts()["rows"]
    found = landing.look(part, part.listed, State(), root=root)
    return landing.land(found, State(), spec=contract.spec() if contract else None, kinds={})


@pytest.fixture
def files(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("contract", [Reading, None], ids=["declared", "inferred"])
def test_files_read_together_are_told_as_if_read_one_by_one(files, contract, monkeypatch):
    together = landed(files, contract)
    monkeypatch.setattr(landing, "JOINED_ROWS", 0)
    alone = landed(files, contract)

    assert together.spec == alone.spec
    assert together.good.equals(alone.good)
    assert together.bad.equals(alone.bad)
    assert together.files == alone.files


def test_each_row_is_told_with_its_file(files):
    found = landed(files, Reading)

    assert found.good.select("id", "_file", "_row").rows() == [
        (1, "a.csv", 1),
        (2, "a.csv", 2),
        (4, "b.csv", 2),
        (7, "e.csv", 2),
        (8, "f.csv", 1),
        (10, "h.csv", 1),
    ]
    assert found.bad.select("_file", "_row").rows() == [("b.csv", 1), ("e.csv", 1), ("g.csv", 1)]
    assert [file.path for file in found.files if file.status == "problem"] == ["d.csv"]
    assert [file.rows for file in found.files] == [2, 2, 0, 1, 2, 1, 1, 1]


def test_only_files_of_one_shape_are_joined():
    frame = pl.DataFrame({"a": ["1"]})
    plain = Raw(file="a", frame=frame, form="text")

    assert plain.shape == Raw(file="b", frame=frame, form="text").shape
    assert plain.shape != Raw(file="b", frame=frame, form="json").shape
    assert plain.shape != Raw(file="b", frame=frame.rename({"a": "b"}), form="text").shape
    assert Raw(file="b", frame=frame, form="text", broken={1: "short"}).shape is None


def test_files_of_one_shape_are_joined_in_order():
    raws = [
        Raw(file=name, frame=pl.DataFrame({"a": [name] * n}), form="text") for name, n in (("x", 2), ("y", 1))
    ]

    whole = joined(raws)

    assert whole.frame["a"].to_list() == ["x", "x", "y"]
    assert whole.places.rows() == [("x", 1), ("x", 2), ("y", 1)]
