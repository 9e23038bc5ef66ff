from __future__ import annotations

import math
from datetime import date

import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.core.records import Lookup, from_json, to_json
from treadle.core.signature import Field
from treadle.evaluation import baselines
from treadle.evaluation.baselines.column import Column
from treadle.evaluation.baselines.constant import Constant
from treadle.evaluation.baselines.last_value import LastValue
from treadle.evaluation.baselines.marginals import Marginals
from treadle.evaluation.baselines.mean import Mean
from treadle.evaluation.baselines.prior import Prior
from treadle.evaluation.baselines.quantiles import Quantiles

FLIGHTS = pl.DataFrame(
    {
        "carrier": ["UA"] * 6 + ["AA"] * 2,
        "month": [1, 1, 1, 2, 2, 2, 1, 2],
        "late": [True, True, True, False, False, False, False, False],
        "minutes": [10.0, 20.0, 30.0, 0.0, 0.0, 0.0, 4.0, 8.0],
    }
)


def test_a_prior_is_the_share_of_all_rows():
    found = Prior().fit(FLIGHTS, "late")

    assert found.default == (3 + 1) / (8 + 2)
    assert (found.name, found.by, found.values) == ("prior", (), {})


def test_a_prior_by_a_column_is_drawn_towards_the_share_of_all_rows():
    found = Prior(by="carrier", smoothing=2).fit(FLIGHTS, "late")

    assert found.name == "prior_by_carrier"
    assert found.by == ("carrier",)
    assert found.values == {"UA": pytest.approx((3 + 2 * 0.4) / 8), "AA": pytest.approx((0 + 2 * 0.4) / 4)}


def test_a_prior_is_never_certain():
    found = Prior().fit(FLIGHTS.head(3), "late")

    assert found.default == (3 + 1) / (3 + 2)


CLASSES = Field(name="probabilities", kind="float", columns=("blue", "green", "red"))


def test_a_prior_of_several_classes_is_the_share_of_each():
    frame = pl.DataFrame({"carrier": ["UA", "UA", "UA", "AA", "AA"]})
    y = pl.Series("colour", [0, 0, 1, 1, 1])

    found = Prior(by="carrier", smoothing=2).fit(frame, y, output=CLASSES)

    assert found.columns == ("blue", "green", "red")
    assert found.default == pytest.approx((3 / 8, 4 / 8, 1 / 8))
    assert found.values["UA"] == pytest.approx(((2 + 0.75) / 5, (1 + 1) / 5, 0.25 / 5))
    assert all(sum(shares) == pytest.approx(1) for shares in [found.default, *found.values.values()])
    assert found.predict({"carrier": ["XX"]}, 1) == [found.default]
    assert from_json(to_json(found), Lookup) == found


LEVELS = Field(name="quantiles", kind="float", columns=("0.25", "0.5"))


def test_quantiles_of_each_value_are_drawn_towards_those_of_all_rows():
    frame = pl.DataFrame({"carrier": ["UA"] * 5 + ["AA"], "y": [0.0, 1.0, 2.0, 3.0, 4.0, 100.0]})

    found = Quantiles(by="carrier", smoothing=5).fit(frame, "y", output=LEVELS)

    assert found.default == (1.25, 2.5)
    assert found.values["UA"] == ((5 * 1.0 + 5 * 1.25) / 10, (5 * 2.0 + 5 * 2.5) / 10)
    assert found.columns == ("0.25", "0.5")
    assert Quantiles().fit(frame, "y").default == 2.5


def test_quantiles_are_no_baseline_of_classes():
    with pytest.raises(InvalidInput, match="probabilities are blue, green, red. It is for td.Quantiles"):
        Quantiles().fit(FLIGHTS, "minutes", output=CLASSES)


@pytest.mark.parametrize("baseline", [Mean(), Constant(0.2)])
def test_one_number_cannot_answer_about_several_classes(baseline):
    with pytest.raises(
        InvalidInput, match=r"probabilities are 3: blue, green, red. Of classes, td.baselines.Prior"
    ):
        baseline.fit(FLIGHTS, "minutes", output=CLASSES)


def test_a_prior_refuses_the_place_of_a_class_that_is_not_there():
    with pytest.raises(InvalidInput, match="other values than 0 to 2"):
        Prior().fit(FLIGHTS, "minutes", output=CLASSES)


def test_a_mean_by_two_columns():
    found = Mean(by=["carrier", "month"], smoothing=0).fit(FLIGHTS, "minutes")

    assert found.default == 9.0
    assert found.values == {"UA\x1f1": 20.0, "UA\x1f2": 0.0, "AA\x1f1": 4.0, "AA\x1f2": 8.0}
    assert found.predict({"carrier": ["UA", "XX"], "month": [1, 1]}, 2) == [20.0, 9.0]


