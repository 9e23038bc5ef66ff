"""What answers hold besides the prediction: settled on validation rows, carried by the package, given by whoever loads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import polars as pl
import pytest

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.answering import Reach
from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.records import Window
from treadle.core.signature import Field, Signature
from treadle.evaluation.abstention import Abstain, AtRisk, Wider
from treadle.evaluation.conformal import ConformalIntervals, ConformalSets
from treadle.loop import answering
from treadle.loop.answering import Answers, settled
from treadle.serving.answering import Answered, reaches, told
from treadle.serving.encoding import encode
from treadle.training.data import TrainingData
from treadle.training.tasks.classification import Classification
from treadle.training.tasks.forecast import Forecast
from treadle.training.tasks.multiclass import Multiclass
from treadle.training.tasks.quantiles import Quantiles
from treadle.training.tasks.regression import Regression

WINDOW = Window(start=None, end=datetime(2020, 1, 1, tzinfo=UTC))
ROWS = 3_000


def data_of(task, target):
    """Return training data of a target made of the input `wind`, whose spread depends on `place`."""
    chance = np.random.default_rng(5)
    wind, place = chance.normal(size=ROWS), chance.choice(["bay", "peak"], size=ROWS)
    y = target(wind, np.where(place == "peak", 3.0, 1.0), chance)
    split = np.where(np.arange(ROWS) % 3 == 0, "validation", "train")
    frame = pl.DataFrame({"wind": wind, "place": place, "y": y, "_split": split})
    return TrainingData.build(frame, target="y", task=task, window=WINDOW, nullable=["wind"])


def number(wind, spread, chance):
    return 2 * wind + spread * chance.normal(size=len(wind))


def yes(wind, spread, chance):
    return chance.random(len(wind)) < 1 / (1 + np.exp(-3 * wind))


class Fixed:
    """A model that answers with a function of its columns."""

    def __init__(self, signature, numbers):
        self.signature, self._numbers = signature, numbers

    def predict(self, columns):
        values = self._numbers(columns)
        first = values if values.ndim == 1 else values[:, 0]
        names = [field.name for field in self.signature.outputs]
        return dict.fromkeys(names[:-1], first) | {names[-1]: values}


def answered(declared, data, numbers):
    """Return the model that answers with `numbers` as a server would have it, and encoded validation rows."""
    columns = {name: data.validation.X[name].to_numpy() for name in data.inputs}
    held = settled(declared, data, numbers(columns))
    signature = msgspec.structs.replace(data.signature, answering=held)
    again = msgspec.json.decode(msgspec.json.encode(signature), type=type(signature))
    return Answered(Fixed(again, numbers)), columns


def test_an_interval_holds_the_truth_as_often_as_it_says_in_each_group():
    data = data_of(Regression(), number)

    model, columns = answered(
        Answers(coverage=0.9, by="place"), data, lambda columns: 2 * columns["wind"].astype(float)
    )
    found = model.predict(columns)["interval"]

    y, place = data.validation.y, columns["place"]
    p = 2 * columns["wind"].astype(float)
    low, high = ConformalIntervals.fit(y, p, alpha=0.1, by=place).predict(p, by=place)
    assert np.array_equal(found, np.column_stack([low, high]))
    held = (found[:, 0] <= y) & (y <= found[:, 1])
    assert all(0.9 <= held[place == name].mean() < 0.92 for name in ("bay", "peak"))
    assert np.ptp(found[place == "peak"][0]) > 2 * np.ptp(found[place == "bay"][0])


def test_outer_quantiles_are_moved_until_they_hold_the_truth():
    data = data_of(Quantiles(levels=[0.3, 0.5, 0.7]), number)

    model, columns = answered(
        Answers(coverage=0.8),
        data,
        lambda columns: 2 * columns["wind"].astype(float)[:, None] + np.array([-0.1, 0.0, 0.1]),
    )
    ends = model.predict(columns)["interval"]

    y = data.validation.y
    assert 0.8 <= ((ends[:, 0] <= y) & (y <= ends[:, 1])).mean() < 0.82


def test_a_set_has_the_classes_that_may_be_so_and_more_than_one_is_reviewed():
    data = data_of(Classification(), yes)
    p = lambda columns: 1 / (1 + np.exp(-3 * columns["wind"].astype(float)))  # noqa: E731

    model, columns = answered(Answers(coverage=0.95, decisions=[Wider(than=1)]), data, p)
    given = model.predict(columns)

    expected = ConformalSets.fit(data.validation.y, p(columns), alpha=0.05).predict(p(columns))
    assert np.array_equal(given["set"], expected)
    assert ((given["decision"] == "review") == (expected.sum(axis=1) != 1)).all()
    assert {"2 classes may be so, more than 1"} == set(given["reason"][expected.all(axis=1)])
    assert list(given) == ["prediction", "set", "decision", "reason", "probability"]


def test_the_strictest_step_counts_and_a_missing_field_is_asked_for():
    data = data_of(Classification(), yes)
    steps = [Abstain(below=0.6), Abstain(below=0.9, then="review")]

    model, _ = answered(
        Answers(decisions=steps, ask_for=["wind"]),
        data,
        lambda columns: np.resize([0.95, 0.2, 0.5, 0.95], len(columns["wind"])),
    )
    wind = np.array([1, 1, 1, np.nan], dtype=np.float32)
    given = model.predict({"wind": wind, "place": np.array(["bay"] * 4, dtype=object)})

    assert given["decision"].tolist() == ["answer", "review", "abstain", "ask"]
    assert given["reason"].tolist() == [
        "",
        "confidence 0.8 is below 0.9",
        "confidence 0.5 is below 0.6",
        "wind is missing",
    ]


def test_a_risk_is_turned_into_the_confidence_that_keeps_it():
    data = data_of(Classification(), yes)
    p = lambda columns: 1 / (1 + np.exp(-3 * columns["wind"].astype(float)))  # noqa: E731

    model, columns = answered(Answers(decisions=[AtRisk(most=0.1, then="review")]), data, p)
    given = model.predict(columns)

    kept = given["decision"] == "answer"
    wrong = (p(columns) > 0.5) != (data.validation.y == 1)
    assert 0.3 < kept.mean() < 1
    assert wrong[kept].mean() <= 0.1 < wrong[~kept].mean()


def test_several_classes_have_sets_by_name():
    task = Multiclass(classes=["a", "b", "c"])
    data = data_of(task, lambda wind, spread, chance: chance.choice(["a", "b", "c"], size=len(wind)))

    model, columns = answered(
        Answers(coverage=0.9), data, lambda columns: np.tile([0.5, 0.3, 0.2], (len(columns["wind"]), 1))
    )
    fields = {field.name: field for field in told(data.signature).outputs}
    given = model.predict(columns)

    assert "set" not in fields
    assert next(f for f in model.signature.outputs if f.name == "set").columns == ("a", "b", "c")
    assert given["set"].shape == (len(data.validation), 3)


@pytest.mark.parametrize(
    ("declared", "task", "field"),
    [
        (lambda: Answers(coverage=90), None, "coverage"),
        (lambda: Answers(by="place"), None, "by"),
        (lambda: Answers(decisions=[Wider(than=1)]), None, "decisions"),
        (lambda: Answers(decisions=["review"]), None, "decisions"),
        (lambda: Answers(ask_for="wind"), None, "ask_for"),
        (lambda: AtRisk(most=5), None, "most"),
        (lambda: Wider(than=1, then="person"), None, "then"),
        (lambda: Answers(coverage=0.9), Forecast(horizon=2, every="1h"), "answers"),
        (lambda: Answers(decisions=[Abstain(below=0.8)]), Regression(), "answers"),
    ],
)
def test_what_cannot_hold_is_refused_where_it_is_declared(declared, task, field):
    with pytest.raises(InvalidDeclaration) as refused:
        declared().check(task, where="Model 'm'")

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (Answers(coverage=0.9999), "needs 9,999 validation rows, and there are 1,000"),
        (Answers(coverage=0.9, by="plaice"), "Did you mean 'place'"),
        (Answers(coverage=0.9, by="wind"), "which is float"),
        (Answers(ask_for=["place"]), "never missing"),
        (Answers(decisions=[AtRisk(most=0.0001)]), "no confidence is shown"),
    ],
)
def test_what_validation_rows_cannot_settle_is_said(declared, said):
    data = data_of(Classification(), yes)

    with pytest.raises(InvalidInput, match=said):
        settled(declared, data, np.full(len(data.validation), 0.6))


@pytest.fixture
def inline(root: Path) -> Iterator[Workspace]:
    """The project's workspace on the embedded ledger; trainings run in this process."""
    with open_workspace(root, overrides={"compute.engine": "inline"}) as opened:
        yield opened


