"""Outcomes beside predictions: by id and by key, the latest one counts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.monitoring.outcomes import Known, delays, join, key_text, reported

START = datetime(2013, 1, 1, tzinfo=UTC)
PREDICTIONS = pl.DataFrame(
    {
        "prediction_id": ["a-0", "b-0", "c-0", "d-0"],
        "key": ['{"id":1}', '{"id":2}', None, '{"id":1}'],
        "at": [START + timedelta(hours=hour) for hour in range(4)],
        "probability": [0.1, 0.2, 0.3, 0.4],
    }
)
MOMENT = pl.Datetime("us", "UTC")


def outcomes(*rows: tuple[str | None, str | None, float | None, int]) -> pl.DataFrame:
    moved = [(p, k, v, START + timedelta(hours=hour)) for p, k, v, hour in rows]
    kinds = {"prediction_id": pl.String, "key": pl.String, "value": pl.Float64, "at": MOMENT}
    return pl.DataFrame(moved, schema=kinds, orient="row")


def test_by_id_and_by_key() -> None:
    frame = outcomes(("b-0", None, 1.0, 10), (None, '{"id":1}', 0.0, 12))

    joined = join(PREDICTIONS, reported(frame))

    assert joined["prediction_id"].to_list() == PREDICTIONS["prediction_id"].to_list()
    assert joined["outcome"].to_list() == [0.0, 1.0, None, 0.0]
    assert joined["delay"].to_list() == [timedelta(hours=h) if h else None for h in (12, 9, 0, 9)]


def test_the_outcome_that_became_known_last_counts() -> None:
    frame = outcomes(("a-0", None, 1.0, 20), ("a-0", None, 0.0, 10), (None, '{"id":1}', 0.0, 15))

    assert join(PREDICTIONS, reported(frame))["outcome"].to_list() == [1.0, None, None, 0.0]


def test_of_one_moment_the_last_row_of_the_last_frame_counts() -> None:
    one, two = outcomes(("a-0", None, 0.0, 5), ("a-0", None, 1.0, 5)), outcomes(("a-0", None, 0.0, 5))
    known = [Known(frame=frame, on=("prediction_id",)) for frame in (one, two)]

    assert join(PREDICTIONS, known[:1])["outcome"][0] == 1.0
    assert join(PREDICTIONS, known)["outcome"][0] == 0.0


def test_a_correction_to_unknown_is_no_outcome() -> None:
    frame = outcomes(("a-0", None, 1.0, 5), ("a-0", None, None, 6), ("a-0", None, float("nan"), 7))

    assert join(PREDICTIONS, reported(frame))["outcome"][0] == 1.0


def test_missing_keys_match_nothing() -> None:
    frame = outcomes((None, None, 1.0, 5))

    assert join(PREDICTIONS, [Known(frame=frame, on=("key",))])["outcome"].null_count() == 4


def test_outcomes_of_a_dataset_match_by_several_columns() -> None:
    rows = PREDICTIONS.with_columns(flight=pl.Series([1, 1, 2, 2]), day=pl.Series([1, 2, 1, 2]))
    truth = pl.DataFrame({"flight": [1, 2], "day": [2, 2], "late": [True, False]})

    joined = join(rows, [Known(frame=truth, on=("flight", "day"), value="late", at=None)])

    assert joined["outcome"].to_list() == [None, 1.0, None, 0.0]
    assert joined["delay"].null_count() == 4


def test_keys_are_written_as_the_log_writes_them() -> None:
    frame = pl.DataFrame({"b": ["ü"], "a": [1]})

    assert key_text(frame, ["b", "a"]).to_list() == ['{"a":1,"b":"ü"}']


def test_nothing_reported_leaves_every_prediction_without() -> None:
    assert join(PREDICTIONS, [])["outcome"].null_count() == 4
    assert join(PREDICTIONS.head(0), reported(outcomes(("a-0", None, 1.0, 1)))).height == 0


def test_delays_say_how_long_outcomes_take() -> None:
    frame = outcomes(("a-0", None, 1.0, 10), ("b-0", None, 0.0, 3))

    found = delays(join(PREDICTIONS, reported(frame)), now=START + timedelta(hours=12))

    assert (found.predictions, found.known) == (4, 2)
    assert (found.median, found.longest) == (6 * 3600, 10 * 3600)
    assert found.oldest_pending == 10 * 3600


def test_no_outcomes_have_no_delays() -> None:
    found = delays(join(PREDICTIONS.head(0), []), now=START)

    assert (found.predictions, found.known, found.median, found.oldest_pending) == (0, 0, None, None)


@pytest.mark.parametrize(
    ("rows", "known", "said"),
    [
        (PREDICTIONS.drop("at"), [], "no column 'at'"),
        (PREDICTIONS.with_columns(outcome=1), [], "have a column 'outcome' already"),
        (PREDICTIONS, [Known(frame=pl.DataFrame({"id": [1]}), on=("key",))], "outcomes have no column 'key'"),
        (
            PREDICTIONS,
            [Known(frame=pl.DataFrame({"key": ["x"], "value": [[1]]}), on=("key",), at=None)],
            "Expected numbers",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(rows: pl.DataFrame, known: list[Known], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        join(rows, known)


def test_outcomes_may_be_names_of_classes() -> None:
    frame = outcomes(("a-0", None, None, 10), ("b-0", None, None, 3)).with_columns(
        pl.Series("value", [None, None], dtype=pl.Float64), text=pl.Series(["red", "blue"])
    )

    joined = join(PREDICTIONS, reported(frame))

    assert set(joined["outcome"].drop_nulls()) == {"red", "blue"}
    assert delays(joined, now=START + timedelta(hours=12)).known == 2


def test_numbers_and_names_of_classes_are_not_mixed() -> None:
    known = [
        Known(frame=pl.DataFrame({"key": ["x"], "value": value}), on=("key",), at=None)
        for value in ([1.0], ["red"])
    ]

    with pytest.raises(InvalidInput, match="Expected all of one kind"):
        join(PREDICTIONS, known)


def test_the_join_equals_a_loop_over_rows() -> None:
    draw = random.Random(3)
    size = 400
    ids = [f"p{number}" for number in range(size)]
    keys = [draw.choice([None, *map(str, range(60))]) for _ in range(size)]
    rows = pl.DataFrame(
        {"prediction_id": ids, "key": keys, "at": [START] * size}, schema_overrides={"key": pl.String}
    )
    truth = [
        (draw.choice([None, draw.choice(ids)]), None, draw.choice([None, 0.0, 1.0]), draw.randrange(20))
        for _ in range(500)
    ] + [
        (None, draw.choice(["1", "2", "77", None]), draw.choice([0.0, 1.0]), draw.randrange(20))
        for _ in range(300)
    ]

    joined = join(rows, reported(outcomes(*truth)))

    for identity, key, found in joined.select("prediction_id", "key", "outcome").iter_rows():
        best: tuple[tuple[int, int, int], float] | None = None
        place = {True: 0, False: 0}
        for p, k, value, hour in truth:
            if p is None and k is None:
                continue
            by_id = p is not None
            place[by_id] += 1
            matches = p == identity if by_id else k == key
            rank = (hour, 0 if by_id else 1, place[by_id])
            if matches and value is not None and (best is None or rank > best[0]):
                best = (rank, value)
        assert found == (best[1] if best else None), (identity, key)


def test_what_landed_with_the_dataset_of_a_model_is_no_truth_for_another_model() -> None:
    rows = PREDICTIONS.with_columns(model=pl.Series(["month", "month", "month", "year"]))
    frame = outcomes((None, '{"id":1}', 1.0, 10), (None, '{"id":1}', 0.0, 12), (None, '{"id":2}', 1.0, 3))
    frame = frame.with_columns(model=pl.Series(["month", "year", None]))

    joined = join(rows, reported(frame))

    assert joined["outcome"].to_list() == [1.0, 1.0, None, 0.0]
