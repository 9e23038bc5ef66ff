"""Callers send what on-demand features are made of, and they are computed by the project's code."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from computed_shop import NOW, VISIT, drawn, logged, make, offline, offline_probabilities, opened

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import FeatureFailed, InvalidInput, Overloaded, StoreUnavailable


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, trained once."""
    return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def shop(made: Path, tmp_path: Path, clock: ManualClock) -> Path:
    """A copy of that project."""
    clock.set(NOW)
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture
def trained(shop: Path, clock: ManualClock) -> Iterator[Workspace]:
    """The project's workspace with a version that is made of features on demand."""
    with opened(shop, clock) as workspace:
        yield workspace


def test_what_is_computed_for_a_request_is_what_the_offline_join_gives(trained: Workspace) -> None:
    visits = drawn(2_000, seed=1)
    expected = offline(trained, visits)

    with trained.predictor("buys") as predictor:
        given = predictor.predict(visits)
        alone = [predictor.predict(visit) for visit in visits[:50]]
        sent = expected.select("pages", "each", "night", "length", "much").to_dicts()
        fine = [
            place
            for place, row in enumerate(sent)
            if all(abs(row[name] or 0) < 1e38 for name in ("each", "much"))
        ]
        by_value = predictor.predict([sent[place] for place in fine])

    assert [one["probability"] for one in given[:50]] == [one["probability"] for one in alone]
    assert [given[place]["probability"] for place in fine] == [one["probability"] for one in by_value]
    assert len({one["probability"] for one in given}) >= 3
    fed = pl.DataFrame(logged(trained)[:2_000], infer_schema_length=None)
    for name in ("each", "night", "length", "much"):
        assert fed[name].to_list() == expected[name].to_list(), name


def test_the_log_keeps_what_was_computed_beside_what_it_was_made_of(trained: Workspace) -> None:
    with trained.predictor("buys") as predictor:
        predictor.predict(VISIT)

    (row,) = logged(trained)
    assert row == {
        "pages": 1.5, "shop": "north", "seen_at": "2020-01-09T05:15:00Z", "people": 1.0,
        "each": 1.5, "night": True, "length": 5, "much": 3.0,
    }  # fmt: skip


def test_a_value_that_is_sent_wins_and_null_is_one(trained: Workspace) -> None:
    with trained.predictor("buys") as predictor:
        predictor.predict(
            [
                {**VISIT, "length": 40},
                {**VISIT, "night": None, "each": 9.0},
                {"pages": 1.0, "each": 1.0, "night": False, "length": 3, "much": None},
            ]
        )

    rows = logged(trained)
    assert [row["length"] for row in rows] == [40, 5, 3]
    assert [row["night"] for row in rows] == [True, None, False]
    assert [row["much"] for row in rows] == [3.0, 18.0, None]


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        (
            {"shop": "north", "pages": 1.0},
            "rows[0].seen_at",
            "'seen_at' is missing, of which 'shape' is made",
        ),
        ({**VISIT, "seen_at": None}, "rows[0].seen_at", "'seen_at' is null"),
        ({**VISIT, "seen_at": 5}, "rows[0].seen_at", "Expected a moment"),
        ({**VISIT, "shopp": "x"}, "rows[0].shopp", "Did you mean 'shop'"),
        (
            {"pages": 1.0, "seen_at": VISIT["seen_at"]},
            "rows[0].people",
            "'people' is missing, and so is 'shop'",
        ),
    ],
)
def test_what_is_lacking_or_of_another_type_is_refused_by_name(
    trained: Workspace, row: dict[str, Any], field: str, said: str
) -> None:
    with (
        trained.predictor("buys") as predictor,
        pytest.raises(InvalidInput, match=said.replace("[", r"\[")) as refused,
    ):
        predictor.predict(row)

    assert refused.value.field == field


def trouble(shop: Path, code: str) -> None:
    (shop / "trouble.txt").write_text(code)


TROUBLED = {**VISIT, "shop": "trouble"}


def test_a_computation_that_raises_is_the_error_of_its_request_only(trained: Workspace, shop: Path) -> None:
    trouble(shop, "raise ZeroDivisionError('the moon is wrong')")

    with trained.predictor("buys") as predictor:
        with pytest.raises(FeatureFailed, match="'shape' raised ZeroDivisionError: the moon is wrong"):
            predictor.predict([VISIT, TROUBLED])
        answer = predictor.predict(VISIT)

    assert answer["prediction"] in (True, False)