def declare(root, answers):
    text = (root / "project.py").read_text()
    (root / "project.py").write_text(text.replace("    seed=3,\n", f"    seed=3,\n    answers={answers},\n"))


def test_a_trained_version_gives_them_in_process_and_they_are_logged(inline, root):
    declare(
        root,
        "td.Answers(coverage=0.8, decisions=[td.Abstain(below=0.7, then='review'), td.Abstain(below=0.55)])",
    )
    inline.run("buys")

    with inline.predictor("buys") as predictor:
        rows = [{"pages": pages, "minutes": 0.0} for pages in (3.0, 0.5, 0.0, -3.0)]
        given = predictor.predict(rows)

    assert [one["decision"] for one in given] == ["answer", "review", "abstain", "answer"]
    assert (given[0]["set"], given[0]["prediction"], given[3]["set"]) == ([True], True, [False])
    assert given[1]["reason"].startswith("confidence 0.")
    logged = inline.predictions.scan("buys").sort("row").collect()
    assert [msgspec.json.decode(text)["decision"] for text in logged["outputs"]] == [
        one["decision"] for one in given
    ]
    held = inline.models.get("buys/1").signature.answering
    assert held.classes.coverage == 0.8
    assert held.classes.rows > 100


def test_a_candidate_that_cannot_keep_its_risk_does_not_become_a_version(inline, root):
    declare(root, "td.Answers(decisions=[td.AtRisk(most=0.001)])")

    with pytest.raises(RunFailed, match="no confidence is shown to be wrong at most 0.001"):
        inline.run("buys")


