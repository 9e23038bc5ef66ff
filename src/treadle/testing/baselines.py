"""What every baseline must do: be plain values when declared, and a lookup that answers anybody when fitted."""

from __future__ import annotations

import math

import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.core.ids import canonical
from treadle.core.records import Lookup, from_json, to_json
from treadle.evaluation.baseline import Baseline

_FRAME = pl.DataFrame(
    {
        "carrier": ["UA", "UA", "AA", None],
        "late": [True, False, True, False],
        "share": [0.5, 0.25, 0.0, 1.0],
    }
)


def check_declaration_is_plain(baseline: Baseline) -> None:
    """The declaration is plain values, and says which baseline it is."""
    assert canonical(baseline.spec())
    assert baseline.name.startswith(baseline.spec()["baseline"])


def check_fits_to_a_lookup(baseline: Baseline) -> None:
    """A fitted baseline bears its name, and is the same after it was stored and read."""
    found = baseline.fit(_rows(baseline), "late")

    assert found.name == baseline.name
    assert from_json(to_json(found), Lookup) == found


def check_fitting_is_deterministic(baseline: Baseline) -> None:
    """The same rows give the same lookup."""
    rows = _rows(baseline)
    target = "late" if _is_of_inputs(baseline) else _FRAME["late"]

    assert baseline.fit(rows, "late") == baseline.fit(rows.clone(), target)


def check_answers_everybody(baseline: Baseline) -> None:
    """Each row gets a finite number, also one whose values are missing or were never seen."""
    rows = pl.DataFrame({"carrier": ["AA", None, "never seen"], "share": [0.5, None, float("nan")]})
    found = baseline.fit(_rows(baseline), "late")

    answers = found.predict({name: rows[name].to_list() for name in found.by}, rows.height)

    assert len(answers) == rows.height
    assert all(isinstance(answer, float) and math.isfinite(answer) for answer in answers)
    assert _is_of_inputs(baseline) or all(
        isinstance(answer, float) and 0 <= answer <= 1 for answer in answers
    )


def check_what_is_learnt_needs_rows_and_outcomes(baseline: Baseline) -> None:
    """A baseline that learns from rows refuses no rows, unknown outcomes and a column that is not there."""
    if _learns_nothing(baseline):
        return
    unknown = _FRAME.with_columns(pl.lit(None, pl.Boolean).alias("late"))
    for frame, target in ((_FRAME.head(0), "late"), (unknown, "late"), (_FRAME, "later")):
        with pytest.raises(InvalidInput):
            baseline.fit(frame, target)


def _learns_nothing(baseline: Baseline) -> bool:
    turned = _rows(baseline).with_columns(pl.lit(value=True).alias("late"))
    return baseline.fit(_rows(baseline), "late") == baseline.fit(turned, "late")


def _rows(baseline: Baseline) -> pl.DataFrame:
    """Return the rows that a baseline is fitted to: one of the inputs gets numbers only."""
    return _FRAME.drop("carrier") if _is_of_inputs(baseline) else _FRAME


def _is_of_inputs(baseline: Baseline) -> bool:
    return bool(getattr(baseline, "of_inputs", False))


CHECKS = (
    check_declaration_is_plain,
    check_fits_to_a_lookup,
    check_fitting_is_deterministic,
    check_answers_everybody,
    check_what_is_learnt_needs_rows_and_outcomes,
)
