"""How often gates decide wrongly, and how often rightly: simulates at full size and writes docs/decision-quality.md.

    python benchmarks/decision_quality.py                  # about 20 minutes of one core
    python benchmarks/decision_quality.py --repeats 400    # smaller
    python benchmarks/decision_quality.py --print          # print instead of writing
    python benchmarks/decision_quality.py --only ndcg map  # print the rows of some metrics

Seeds are fixed, so the same size gives the same figures.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from treadle.core import plugins
from treadle.evaluation.gates.beats import Beats
from treadle.evaluation.measures import Measure, metric
from treadle.evaluation.pair import Pair
from treadle.testing import decisions
from treadle.testing.populations import Population, grouped, measured, populations_of

PAGE = Path(__file__).parents[1] / "docs" / "decision-quality.md"
ALPHA = 0.05
EQUAL = (200, 1_000, 10_000, 100_000, 1_000_000)
MARGIN = (200, 1_000, 1_000_000)
#: Rows, and share of the power simulation's draws, which asks slow references too.
POWER_ROWS, POWER_SHARE = 500, 0.125


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description="Simulate how often gates decide wrongly.")
    parser.add_argument("--repeats", type=int, default=2_000, help="draws of each kind")
    parser.add_argument("--print", action="store_true", help="print instead of writing the page")
    parser.add_argument(
        "--only", nargs="+", metavar="METRIC", help="print the rows of these metrics, and no others"
    )
    chosen = parser.parse_args()
    began = time.process_time()
    page = _page(chosen.repeats, chosen.only)
    page += f"\nTook {(time.process_time() - began) / 60:.0f} minutes of CPU.\n"
    if chosen.print or chosen.only:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")


def _page(repeats: int, only: Sequence[str] | None) -> str:
    names = [name for name in plugins.available("metric") if not only or name in only]
    return "\n".join(
        [
            "# Decision quality",
            "",
            "What a gate promises is a chance: a candidate that is no better passes `Beats`, and one that is worse by the "
            "whole margin passes `NoWorse`, with a chance of alpha / 2 at most. These are measured rates, from populations "
            "in which the truth is known, with fixed seeds; `make simulate` makes this page again.",
            "",
            f"At alpha = {ALPHA:g} the promised rate is {100 * ALPHA / 2:g} %. Of {repeats:,} draws, chance alone gives up to "
            f"{100 * _most(ALPHA / 2, repeats):.1f} % (99.9 %). Rates above that are in bold.",
            "",
            *_equal(repeats, names),
            *_margins(repeats, names),
            *([] if only else _tied(repeats)),
            *_power(max(200, int(repeats * POWER_SHARE)), names),
        ]
    )


def _equal(repeats: int, names: Sequence[str]) -> list[str]:
    """Return the table of candidates that are truly equal."""
    lines = [
        "## Truly equal: how often `Beats` promotes, in %",
        "",
        "Each row of the population is there twice, with the two predictors swapped: they are equal by every metric. Up to "
        "1,000 rows are drawn one by one, more as how often each row came.",
        "",
        _header("metric", *(f"n = {n:,}" for n in EQUAL), "median width"),
    ]
    for name in names:
        for task in metric(name).tasks:
            measure = measured(name, task=task)
            found = [
                decisions.equal_promoted(measure, n=n, repeats=repeats, alpha=ALPHA, task=task) for n in EQUAL
            ]
            told = f"`{name}`" if task == measure.tasks[0] else f"`{name}`, {task}"
            lines.append(_line(told, *(_rate(one) for one in found), _width(measure, task)))
            _say(lines[-1])
    return [
        *lines,
        "",
        "The last column is the width of the interval at n = 200, as a multiple of the plain Student interval: what "
        "holding alpha costs there.",
        "",
    ]


def _margins(repeats: int, names: Sequence[str]) -> list[str]:
    """Return the table of candidates that lie on the margin."""
    kinds = [(population, gate) for population in ("rare", "unlike") for gate in ("beats", "no_worse")]
    lines = [
        "## Exactly at the margin: how often a gate promotes, in %",
        "",
        "The candidate is better by exactly the margin that `Beats` asks, or worse by exactly what `NoWorse` accepts, in two "
        "populations that make intervals too narrow. `rare`: one row in ten is positive, or errors have heavy tails. "
        "`unlike`: a predictor that is too sure of itself beside a noisy one, or errors that grow with the target. In "
        "brackets, draws on which fewer than 30 rows decide the metric: nothing is promoted there.",
        "",
        _header("metric", *(f"{p}, {g}, n = {n:,}" for p, g in kinds for n in MARGIN)),
    ]
    for name in names:
        found = [
            decisions.at_margin_promoted(
                measured(name), population=p, gate=g, n=n, repeats=repeats, alpha=ALPHA
            )
            for p, g in kinds
            for n in MARGIN
        ]
        lines.append(_line(f"`{name}`", *(_rate(one) for one in found)))
        _say(lines[-1])
    return [*lines, ""]


def _tied(repeats: int) -> list[str]:
    """Return the tables of rows that are not independent."""
    truth = grouped(np.random.default_rng(0))
    lines = [
        "## Rows that are tied, in %",
        "",
        "Equal predictors on groups of 1 to 20 rows, of which each is right or wrong about all at once; and equal forecasts h "
        "moments ahead, whose errors overlap. Beside them the rate if rows are taken to be independent.",
        "",
        _header("rows", "promoted", "as if independent"),
    ]
    for name in ("log_loss", "roc_auc", "f1"):
        for groups in (40, 200):
            found = decisions.count(Beats("champion"), measured(name), truth, n=groups, repeats=repeats)
            naive = _as_if_independent(measured(name), truth, groups, repeats // 4)
            lines.append(_line(f"`{name}`, {groups} groups", _rate(found), f"{100 * naive:.1f}"))
            _say(lines[-1])
    for horizon, moments in ((1, 200), (4, 200), (12, 200), (24, 1_000)):
        found, of = decisions.forecasts_promoted(moments=moments, horizon=horizon, repeats=repeats)
        naive, among = decisions.forecasts_promoted(
            moments=moments, horizon=horizon, repeats=repeats, method="influence"
        )
        told = f"forecasts {horizon} ahead, {moments:,} moments"
        lines.append(_line(told, _bold(found / of, of), f"{100 * naive / among:.1f}"))
        _say(lines[-1])
    return [*lines, ""]


def _power(repeats: int, names: Sequence[str]) -> list[str]:
    """Return the table of power, beside references on the same draws."""
    lines = [
        f"## Truly better: how often it is found, n = {POWER_ROWS:,}, in %",
        "",
        f"Of {repeats:,} draws in which the first predictor is better by the effect that is stated. Beside `Beats`, on the same "
        "draws: SciPy's paired t-test for metrics that are means, SciPy's exact binomial test of the rows on which the two "
        "differ for accuracy, and for all others SciPy's t-test of jackknife pseudo-values. The same candidate against itself "
        "was promoted in none of the draws. `calibration_error` pays for holding alpha: noise raises it by an amount that the rows "
        "do not tell, so use `brier` or `log_loss` to decide.",
        "",
        _header("metric", "effect", "`Beats`", "reference", "reference's test"),
    ]
    for name in names:
        lines.append(_power_of(measured(name), repeats))
        _say(lines[-1])
    return [*lines, ""]


def _power_of(measure: Measure, repeats: int) -> str:
    truth = _better(measure)
    better, worse = truth.values(measure)
    name, test = _reference(measure)
    random, found, theirs, itself = np.random.default_rng(11), 0, 0, 0
    for _ in range(repeats):
        pair = decisions.drawn(truth, measure, n=POWER_ROWS, random=random)
        found += bool(decisions.decided(Beats("champion", alpha=ALPHA), pair))
        theirs += test(pair) < ALPHA / 2
        same = Pair(measure=measure, y=pair.y, first=pair.first, second=pair.first.copy())
        itself += bool(decisions.decided(Beats("champion", alpha=ALPHA), same))
    assert itself == 0
    return _line(
        f"`{measure.name}`",
        f"{abs(better - worse):.3g}",
        _percent(found / repeats),
        _percent(theirs / repeats),
        name,
    )


def _better(measure: Measure) -> Population:
    """Return a population in which the first is better."""
    return populations_of(measure)["better"].ordered(measure)


def _reference(measure: Measure) -> tuple[str, Callable[[Pair], float]]:
    sign = 1.0 if measure.greater_is_better else -1.0
    if measure.name == "accuracy":
        return "binomial", _binomial
    if "ranking" in measure.tasks:
        return "t over queries", lambda pair: _t(sign * (pair.difference + _units(pair)))
    if measure.per_row is not None:
        return "paired t", lambda pair: _t(sign * _rows(pair))
    return "t of pseudo-values", lambda pair: _t(
        sign * (_pseudo(pair, pair.first) - _pseudo(pair, pair.second))
    )


def _units(pair: Pair) -> np.ndarray:
    """Return how far each independent unit moves the estimate: each row, or each query as often as it was drawn."""
    assert pair.influence is not None
    if pair.codes is None or pair.of_groups is None:
        return pair.influence
    sums = np.bincount(pair.codes, weights=pair.influence) * (pair.units / pair.n)
    return np.repeat(sums, pair.of_groups.astype(int))


def _rows(pair: Pair) -> np.ndarray:
    per_row = pair.measure.per_row
    assert per_row is not None
    return per_row(pair.y, pair.first) - per_row(pair.y, pair.second)


def _t(gains: np.ndarray) -> float:
    return float(stats.ttest_1samp(gains, 0, alternative="greater").pvalue)


def _binomial(pair: Pair) -> float:
    differs = _rows(pair)
    only = int((differs > 0).sum()), int((differs < 0).sum())
    return float(stats.binomtest(only[0], sum(only), alternative="greater").pvalue) if sum(only) else 1.0


def _pseudo(pair: Pair, p: np.ndarray) -> np.ndarray:
    """Return the jackknife's pseudo-values: n times the metric, less n - 1 times that without the row."""
    value, n = pair.measure.prepare(pair.y, p), len(pair.y)
    weight = np.ones(n)
    whole, without = value(weight), np.empty(n)
    for row in range(n):
        weight[row] = 0
        without[row] = value(weight)
        weight[row] = 1
    return n * whole - (n - 1) * without


