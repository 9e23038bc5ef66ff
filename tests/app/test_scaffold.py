from __future__ import annotations

import datetime as dt
import random
import shlex
from pathlib import Path

import polars as pl
import pytest

from treadle.app.look import look
from treadle.app.scaffold import create, project_file, request
from treadle.app.workspace import open_workspace
from treadle.core.errors import AlreadyExists, InvalidInput, NotFound
from treadle.loop import projects

DAY = dt.date(2025, 1, 1)


def customers(rows: int = 600) -> pl.DataFrame:
    """Customers with an id, spaces in the header, missing values, and a target of two words."""
    dice = random.Random(3)
    tenure = [dice.randint(0, 72) for _ in range(rows)]
    return pl.DataFrame(
        {
            "customer id": [f"C{i}" for i in range(rows)],
            "Plan Type": [dice.choice(["basic", "plus", None]) for _ in range(rows)],
            "class": [round(dice.gauss(50, 9), 1) if dice.random() > 0.1 else None for _ in range(rows)],
            "tenure": tenure,
            "churned": ["yes" if months + dice.gauss(0, 12) < 30 else "no" for months in tenure],
        }
    )


def sales(rows: int = 600) -> pl.DataFrame:
    """Daily sales of stores: two columns tell the rows apart, one of them the time; a number to estimate."""
    dice = random.Random(4)
    area = [dice.uniform(1, 9) for _ in range(rows)]
    return pl.DataFrame(
        {
            "store": [i % 20 for i in range(rows)],
            "sold on": [DAY + dt.timedelta(days=i // 20) for i in range(rows)],
            "area": area,
            "price": [3 * size + dice.gauss(0, 1) for size in area],
        }
    )


def visits(rows: int = 600) -> pl.DataFrame:
    """Visits with a moment, no text, and 0 or 1 to tell apart."""
    dice = random.Random(5)
    x = [dice.gauss(0, 1) for _ in range(rows)]
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
    return pl.DataFrame(
        {
            "at": [start + dt.timedelta(hours=i) for i in range(rows)],
            "x": x,
            "bought": [int(value + dice.gauss(0, 0.5) > 0) for value in x],
        }
    )


def tickets(rows: int = 600) -> pl.DataFrame:
    """Tickets of a help desk: words and numbers, and a target of four words, one of them rare."""
    dice = random.Random(6)
    lengths = [dice.randint(5, 400) for _ in range(rows)]
    teams = ["billing" if n < 100 else "network" if n < 250 else "hardware" for n in lengths]
    return pl.DataFrame(
        {
            "ticket": [f"T{i}" for i in range(rows)],
            "channel": [dice.choice(["mail", "phone"]) for _ in range(rows)],
            "length": [n + dice.randint(-20, 20) for n in lengths],
            "team": [team if dice.random() > 0.02 else "legal" for team in teams],
        }
    )


@pytest.mark.parametrize(
    ("rows", "target"),
    [(customers(), "churned"), (sales(), "price"), (visits(), "bought"), (tickets(), "team")],
    ids=["customers", "sales", "visits", "tickets"],
)
def test_a_project_from_somebodys_data_releases_a_version(tmp_path: Path, rows: pl.DataFrame, target: str):
    rows.write_csv(tmp_path / "data.csv")
    found = create(tmp_path, data="data.csv", target=target)

    with open_workspace(tmp_path, overrides={"compute.engine": "inline"}) as workspace:
        turn = workspace.run("model")
        version = workspace.datasets.version("rows")
        with workspace.predictor("model") as predictor:
            answer = predictor.predict(found.example)

    assert [verdict.reason for verdict in turn.verdicts if not verdict.passed] == []
    assert (version.rows, version.quarantined) == (600, 0)
    said = answer.get("probabilities", {"": answer.get("probability", answer["prediction"])})
    assert all(isinstance(number, float) for number in said.values())


def test_what_a_look_finds(tmp_path: Path):
    customers().write_csv(tmp_path / "data.csv")

    found = look(tmp_path, data="data.csv", target="churned")

    assert (found.task, found.positive, found.key, found.time) == (
        "Classification",
        "yes",
        ("customer id",),
        None,
    )
    assert (found.numeric, found.words) == (("class", "tenure"), ("Plan Type",))
    assert found.nullable == {"Plan Type", "class"}


def test_several_words_are_classes_and_a_few_numbers_are_asked_about(tmp_path: Path):
    rows = tickets().with_columns(stars=pl.col("length") % 5)
    rows.write_csv(tmp_path / "data.csv")

    words, numbers = (look(tmp_path, data="data.csv", target=name) for name in ("team", "stars"))

    assert words.task == "Multiclass"
    assert "Predicts the probability of each of 4 classes of 'team'." in words.notes
    assert numbers.task == "Regression"
    assert any("if its 5 values are classes, write task=td.Multiclass()" in note for note in numbers.notes)


def test_time_and_a_key_of_several_columns_are_found(tmp_path: Path):
    sales().write_csv(tmp_path / "data.csv")

    found = look(tmp_path, data="data.csv", target="price")

    assert (found.task, found.key, found.time) == ("Regression", ("store", "sold on"), "sold on")
    assert found.types["sold on"] == "datetime"


def test_a_key_can_be_given_as_several_columns(tmp_path: Path):
    sales().write_csv(tmp_path / "data.csv")

    found = look(tmp_path, data="data.csv", target="price", key="sold on, store")

    assert found.key == ("sold on", "store")


def test_semicolons_words_for_nothing_and_awkward_names_make_a_project(tmp_path: Path):
    header = 'Kunden Nr.;Größe;1st;class;date ;Plan "x";Plan-x;state'
    lines = [
        f"{i};{'NA' if i % 9 == 0 else i / 4};{i % 7};{i % 3};{i % 5};it's;b;{i % 2 + 1}" for i in range(40)
    ]
    (tmp_path / "data.csv").write_text("\n".join([header, *lines]), encoding="utf-8-sig")

    found = create(tmp_path, data="data.csv", target="state")
    dataset = projects.load(tmp_path / "project.py").dataset("rows")

    assert (found.files.delimiter, found.files.null_values, found.positive) == (";", ["", "NA"], "1")
    assert dataset.contract is not None
    assert dataset.contract.spec().names == tuple(header.split(";"))
    assert shlex.split(request(found))[-1].startswith('{"rows": [{"Größe": 0.25')


def test_a_column_of_mostly_different_words_is_left_out_and_said_so(tmp_path: Path):
    customers().with_columns(pl.col("customer id").alias("name")).write_csv(tmp_path / "data.csv")

    found = look(tmp_path, data="data.csv", target="churned")

    assert found.words == ("Plan Type",)
    assert "Left out of the inputs: name (600 words)." in found.notes


@pytest.mark.parametrize(
    ("rows", "least"), [(400, "min_rows=50"), (150, "min_rows=20"), (2000, 'Beats("baseline")')]
)
def test_gates_ask_for_rows_that_there_can_be(tmp_path: Path, rows: int, least: str):
    customers(rows).write_csv(tmp_path / "data.csv")

    text = project_file(look(tmp_path, data="data.csv", target="churned"))

    assert least in text


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("a,b\n1,x\n1,x\n2,y\n", {"target": "b"}, "No column tells the rows apart.*--key store,day"),
        ("a,b\n1,x\n1,y\n", {"target": "b", "key": "a"}, "The key a tells 1 of 2 rows apart"),
        ("a,b,c\n1.5,x,1\n2.5,y,2\n", {"target": "b", "key": "a"}, "number with decimals"),
        ("id,b\n1,x\n2,y\n", {"target": "bb"}, "The target 'bb' is not a column.*Did you mean 'b'"),
        ("id,b\n1,x\n2,y\n", {"target": "b", "key": "id,c"}, "The key 'c' is not a column"),
        ("id,b,c\n1,x,1\n2,y,2\n", {"target": "b", "time": "c"}, "The time 'c' holds no moments"),
        ("id,b\n1,x\n2,y\n", {"target": "b"}, "no column to predict from"),
        ("id,b\n1,x\n2,x\n", {"target": "b"}, "1 different values"),
        ("id,b\n1,x\n2,y\n3,z\n", {"target": "b"}, "3 different values"),
        (",b\n1,x\n2,y\n", {"target": "b"}, "Column 1 .* has no name"),
        ("_id,b\n1,x\n2,y\n", {"target": "b"}, "starts with '_'"),
        ("id,b\n", {"target": "b"}, "holds no rows"),
    ],
)
def test_what_cannot_become_a_project_is_said(tmp_path: Path, text: str, given: dict[str, str], words: str):
    (tmp_path / "data.csv").write_text(text)

    with pytest.raises(InvalidInput, match=words):
        create(tmp_path, data="data.csv", **given)

    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_a_file_that_is_not_there_is_told_with_those_that_are(tmp_path: Path):
    (tmp_path / "data.csv").write_text("a\n")

    with pytest.raises(NotFound, match="Data files here: data.csv"):
        create(tmp_path, data="dta.csv", target="a")


def test_a_project_is_never_overwritten(tmp_path: Path):
    (tmp_path / "project.py").write_text("mine")

    with pytest.raises(AlreadyExists, match="nothing was changed"):
        create(tmp_path, data="data.csv", target="a")

    assert (tmp_path / "project.py").read_text() == "mine"
