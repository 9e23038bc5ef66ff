"""How often drift is found where nothing changes, and from how many rows on where something does: writes docs/drift-quality.md.

    python benchmarks/drift_quality.py                    # an hour of one core and more
    python benchmarks/drift_quality.py --windows 100      # smaller
    python benchmarks/drift_quality.py --sizes 200 1000   # of some sizes only
    python benchmarks/drift_quality.py --print            # print instead of writing

Seeds are fixed, so the same size gives the same figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.random import Generator, default_rng
from scipy import stats

from treadle.monitoring.drift import Asked, Drift, compare
from treadle.monitoring.reference import Reference, build

PAGE = Path(__file__).parents[1] / "docs" / "drift-quality.md"
SIZES = (200, 1_000, 10_000, 100_000, 1_000_000)
#: Rows of the reference; windows of one size are compared with so many references, drawn anew.
REFERENCE, REFERENCES = 1_000_000, 4
RATE = 0.01
#: Share of the windows in which a change is to be found, and windows for each number of rows.
POWER, TRIES = 0.8, 120
#: What others do, as seen with their default settings.
_OTHERS = [
    "Of 1,000 windows, chance alone gives up to 2.0 % where 1 % is true (99.9 %). Most of the 150 tests cannot find anything in a window where nothing is missing or new, and still count in "
    "the correction: that is why rates lie below what is promised.",
    "",
    "Others with their default settings, at 1,000 rows against 100,000, where nothing changes: NannyML, whose thresholds are learnt from ten chunks of another size, alarms on all of 75 columns "
    "(on 3 with chunks of equal size), Evidently on 6 of them, whylogs on 7; single tests at 5 % on 4. Evidently finds neither 5 points more missing values nor a new category in 1 % of the rows "
    "at any number of rows tried, as it does not look for them.",
]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description="Simulate how often drift is found.")
    parser.add_argument("--windows", type=int, default=1_000, help="windows of each size")
    parser.add_argument(
        "--largest",
        type=int,
        help="windows of a million rows, which take a second each; by default as others",
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="rows of a window")
    parser.add_argument(
        "--tries", type=int, default=TRIES, help="windows for each number of rows where something changes"
    )
    parser.add_argument("--reference", type=int, default=REFERENCE, help="rows of the reference")
    parser.add_argument("--print", action="store_true", help="print instead of writing the page")
    chosen = parser.parse_args()
    began = time.process_time()
    lines = [
        *_head(chosen.reference),
        *_false_alarms(chosen.sizes, chosen.windows, chosen.largest or chosen.windows, chosen.reference),
        *_power(chosen.tries, chosen.reference),
        f"\nTook {(time.process_time() - began) / 60:.0f} minutes of CPU.\n",
    ]
    page = "\n".join(lines)
    if chosen.print:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")


def frame(rows: int, random: Generator) -> pl.DataFrame:
    """Return 30 columns of numbers (normal, exponential, counts) and 20 of 4 to 80 categories; some values are missing."""
    columns: dict[str, pl.Series] = {}
    for place in range(20):
        columns[f"normal{place}"] = pl.Series(random.standard_normal(rows))
    for place in range(5):
        columns[f"exponential{place}"] = pl.Series(random.standard_exponential(rows))
        columns[f"count{place}"] = pl.Series(random.poisson(1 + place, rows))
    for place in range(20):
        values = 4 * (place + 1)
        shares = np.cumsum(1 / np.arange(1, values + 1))
        codes = np.searchsorted(shares / shares[-1], random.random(rows)).astype(np.uint32)
        columns[f"category{place}"] = pl.Series([f"v{value}" for value in range(values)])[
            np.minimum(codes, values - 1)
        ]
    made = pl.DataFrame(columns)
    gaps = [
        pl.when(pl.Series(random.random(rows) < 0.05)).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("normal10", "exponential0", "count0", "category10")
    ]
    return made.with_columns(gaps)


def compared(reference: Reference, rows: pl.DataFrame) -> Drift:
    """Compare as `treadle drift` does."""
    return compare(
        reference, {"input": rows}, version="model/1", source="rows", at=NOW, asked=Asked(rate=RATE)
    )


def _head(reference: int) -> list[str]:
    return [
        "# Drift quality",
        "",
        "What a comparison promises is a chance: where nothing changes, any finding comes in at most 1 % of the windows. These are measured rates, "
        f"of windows of 50 columns (20 normal, 5 exponential and 5 of counts; 20 of 4 to 80 categories, four columns with 5 % missing) against a reference of {reference:,} rows, "
        "with fixed seeds; `make simulate` makes this page again. Every window goes through all that `treadle drift` does.",
        "",
    ]


def _false_alarms(sizes: list[int], windows: int, largest: int, reference: int) -> list[str]:
    lines = [
        "## Nothing changes: share of windows with any finding",
        "",
        f"Promised: at most {RATE:.0%}. *By p alone* is what there would be if effects did not count.",
        "",
        "| rows of a window | windows | with a finding | by p alone | tests |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for size in sizes:
        count = largest if size >= 1_000_000 else windows
        found = by_p = tests = 0
        for part in range(REFERENCES):
            random = default_rng([size, part])
            learnt = build({"input": frame(reference, random)})
            for _ in range(count // REFERENCES):
                drift = compared(learnt, frame(size, random))
                found += bool(drift.drifted)
                by_p += min(one.corrected for one in drift.findings) <= RATE
                tests = len(drift.findings)
        done = count // REFERENCES * REFERENCES
        lines.append(f"| {size:,} | {done:,} | {found / done:.2%} | {by_p / done:.2%} | {tests} |")
        print(lines[-1], flush=True)
    return [*lines, "", *_OTHERS, ""]


Change = Callable[[pl.DataFrame, Generator], pl.DataFrame]


def _shifted(by: float) -> Change:
    return lambda rows, _: rows.with_columns(pl.col("normal0") + by)


def _new(rows: pl.DataFrame, random: Generator) -> pl.DataFrame:
    hit = pl.Series(random.random(rows.height) < 0.01)
    return rows.with_columns(pl.when(hit).then(pl.lit("new")).otherwise("category3").alias("category3"))


def _lost(rows: pl.DataFrame, random: Generator) -> pl.DataFrame:
    hit = pl.Series(random.random(rows.height) < 0.05 / 0.95)
    return rows.with_columns(pl.when(hit).then(None).otherwise("normal10").alias("normal10"))


#: What changes → how, the column, and the best exact test of that change alone.
CHANGES: dict[str, tuple[Change, str, str]] = {
    "moved by 0.1 σ": (_shifted(0.1), "normal0", "t"),
    "moved by 0.2 σ": (_shifted(0.2), "normal0", "t"),
    "a new category in 1 % of the rows": (_new, "category3", "new"),
    "missing in 10 % of the rows, before 5 %": (_lost, "normal10", "missing"),
}
#: Rows at which each is tried: about those that are needed, in steps of a tenth.
GRIDS = {
    "moved by 0.1 σ": np.geomspace(1_600, 4_200, 11),
    "moved by 0.2 σ": np.geomspace(400, 1_050, 11),
    "a new category in 1 % of the rows": np.geomspace(120, 640, 11),
    "missing in 10 % of the rows, before 5 %": np.geomspace(280, 1_400, 11),
}


def _power(tries: int, reference: int) -> list[str]:
    lines = [
        f"## Something changes: rows from which it is found in {POWER:.0%} of the windows",
        "",
        "One column of the 50 changes. Beside it the best exact test of just that change (Student's for means; Fisher's for a new value and for missing ones), "
        "which is told the column, at the same correction: p at most 1 % over the number of tests.",
        "",
        "| change | rows, ours | rows, best exact test | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    random = default_rng(99)
    rows = frame(reference, random)
    learnt = build({"input": rows})
    for name, (change, column, test) in CHANGES.items():
        powers: list[tuple[float, float]] = []
        for size in GRIDS[name]:
            ours = best = 0
            for _ in range(tries):
                now = change(frame(int(size), random), random)
                drift = compared(learnt, now)
                ours += column in {one.column for one in drift.drifted}
                best += _exact(test, rows[column], now[column]) <= RATE / len(drift.findings)
            powers.append((ours / tries, best / tries))
        needed = [_rows_at(GRIDS[name], np.array(power)) for power in zip(*powers, strict=True)]
        lines.append(f"| {name} | {needed[0]:,.0f} | {needed[1]:,.0f} | {needed[0] / needed[1]:.2f} |")
        print(lines[-1], flush=True)
    return lines


def _exact(test: str, before: pl.Series, now: pl.Series) -> float:
    if test == "t":
        one, other = now.to_numpy(), before.to_numpy()
        return float(
            stats.ttest_ind_from_stats(
                one.mean(), one.std(ddof=1), len(one), other.mean(), other.std(ddof=1), len(other)
            ).pvalue
        )
    hits = (int((now == "new").sum()), 0) if test == "new" else (now.null_count(), before.null_count())
    table = [[hits[0], len(now) - hits[0]], [hits[1], len(before) - hits[1]]]
    return float(stats.fisher_exact(table).pvalue)


def _rows_at(sizes: np.ndarray, power: np.ndarray) -> float:
    """Return the rows at which a probit line through the powers reaches the wanted one."""
    inside = (power > 0.02) & (power < 0.995)
    if inside.sum() < 2:
        return float(sizes[int(np.argmax(power >= POWER))])
    slope, start = np.polyfit(np.sqrt(sizes[inside]), stats.norm.ppf(power[inside]), 1)
    return float(((stats.norm.ppf(POWER) - start) / slope) ** 2)


if __name__ == "__main__":
    main()
