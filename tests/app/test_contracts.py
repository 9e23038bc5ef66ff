from __future__ import annotations

import json
from pathlib import Path

import pytest

from treadle.app.cli.main import main

PROJECT = """
from datetime import datetime

import treadle as td


class Sale(td.Contract):
    id: str
    at: datetime
    amount: float = td.Column(ge={low})
    shop: str | None{more}


sales = td.Dataset("sales", source=td.Files("landing/*.csv", delimiter=";"), contract=Sale, key="id", time="at")
"""
ROWS = "id;at;amount;shop\na;2013-01-01;5;x\nb;2013-01-02;0.5;\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one file landed, where the commands are typed."""
    (tmp_path / "treadle.toml").write_text('[project]\nname = "sales"\nfile = "project.py"\n')
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "1.csv").write_text(ROWS)
    monkeypatch.chdir(tmp_path)
    declare(tmp_path)
    return tmp_path


def declare(folder: Path, *, low=0, more=""):
    (folder / "project.py").write_text(PROJECT.format(low=low, more=more))


class Typed:
    """What a command printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        self.code, self.out, self.err = end.value.code, said.out, said.err


def test_a_contract_is_written_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]):
    shown = Typed(capsys, "contract", "infer", "landing/*.csv")
    written = Typed(capsys, "contract", "infer", "landing/1.csv", "--output", "drafted.py")
    again = Typed(capsys, "contract", "infer", "landing/1.csv", "--output", "drafted.py")

    assert (shown.code, written.code, again.code) == (0, 0, 1)
    assert "class Landing(td.Contract)" in shown.out
    assert "    at: date\n" in shown.out
    assert "    shop: str | None\n" in shown.out
    assert '# Its source: td.Files("landing/*.csv", delimiter=";")' in shown.out
    assert "drafted.py is here already" in again.err
    compile((folder / "drafted.py").read_text(), "drafted.py", "exec")


def test_a_contract_is_written_from_stored_rows(folder: Path, capsys: pytest.CaptureFixture[str]):
    before = Typed(capsys, "contract", "infer", "sales")
    Typed(capsys, "ingest")
    after = Typed(capsys, "contract", "infer", "sales")

    assert before.code == 3
    assert "treadle ingest sales" in before.err
    assert "class Sales(td.Contract)" in after.out
    assert "    at: datetime\n" in after.out


def test_a_file_is_tried_before_it_lands(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "fresh").mkdir()
    (folder / "fresh" / "new.csv").write_text(
        "id;at;amount;shop\nc;2013-01-03;-1;x\n;soon;2;y\nd;2013-01-04;3;\n"
    )
    (folder / "fresh" / "other.csv").write_text("id;at\n")

    good = Typed(capsys, "contract", "check", "landing/1.csv", "--against", "sales")
    bad = Typed(capsys, "contract", "check", "fresh/new.csv", "--against", "sales")
    both = Typed(capsys, "contract", "check", "fresh/*.csv", "--against", "sales", "--json")
    none = Typed(capsys, "contract", "check", "nothing.csv", "--against", "sales")
    part = Typed(capsys, "contract", "check", "fresh/new.csv", "--against", "sales", "--part", "outcomes")

    assert (good.code, good.out) == (0, "2 of 2 rows in 1 files meet the contract.\n")
    assert bad.code == 1
    assert "1 of 3 rows" in bad.out
    assert "amount: … is below 0.0" in bad.out
    found = json.loads(both.out)
    assert (found["rows"], found["bad"], len(found["problems"])) == (3, 2, 1)
    assert found["problems"][0].startswith("fresh/other.csv: Missing column 'amount'")
    assert (none.code, part.code) == (3, 3)


def test_a_changed_contract_is_compared_with_the_stored_one(folder: Path, capsys: pytest.CaptureFixture[str]):
    Typed(capsys, "ingest")

    same = Typed(capsys, "contract", "diff", "sales")
    declare(folder, low=-1, more="\n    remark: str | None")
    wider = Typed(capsys, "contract", "diff", "sales")
    declare(folder, low=1)
    narrower = Typed(capsys, "contract", "diff", "sales")
    declare(folder, more="\n    remark: str")
    breaking = Typed(capsys, "contract", "diff", "sales", "--json")

    assert [one.code for one in (same, wider, narrower, breaking)] == [0, 0, 1, 1]
    assert "is the stored one" in same.out
    assert "harmless: column 'amount': ge was 0.0 and is now -1.0" in wider.out
    assert "Accepted: every stored row meets it." in wider.out
    assert "excludes more: column 'amount': ge was 0.0 and is now 1.0" in narrower.out
    assert "column 'amount' is below 1.0 in 1 stored rows" in narrower.out
    found = json.loads(breaking.out)
    assert found["parts"]["rows"]["breaking"] == [
        "column 'remark' (str) is new and stored rows have no value for it; declare it with `| None`"
    ]
    assert "no longer describes the stored rows" in found["refused"]
