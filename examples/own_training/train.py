"""Your own training, with Treadle for nothing but the data: versions, a split that holds, features as of each row's time.

    python examples/own_training/train.py                  January, then February lands

What it prints of the second month shows what the data rooms are for: the test rows of January are test rows still, new ones
came beside them, and both models are scored on the same rows.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

import treadle as td

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "flights"))

from land import Landing  # noqa: E402 - the flights example lands the files

WORDS = ["carrier", "origin", "dest"]
NUMBERS = ["distance", "hour", "weekday", "temp", "wind_speed", "visib"]


def rows(ws: td.Workspace, *, version: int, split: str) -> pl.DataFrame:
    """Read rows of one version whose outcome is known, with the weather that was known when each flight was due."""
    known = ws.datasets.read("flights", version=version, split=split, outcome=True)
    return ws.join(known, ["weather"], time="scheduled_departure")


def fit(ws: td.Workspace, *, version: int):
    """Fit with any library: here scikit-learn, which knows nothing of Treadle."""
    train = rows(ws, version=version, split="train")
    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), WORDS), remainder="passthrough"
    )
    trees = HistGradientBoostingClassifier(max_iter=60, random_state=7)
    return make_pipeline(encode, trees).fit(train[WORDS + NUMBERS], train["late"].to_numpy())


def main() -> None:
    """Train on January, then on January and February, and score both on the same rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=HERE, help="the project's folder")
    parser.add_argument("--days", type=int, default=28, help="days of each of the two months")
    chosen = parser.parse_args()
    landing, models, tests = Landing(chosen.root / "landing"), {}, {}
    with td.open(chosen.root) as ws:
        for month in (1, 2):
            for day in range(chosen.days):
                landing.land(date(2013, month, 1) + timedelta(days=day))
            ws.ingest()
            version = ws.datasets.version("flights").version
            models[month] = fit(ws, version=version)
            tests[month] = rows(ws, version=version, split="test")
    stayed = set(tests[1]["flight_id"]) <= set(tests[2]["flight_id"])
    print(
        f"test rows: {tests[1].height:,}, then {tests[2].height:,}; the first ones are all still there: {stayed}"
    )
    fresh = tests[2].join(tests[1], on="flight_id", how="anti")
    for month, model in models.items():
        score = log_loss(fresh["late"].to_numpy(), model.predict_proba(fresh[WORDS + NUMBERS]))
        print(
            f"trained up to month {month}: log loss {score:.4f} on the {fresh.height:,} test rows of month 2"
        )


if __name__ == "__main__":
    main()