def test_by_policy_only_the_row_that_it_raises_for_lacks_the_feature(
    trained: Workspace, shop: Path, clock: ManualClock
) -> None:
    trouble(shop, "raise ZeroDivisionError('the moon is wrong')")

    with opened(shop, clock, serving__on_demand_failure="null") as workspace:
        with workspace.predictor("buys") as predictor:
            answers = predictor.predict([VISIT, TROUBLED, VISIT])
            missing = predictor.predict(
                {"pages": 1.5, "each": None, "night": None, "length": None, "much": None}
            )
        rows = logged(workspace)

    assert [one.get("features") for one in answers] == [None, {"crowds": "missing", "shape": "failed"}, None]
    assert [row["length"] for row in rows[:3]] == [5, None, 5]
    assert answers[1]["probability"] == missing["probability"]


def test_a_computation_that_hangs_delays_its_request_no_longer_than_it_may_and_then_nobody(
    trained: Workspace, shop: Path, clock: ManualClock
) -> None:
    trouble(shop, "while (HERE / 'trouble.txt').is_file(): time.sleep(0.01)")

    with (
        opened(shop, clock, serving__on_demand_timeout=1.0) as workspace,
        workspace.predictor("buys") as predictor,
    ):
        for _ in range(2):
            with pytest.raises(Overloaded, match="took over 1 s"):
                predictor.predict(TROUBLED)
        with pytest.raises(Overloaded, match="2 calls have been running"):
            predictor.predict(VISIT)
        sent = predictor.predict({"pages": 1.0, "each": 1.0, "night": False, "length": 3, "much": None})
        (shop / "trouble.txt").unlink()
        line = next(iter(predictor._plane.loaded["buys"].ready.values())).reader.line
        while line.hanging:
            threading.Event().wait(0.01)
        again = predictor.predict(VISIT)

    assert {sent["prediction"], again["prediction"]} <= {True, False}
    assert line.late == 3


def test_a_declaration_that_is_another_now_computes_nothing_and_says_so(
    trained: Workspace, shop: Path, clock: ManualClock
) -> None:
    file = shop / "project.py"
    commented = file.read_text().replace("# Computed in training and by the server.", "# Elsewhere, too.")
    file.write_text(commented)
    with opened(shop, clock) as workspace, workspace.predictor("buys") as predictor:
        same = predictor.predict(VISIT)

    file.write_text(commented.replace('pl.col("each") * 2', 'pl.col("each") * 3'))
    with opened(shop, clock) as workspace, workspace.predictor("buys") as predictor:
        with pytest.raises(
            StoreUnavailable, match="'shape' is declared in another way than when the version"
        ):
            predictor.predict(VISIT)
        sent = predictor.predict({"pages": 1.0, "each": 1.0, "night": False, "length": 3, "much": None})

    assert {same["prediction"], sent["prediction"]} <= {True, False}


def test_an_output_of_another_type_is_told_as_such(trained: Workspace, shop: Path) -> None:
    trouble(shop, "rows = rows.with_columns(each=pl.lit('text'))")

    with trained.predictor("buys") as predictor, pytest.raises(FeatureFailed, match="'shape'"):
        predictor.predict(TROUBLED)


def test_files_of_a_batch_get_what_requests_get(trained: Workspace, tmp_path: Path) -> None:
    visits = pl.DataFrame(drawn(3_000, seed=2))
    people = pl.col("shop").replace_strict(
        {"north": 1.0, "south": 2.0}, default=None, return_dtype=pl.Float64
    )
    visits.with_columns(people=people).write_csv(tmp_path / "visits.csv", quote_style="non_numeric")
    typed = pl.col("seen_at").str.to_datetime("%+", time_unit="us", time_zone="UTC")
    visits.with_columns(typed, people=people).write_parquet(tmp_path / "visits.parquet", row_group_size=500)
    expected = offline_probabilities(trained, visits.to_dicts())

    for name in ("visits.csv", "visits.parquet"):
        out = tmp_path / f"{name}.out"
        first = trained.batch("buys@champion", tmp_path / name, output=out, part_rows=1_000)
        again = trained.batch("buys@champion", tmp_path / name, output=out, part_rows=1_000)

        assert again == first
        assert pl.read_parquet(out / "*.parquet")["probability"].to_list() == expected, name


def test_a_value_of_a_file_that_a_feature_cannot_be_made_of_ends_the_batch(
    trained: Workspace, tmp_path: Path
) -> None:
    rows = [{**VISIT, "people": 1.0}, {**VISIT, "people": 1.0, "seen_at": "yesterday"}]
    pl.DataFrame(rows).write_csv(tmp_path / "visits.csv")

    with pytest.raises(
        InvalidInput, match="'seen_at' holds 'yesterday', of which 'shape' is made. Expected timestamp"
    ):
        trained.batch("buys@champion", tmp_path / "visits.csv", output=tmp_path / "out")