def test_values_of_any_type_are_found_again():
    frame = pl.DataFrame(
        {
            "day": [date(2013, 1, 1), None],
            "share": [0.5, 2.0],
            "code": ["a", None],
            "weekend": [True, None],
            "y": [1, 3],
        }
    )
    by = ["day", "share", "code", "weekend"]

    found = Mean(by=by, smoothing=0).fit(frame, "y")

    assert found.predict({name: frame[name].to_list() for name in by}, 2) == [1.0, 3.0]


def test_a_column_may_be_named_like_the_target():
    frame = pl.DataFrame({"y": ["a", "b"], "by 0": [1, 2]})

    assert Mean(by=["y", "by 0"], smoothing=0).fit(frame, pl.Series("t", [5, 7])).values == {
        "a\x1f1": 5.0,
        "b\x1f2": 7.0,
    }


def test_a_constant_learns_nothing():
    assert Constant(0.25).fit(FLIGHTS, "late").default == 0.25


def test_outcomes_may_be_handed_in():
    strings = FLIGHTS.with_columns(pl.Series("late", ["yes"] * 8))

    assert Prior().fit(strings, FLIGHTS["late"]) == Prior().fit(FLIGHTS, "late")


@pytest.mark.parametrize(
    ("baseline", "frame", "target", "text"),
    [
        (Prior(by="carier"), FLIGHTS, "late", "not there: 'carier'.*Did you mean 'carrier'"),
        (Prior(), FLIGHTS, "lat", "no column 'lat'.*Did you mean 'late'"),
        (Prior(), FLIGHTS, "minutes", "other values than 0 and 1"),
        (Prior(), FLIGHTS, "carrier", "'carrier' is String. Expected numbers or booleans"),
        (Prior(), FLIGHTS.head(0), "late", "0 rows"),
        (Mean(), FLIGHTS, pl.Series("t", [1.0]), "8 rows and 1 targets"),
        (
            Mean(),
            FLIGHTS.with_columns(pl.lit(None, pl.Float64).alias("late")),
            "late",
            "without a finite value",
        ),
    ],
)
def test_what_does_not_fit_is_refused(baseline, frame, target, text):
    with pytest.raises(InvalidInput, match=text):
        baseline.fit(frame, target)


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Prior(by=[]),
        lambda: Prior(by=["carrier", "carrier"]),
        lambda: Mean(by=["carrier", 3]),
        lambda: Prior(by=""),
        lambda: Mean(smoothing=-1),
        lambda: Prior(smoothing=float("nan")),
        lambda: Constant(float("inf")),
        lambda: Constant("a"),
    ],
)
def test_what_cannot_hold_is_refused_at_declaration(declare):
    with pytest.raises(InvalidDeclaration):
        declare()


def test_names_tell_baselines_apart():
    declared = [
        Prior(),
        Prior(by="carrier"),
        Prior(by=["carrier", "month"]),
        Mean(),
        Constant(0.25),
        Constant(1),
    ]

    assert len({baseline.name for baseline in declared}) == len(declared)
    assert (
        Prior(by="carrier").spec()
        == Prior(by=["carrier"]).spec()
        == {"baseline": "prior", "by": ["carrier"], "smoothing": 10.0}
    )


def test_the_folder_finds_its_baselines_by_name():
    assert baselines.Prior is Prior
    with pytest.raises(
        AttributeError,
        match="no baseline named 'Last'. Available: column, constant, last_value, marginals, mean, prior",
    ):
        baselines.Last  # noqa: B018 - the lookup itself is tried


def test_a_prior_of_labels_is_the_share_of_each():
    output = Field(name="probabilities", kind="float", columns=("a", "b"), independent=True)
    held = pl.Series("y", [[1, 0], [1, 0], [0, 1], [0, 0]], dtype=pl.Array(pl.Int64, 2))
    frame = pl.DataFrame({"carrier": ["UA", "UA", "AA", "AA"]})

    found = Prior(by="carrier", smoothing=2).fit(frame, held, output=output)

    assert found.default == ((2 + 1) / 6, (1 + 1) / 6)
    assert found.columns == ("a", "b")
    assert found.values["UA"] == pytest.approx(((2 + 2 * 0.5) / 4, (0 + 2 / 3) / 4))
    assert from_json(to_json(found), Lookup) == found
    for wrong in (
        held.head(3),
        pl.Series("y", [0.0, 1.0, 0.0, 1.0]),
        pl.Series("y", [[2, 0]] * 4, dtype=held.dtype),
    ):
        with pytest.raises(InvalidInput, match="0 or 1 for each of 2 labels"):
            Prior().fit(frame, wrong, output=output)


