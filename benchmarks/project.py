"""A small project with real shapes: flights that may be late, made up, and a model of boosted trees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

#: What the installed command does.
TREADLE = [sys.executable, "-c", "from treadle.app.cli.main import main; main()"]
ROW = {"carrier": "UA", "origin": "EWR", "distance": 1400, "hour": 18, "temp": 38.5, "wind": 12.0}

_PROJECT = '''"""Made up flights, and one model."""

from datetime import datetime

import treadle as td


class Flight(td.Contract):
    flight_id: int
    at: datetime
    carrier: str
    origin: str
    distance: int
    hour: int
    temp: float | None
    wind: float | None
    late: bool


flights = td.Dataset(
    "flights",
    source=td.Files("flights.csv"),
    contract=Flight,
    key="flight_id",
    time="at",
    outcome="late",
    split=td.HashSplit(train=0.8, validation=0.1, test=0.1),
)


@td.model(
    data=flights,
    target="late",
    inputs=["carrier", "origin", "distance", "hour", "temp", "wind"],
    task=td.Classification(),
    baselines=[td.baselines.Prior()],
    policy=td.Policy(window=td.Last("365d")),
)
def late(data, params, run):
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = make_column_transformer((words, ["carrier", "origin"]), remainder="passthrough")
    learner = HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=run.seed)
    return make_pipeline(encode, learner).fit(data.train.X, data.train.y)
'''


def make(root: Path, *, rows: int) -> None:
    """Write the project, and turn its loop once: there is a champion that answers."""
    write(root, rows=rows)
    subprocess.run([*TREADLE, "run", "late"], cwd=root, check=True, stdout=subprocess.DEVNULL)


def write(root: Path, *, rows: int) -> None:
    """Write the project, with its rows landed."""
    random = np.random.default_rng(0)
    risk = random.normal(0, 1, rows)
    frame = pl.DataFrame(
        {
            "flight_id": np.arange(rows),
            "at": pl.Series(np.sort(random.integers(0, 90 * 86_400, rows)) * 1_000_000).cast(
                pl.Datetime("us")
            ),
            "carrier": random.choice(["AA", "B6", "DL", "EV", "UA", "US"], rows),
            "origin": random.choice(["EWR", "JFK", "LGA"], rows),
            "distance": random.integers(80, 5000, rows),
            "hour": random.integers(5, 24, rows),
            "temp": (50 + 10 * risk + random.normal(0, 10, rows)).round(1),
            "wind": (12 + 4 * risk + random.normal(0, 5, rows)).round(1),
            "late": risk + random.normal(0, 1, rows) > 1,
        }
    )
    frame.write_csv(root / "flights.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    (root / "treadle.toml").write_text('[project]\nname = "benchmark"\n')
    (root / "project.py").write_text(_PROJECT)