def test_an_imported_version_gives_them_too(inline, root):
    from sklearn.linear_model import LogisticRegression

    inline.run("buys")
    declare(root, "td.Answers(coverage=0.8)")
    rows = inline.datasets.read("visits", split="train")
    fitted = LogisticRegression().fit(
        rows.select("pages", "minutes").cast(pl.Float32).to_numpy(), rows["bought"].to_numpy()
    )

    with open_workspace(root) as again:
        made = again.import_model(fitted, "buys")

    assert made.version.signature.answering.classes.rows > 100


@pytest.mark.parametrize(
    ("kind", "nullable", "values"),
    [
        ("boolean", False, [True, False]),
        ("integer", True, [5, 1_234_567]),
        ("category", True, ["UA", None]),
        ("date", False, [date(2013, 1, 1)]),
    ],
)
def test_a_group_is_called_in_training_as_it_is_in_serving(kind, nullable, values):
    field = Field(name="group", kind=kind, nullable=nullable)
    rows = SimpleNamespace(X=pl.DataFrame({"group": values}))
    data = SimpleNamespace(validation=rows, signature=Signature(inputs=(field,), outputs=()))

    named = answering._groups(data, "group").tolist()

    reach = Reach(coverage=0.9, reach=9.0, by="group", reaches=dict.fromkeys(named, 1.0), rows=100)
    fed = {"group": encode(field, values, place=str)}
    assert reaches(reach, fed, rows=len(values)).tolist() == [1.0] * len(values)