def _as_if_independent(measure: Measure, truth: Population, groups: int, repeats: int) -> float:
    random, promoted = np.random.default_rng(3), 0
    for _ in range(repeats):
        pair = decisions.drawn(truth, measure, n=groups, random=random)
        alone = Pair(measure=measure, y=pair.y, first=pair.first, second=pair.second)
        promoted += bool(decisions.decided(Beats("champion", alpha=ALPHA), alone))
    return promoted / repeats


def _width(measure: Measure, task: str) -> str:
    """Return the interval's width at 200 rows as a multiple of Student's."""
    truth, random, ratios = populations_of(measure, task=task)["twins"], np.random.default_rng(2), []
    for _ in range(200):
        pair = decisions.drawn(truth, measure, n=200, random=random)
        found = decisions.interval(pair, alpha=ALPHA)
        if pair.influence is not None and found.is_defined:
            plain = stats.t.ppf(1 - ALPHA / 2, 199) * _units(pair).std(ddof=1) / math.sqrt(200)
            ratios.append((found.high - found.low) / (2 * plain))
    return f"{np.median(ratios):.2f}" if ratios else "-"


def _rate(found: decisions.Outcome) -> str:
    refused = f" ({100 * found.refused / found.repeats:.0f})" if found.refused else ""
    return _bold(found.rate, found.repeats) + refused


def _bold(rate: float, repeats: int) -> str:
    text = f"{100 * rate:.1f}"
    return f"**{text}**" if rate > _most(ALPHA / 2, repeats) else text


def _most(share: float, repeats: int) -> float:
    return float(stats.binom.ppf(0.999, repeats, share)) / repeats


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _header(*names: str) -> str:
    return f"{_line(*names)}\n|{' --- |' * len(names)}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