STEPS = Field(name="forecast", kind="float", columns=("1", "2", "3"))
PAST = pl.DataFrame({"sold": [5.0, 6.0], "sold_lag_1": [4.0, None], "sold_lag_2": [3.0, 4.0]})
LATER = pl.Series("y", [[6.0, 7.0, 8.0], [7.0, 8.0, 10.0]], dtype=pl.Array(pl.Float64, 3))


@pytest.mark.parametrize(
    ("season", "copied", "first"),
    [
        (None, ("sold", "sold", "sold"), (5.0, 5.0, 5.0)),
        (1, ("sold", "sold", "sold"), (5.0, 5.0, 5.0)),
        (2, ("sold_lag_1", "sold", "sold_lag_1"), (4.0, 5.0, 4.0)),
        (3, ("sold_lag_2", "sold_lag_1", "sold"), (3.0, 4.0, 5.0)),
    ],
)
def test_the_last_value_is_the_newest_of_the_season(season, copied, first):
    found = LastValue("sold", season=season).fit(PAST, LATER, output=STEPS)

    assert found.copied == copied
    assert found.predict({name: PAST[name].to_list() for name in found.by}, 2)[0] == first
    assert from_json(to_json(found), Lookup) == found


def test_a_value_that_is_missing_is_the_mean_of_training():
    found = LastValue("sold", season=3).fit(PAST, LATER, output=STEPS)
    rows = {"sold": [1.0, float("nan")], "sold_lag_1": [None, 2], "sold_lag_2": ["3.5", None]}

    assert found.default == (6.5, 7.5, 9.0)
    assert found.predict(rows, 2) == [(3.5, 7.5, 1.0), (6.5, 2.0, 9.0)]


@pytest.mark.parametrize(
    ("given", "target", "output", "said"),
    [
        (LastValue("sale"), LATER, STEPS, "needs the column 'sale'. .*sold"),
        (LastValue("sold", season=9), LATER, STEPS, "needs the column 'sold_lag_8'"),
        (LastValue("sold", season=7), pl.Series([1.0, 2.0]), None, "is for td.Forecast"),
        (LastValue("sold"), LATER.head(1), STEPS, "2 rows"),
        (LastValue("sold"), pl.Series([1.0, 2.0]), STEPS, "1 numbers a row. Expected 3"),
        (
            LastValue("sold"),
            LATER,
            Field(name="probabilities", kind="float", columns=("a", "b", "c")),
            "td.Forecast",
        ),
    ],
)
def test_what_has_no_last_value_is_refused(given, target, output, said):
    with pytest.raises(InvalidInput, match=said):
        given.fit(PAST, target, output=output)


@pytest.mark.parametrize(
    "arguments", [{"column": ""}, {"column": 3}, {"column": "a", "season": 0}, {"column": "a", "season": 1.0}]
)
def test_a_last_value_is_of_a_column_and_whole_steps(arguments):
    with pytest.raises(InvalidDeclaration, match="LastValue"):
        LastValue(**arguments)


def test_a_column_says_what_it_holds_and_its_mean_where_it_holds_nothing():
    frame = pl.DataFrame({"price": [1.0, None, 3.0]})

    found = Column("price", least_first=True).fit(frame, pl.Series([0, 1, 0]))

    assert found.predict({"price": [4.0, None, "7.5", "dear", float("inf")]}, 5) == [
        -4.0,
        -2.0,
        -7.5,
        -2.0,
        -2.0,
    ]
    with pytest.raises(InvalidInput, match="'carrier' is String. Expected numbers"):
        Column("carrier").fit(pl.DataFrame({"carrier": ["UA"]}), pl.Series([0]))
    with pytest.raises(InvalidDeclaration, match=r"Column\(''\)"):
        Column("")


def test_marginals_are_the_density_of_independent_inputs():
    frame = pl.DataFrame({"a": [0.0, 2.0, 4.0], "b": [True, False, None]})

    found = Marginals().fit(frame, pl.Series([0.0, 0.0, 0.0]))

    assert found.normal["a"] == pytest.approx((2.0, (8 / 3) ** 0.5))
    alone = found.predict({"a": [2.0], "b": [None]}, 1)[0]
    assert alone == pytest.approx(-0.5 * math.log(2 * math.pi * 8 / 3))
    for wrong, text in (({"a": ["x"]}, "'a' is String"), ({"a": [1.0, 1.0]}, "two different values")):
        with pytest.raises(InvalidInput, match=text):
            Marginals().fit(pl.DataFrame(wrong), pl.Series([0.0]))
