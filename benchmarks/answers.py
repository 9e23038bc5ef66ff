"""The logs, the questions and the bare queries of the benchmarks of performance; as a command: what one look at all of it took.

python benchmarks/answers.py ours|floor project           # CPU seconds, and GB at the peak, of the whole process
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl
from numpy.random import Generator, default_rng
from sqlalchemy import insert, select

import project
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.records import ModelVersion, from_json, to_json
from treadle.serving.batch import logged
from treadle.serving.frames import OUTCOMES, PREDICTIONS
from treadle.store.ledger import tables as t

ENDPOINT, BY, METRIC = "late", "carrier", "log_loss"
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
DAYS, VERSIONS, SLICES = 30, 3, 10
#: Deliveries of a day: servers ship often, and files are joined later.
SHIPPED = 4
#: Days between a prediction and its outcome, on average.
DELAY = 2.0
_DIGITS = np.array(list("0123456789abcdefghjkmnpqrstvwxyz"), dtype="S1")


@dataclass
class Logs:
    """A project with logs of predictions and of outcomes, which it may get more of."""

    root: Path
    workspace: Workspace
    random: Generator = field(default_factory=lambda: default_rng(7))
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    #: Outcomes that did not come yet.
    waiting: pl.DataFrame | None = None

    def ship(self, kind: str, frame: pl.DataFrame) -> None:
        """Deliver rows as servers do."""
        table = f"{kind}/{ENDPOINT}"
        logged.deliver(self.workspace.tables, table, frame, sender=kind, number=next(self.numbers))

    def day(self, number: int, rows: int) -> None:
        """Let a day go by: so many predictions, and the outcomes that come on it."""
        for part in range(SHIPPED):
            begin = BEGIN + timedelta(days=number + part / SHIPPED)
            answers, truths = self._answers(begin, rows // SHIPPED)
            self.ship("predictions", answers)
            self.waiting = truths if self.waiting is None else pl.concat([self.waiting, truths])
            came = pl.col("at") < begin + timedelta(days=1 / SHIPPED)
            self.ship("outcomes", self.waiting.filter(came).sort("at"))
            self.waiting = self.waiting.filter(~came)

    def rest(self) -> None:
        """Let all outcomes that are still to come arrive."""
        assert self.waiting is not None
        for part in self.waiting.sort("at").iter_slices(250_000):
            self.ship("outcomes", part)
        self.waiting = None

    def ask(self) -> pl.DataFrame:
        """Ask for log loss by day, version and ten slices."""
        return self.workspace.performance(ENDPOINT, metric=METRIC, every="1d", by=(BY,))

    def forget(self) -> None:
        """Let nothing be kept of earlier looks."""
        with self.workspace.ledger.write() as connection:
            connection.execute(t.performance_parts.delete())
            connection.execute(t.performance_views.delete())

    def close(self) -> None:
        """Close the project."""
        self.workspace.close()

    def _answers(self, begin: datetime, rows: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        random, first = self.random, t.micros(begin)
        at = np.sort(first + random.integers(0, 86_400_000_000 // SHIPPED, rows))
        chance, moment = (
            random.random(rows),
            pl.Series(at).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        )
        version = pl.Series(random.integers(1, VERSIONS + 1, rows))
        request = pl.Series(_ids(at, random))
        parts = (pl.Series(random.integers(0, SLICES, rows)), pl.Series(random.integers(80, 2_500, rows)))
        inputs = pl.select(
            pl.concat_str(
                pl.lit('{"carrier":"C'), parts[0], pl.lit('","distance":'), parts[1], pl.lit(',"hour":18}')
            )
        ).to_series()
        told = {
            "prediction_id": request + "-0",
            "request_id": request,
            "version": version,
            "revision": version,
            "at": moment,
            "inputs": inputs,
            "prediction": pl.Series(chance > 0.5).cast(pl.Float64),
            "probability": pl.Series(chance),
            "confidence": pl.Series(np.maximum(chance, 1 - chance)),
        }
        same = {
            "row": 0,
            "endpoint": ENDPOINT,
            "model": ENDPOINT,
            "variant": "champion",
            "assignment": "weights",
            "subject": None,
            "key": None,
            "latency": 0.002,
            "outputs": None,
            "propensity": 1.0,
            "shadow": False,
            "sampled": 1.0,
            "decision": None,
        }
        frame = pl.DataFrame(told).with_columns(pl.lit(value).alias(name) for name, value in same.items())
        late = (random.exponential(DELAY * 86_400e6, rows)).astype(np.int64)
        truth = {
            "outcome_id": frame["prediction_id"],
            "prediction_id": frame["prediction_id"],
            "value": pl.Series(random.random(rows) < chance).cast(pl.Float64),
            "at": pl.Series(at + late).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        }
        none = {"endpoint": ENDPOINT, "key": None, "text": None}
        truths = pl.DataFrame(truth).with_columns(pl.lit(value).alias(name) for name, value in none.items())
        return _typed(frame, PREDICTIONS), _typed(truths, OUTCOMES)


def make(folder: Path, *, rows: int, days: int = DAYS) -> Logs:
    """Make a project whose logs hold so many predictions, each with its outcome."""
    project.make(folder, rows=2_000)
    logs = Logs(folder, open_workspace(folder))
    with logs.workspace.ledger.write() as connection:
        (row,) = connection.execute(select(t.model_versions)).mappings().all()
        version = from_json(row["body"], ModelVersion)
        for number in range(2, VERSIONS + 1):
            body = to_json(version).replace('"version":1', f'"version":{number}', 1)
            connection.execute(
                insert(t.model_versions),
                [{**row, "version": number, "run": f"{row['run']}-{number}", "body": body}],
            )
    for day in range(days):
        logs.day(day, rows // days)
    return logs


def bare(root: Path) -> int:
    """Ask DuckDB the same: a join by id, log loss and its spread by day, version and slice; the last outcome of several is not looked for."""
    import duckdb

    tables = root / ".treadle" / "tables"
    connection = duckdb.connect()
    connection.execute("SET preserve_insertion_order = false")
    found = connection.execute(
        f"""
        SELECT epoch_us("at") // 86400000000, version, json_extract_string(inputs, '$.{BY}'), count(*), count(loss), avg(loss), stddev_samp(loss)
        FROM (
            SELECT p."at", p.version, p.inputs,
                CASE WHEN o.value = 1 THEN -ln(p.probability) WHEN o.value = 0 THEN -ln(1 - p.probability) END AS loss
            FROM read_parquet('{tables}/predictions/{ENDPOINT}/*.parquet') p
            LEFT JOIN read_parquet('{tables}/outcomes/{ENDPOINT}/*.parquet') o USING (prediction_id)
        ) GROUP BY ALL
        """
    ).fetchall()
    return len(found)


def _ids(at: np.ndarray, random: Generator) -> np.ndarray:
    """Return ids that rise with time, as servers give them: ten characters of milliseconds and sixteen of chance."""
    made = np.empty((len(at), 26), dtype="S1")
    for place in range(10):
        made[:, 9 - place] = _DIGITS[(at // 1000 >> (5 * place)) & 31]
    made[:, 10:] = _DIGITS[random.integers(0, 32, (len(at), 16))]
    return made.view("S26").ravel().astype(str)


def _typed(frame: pl.DataFrame, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(kind) for name, kind in columns.items())


if __name__ == "__main__":
    if sys.argv[1] == "floor":
        bare(Path(sys.argv[2]))
    else:
        logs = Logs(Path(sys.argv[2]), open_workspace(Path(sys.argv[2])))
        logs.forget()
        logs.ask()
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1e6
    print(time.process_time(), peak)
