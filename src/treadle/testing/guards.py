"""What every guard must do: be plain values when declared, roll back what is much worse, and leave alone what is alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.random import Generator, default_rng

from treadle.core.ids import canonical
from treadle.core.rollout import Stage
from treadle.serving.guard import CHALLENGER, PRIMARY, Case, Guard, made
from treadle.serving.tallies import Tally

_SHARE = 0.25
_MANY = 6_000


@dataclass(frozen=True)
class Rows:
    """A log in memory: subjects that one of the two sides answered, with outcomes."""

    frame: pl.DataFrame

    def answers(self) -> pl.DataFrame:
        """Return the answers."""
        return self.frame

    def known(self) -> pl.DataFrame:
        """Return the answers with their outcomes."""
        return self.frame

    def losses(self, metric: str) -> tuple[str, pl.DataFrame]:
        """Return squared errors."""
        square = (pl.col("answer") - pl.col("outcome")) ** 2
        return metric or "brier", self.frame.with_columns(square.alias("loss"))


def check_declaration_is_plain_and_can_be_read_again(guard: Guard) -> None:
    """The declaration is plain values, says which guard it is, and makes the same one again."""
    assert canonical(guard.spec())
    assert guard.spec()["guard"] == guard.name
    assert made(guard.spec()) == guard
    assert guard.needs in {"tallies", "log"}


def check_much_worse_is_rolled_back(guard: Guard) -> None:
    """A challenger that fails, is slow, answers otherwise, is wrong and earns less is bad, and the reason says why."""
    verdict = guard.judge(case(_MANY, worse=True))

    assert (verdict.guard, verdict.status) == (guard.name, "bad"), verdict.reason
    assert verdict.reason.endswith(".")


def check_alike_goes_on(guard: Guard) -> None:
    """A challenger that is the same is fine, however often it is looked at."""
    for seed in range(40):
        for rows in (1_000, 2_000, 4_000, _MANY):
            verdict = guard.judge(case(rows, seed=seed))

            assert verdict.status != "bad", verdict.reason
    assert guard.judge(case(_MANY)).status == "fine"


def check_nothing_decides_nothing(guard: Guard) -> None:
    """Before there is anything, and on three requests that went badly, a guard waits."""
    for rows in (0, 12):
        assert guard.judge(case(rows, worse=True)).status == "waiting"


def check_a_shadow_is_judged_without_error(guard: Guard) -> None:
    """Beside the answer, too, a guard says something."""
    verdict = guard.judge(case(_MANY, stage=Stage(shadow=1.0, bake=0, requests=0)))

    assert verdict.status in {"fine", "waiting"}


def check_judging_is_deterministic(guard: Guard) -> None:
    """The same case gives the same verdict."""
    assert guard.judge(case(_MANY, worse=True)) == guard.judge(case(_MANY, worse=True))


#: All checks.
CHECKS: tuple[Callable[[Guard], None], ...] = (
    check_declaration_is_plain_and_can_be_read_again,
    check_much_worse_is_rolled_back,
    check_alike_goes_on,
    check_nothing_decides_nothing,
    check_a_shadow_is_judged_without_error,
    check_judging_is_deterministic,
)


def case(rows: int, *, worse: bool = False, seed: int = 7, stage: Stage | None = None) -> Case:
    """Return so many requests, of which a quarter went to a challenger that is the same, or worse in every way."""
    random = default_rng(seed)
    challenger = random.random(rows) < _SHARE
    stage = stage or Stage(share=_SHARE, bake=0, requests=0)
    beside = stage.shadow > 0 and not stage.share
    ours = int(challenger.sum())
    return Case(
        stage=stage,
        primary=_tally(rows - ours, random, failing=0.002, slower=1.0),
        challenger=_tally(ours, random, failing=0.3 if worse else 0.002, slower=4.0 if worse else 1.0),
        logged=Rows(_frame(challenger, random, worse=worse, beside=beside)),
    )


def _tally(n: int, random: Generator, *, failing: float, slower: float) -> Tally:
    tally = Tally()
    for fails, seconds in zip(random.random(n) < failing, random.lognormal(-6, 0.5, n), strict=True):
        if fails:
            tally.missed()
        else:
            tally.answered(float(seconds) * slower)
    return tally


def _frame(challenger: np.ndarray, random: Generator, *, worse: bool, beside: bool) -> pl.DataFrame:
    n = len(challenger)
    bad = challenger & worse
    chance = random.beta(2, 2, n)
    outcome = (random.random(n) < chance).astype(float)
    answer = np.where(bad, random.beta(8, 1, n), chance)
    return pl.DataFrame(
        {
            "arm": np.where(challenger, CHALLENGER, PRIMARY),
            "unit": [f"user-{i}" for i in range(n)],
            "request_id": [f"request-{i}" for i in range(n)],
            "row": np.zeros(n, dtype=np.int64),
            "revision": np.full(n, 2),
            "propensity": np.where(challenger, _SHARE, 1 - _SHARE),
            "shadow": challenger & beside,
            "inputs": [f'{{"distance":{value}}}' for value in random.integers(0, 3_000, n)],
            "outputs": pl.Series([None] * n, dtype=pl.String),
            "prediction": (answer > 0.5).astype(float),
            "probability": answer,
            "answer": answer,
            "outcome": np.where(bad, 0.1 * outcome, outcome),
        }
    )
