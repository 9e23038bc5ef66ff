"""What every gate must do: be plain values when declared, and rule for the better and against the worse."""

from __future__ import annotations

import numpy as np
from numpy.random import default_rng

from treadle.core import plugins
from treadle.core.ids import canonical
from treadle.evaluation.arrays import Floats
from treadle.evaluation.gate import CANDIDATE, CHAMPION, Case, Gate
from treadle.evaluation.snapshots import Snapshot

_ROWS = 2_000


def check_declaration_is_plain(gate: Gate) -> None:
    """The declaration is plain values, and says which gate it is."""
    assert canonical(gate.spec())
    assert gate.spec()["gate"] == gate.name


def check_much_better_passes(gate: Gate) -> None:
    """A candidate that is better by far passes, in both directions of metric."""
    for metric in ("log_loss", "roc_auc"):
        good, bad = _predictions()

        rulings = gate.judge(_case(good, bad, metric=metric))

        assert rulings
        assert all(ruling.passed for ruling in rulings), [ruling.reason for ruling in rulings]


def check_much_worse_does_not_pass(gate: Gate) -> None:
    """A candidate that is worse by far does not pass, in both directions of metric."""
    for metric in ("log_loss", "roc_auc"):
        good, bad = _predictions()

        rulings = gate.judge(_case(bad, good, metric=metric))

        assert not all(ruling.passed for ruling in rulings), [ruling.reason for ruling in rulings]


def check_few_rows_do_not_pass(gate: Gate) -> None:
    """On three rows nobody passes, however good."""
    good, bad = _predictions()

    rulings = gate.judge(_case(good[:3], bad[:3], metric="log_loss"))

    assert not all(ruling.passed for ruling in rulings)


def check_rulings_have_reasons_and_grounds(gate: Gate) -> None:
    """A ruling is a sentence, with the metric, the number of rows, and the interval that decided."""
    good, bad = _predictions()

    for ruling in gate.judge(_case(good, bad, metric="log_loss")):
        assert ruling.reason.endswith((".", "passed."))
        assert ruling.n == _ROWS
        assert ruling.metric in plugins.available("metric")
        assert ruling.method in plugins.available("method")
        assert ruling.low is not None
        assert ruling.high is not None
        assert ruling.low <= ruling.high


def check_judging_is_deterministic(gate: Gate) -> None:
    """The same case gives the same rulings."""
    good, bad = _predictions()

    first, second = (gate.judge(_case(good, bad, metric="log_loss")) for _ in range(2))

    assert first == second


def _outcomes() -> Floats:
    return np.asarray(np.arange(_ROWS) % 3 == 0, dtype=np.float64)


def _predictions() -> tuple[Floats, Floats]:
    random = default_rng(7)
    good = np.clip(0.15 + 0.7 * _outcomes() + random.normal(0, 0.1, _ROWS), 0.01, 0.99)
    return good, random.uniform(0.05, 0.95, _ROWS)


def _case(candidate: Floats, reference: Floats, *, metric: str) -> Case:
    y = _outcomes()[: len(candidate)]
    snapshot = Snapshot(dataset="flights", version=1, rows="sha256:0", y=y)
    predictions = {CANDIDATE: candidate, CHAMPION: reference, "baseline:prior": reference}
    return Case(snapshot=snapshot, predictions=predictions, task="classification", metric=metric)


CHECKS = (
    check_declaration_is_plain,
    check_much_better_passes,
    check_much_worse_does_not_pass,
    check_few_rows_do_not_pass,
    check_rulings_have_reasons_and_grounds,
    check_judging_is_deterministic,
)
