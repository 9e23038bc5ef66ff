"""Tables as large as they get: predictions with outcomes, and rows in quarantine, written as servers and ingestion write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl

import project
from treadle.app.workspace import Workspace
from treadle.core.records import to_json
from treadle.serving.frames import OUTCOMES, PREDICTIONS
from treadle.store.ledger import tables as t

#: How many there are in all.
PREDICTED, ANSWERED, QUARANTINED = 10_000_000, 1_000_000, 200_000
#: Over which all of it happened.
DAYS = 365
#: Rows of a file of predictions.
_AT_ONCE = 500_000
_ALPHABET = np.frombuffer(b"0123456789abcdefghjkmnpqrstvwxyz", dtype=np.uint8)


def quarantine(workspace: Workspace, *, share: float) -> None:
    """Put rows into quarantine, of the newest version of the dataset."""
    random, until = np.random.default_rng(1), datetime.now(UTC)
    rows, last = _count(QUARANTINED, share), workspace.datasets.version("flights")
    reasons = [
        "carrier: 'XX' is none of its values",
        "distance: -1 is below 0",
        "temp: 999.0 is above 150.0",
    ]
    number = np.arange(rows)
    frame = pl.DataFrame(
        {
            "_reason": random.choice(reasons, rows),
            "_file": [f"landing/{n // 1000:05}.csv" for n in number],
            "_row": number % 1000,
            "_raw": [f'{{"flight_id":"{n}","carrier":"XX","distance":"-1"}}' for n in number],
            "_part": ["rows"] * rows,
            "_version": number * last.version // rows + 1,
            "_ingested_at": [until] * rows,
        },
        schema_overrides={
            "_row": pl.Int64,
            "_version": pl.Int64,
            "_ingested_at": pl.Datetime("us", "UTC"),
        },
    )
    kept = workspace.tables.append("flights/quarantine", frame, base=None)
    changed = msgspec.structs.replace(last, quarantined=rows, quarantine_table_version=kept)
    c = t.dataset_versions.c
    with workspace.ledger.write() as connection:
        chosen = (c.dataset == "flights") & (c.version == last.version)
        connection.execute(t.dataset_versions.update().where(chosen).values(body=to_json(changed)))


def predictions(workspace: Workspace, *, share: float, versions: int) -> None:
    """Deliver predictions as a server's shipper does, in the order of their ids; some have an outcome."""
    random, until = np.random.default_rng(2), datetime.now(UTC).replace(microsecond=0)
    rows, number, known = _count(PREDICTED, share), 0, _count(ANSWERED, share)
    start = until - timedelta(days=DAYS)
    for first in range(0, rows, _AT_ONCE):
        size, number = min(_AT_ONCE, rows - first), number + 1
        within = (np.arange(first, first + size) + 0.5) / rows * DAYS * 86_400_000
        at = (within + start.timestamp() * 1000).astype(np.int64)
        frame = _answers(at, versions, random)
        workspace.tables.deliver("predictions/late", frame, sender="seed", number=number)
        told = _outcomes(random, frame.gather_every(max(1, rows // known)))
        workspace.tables.deliver("outcomes/late", told, sender="seed", number=number)


def _answers(at: np.ndarray, versions: int, random: np.random.Generator) -> pl.DataFrame:
    size = len(at)
    moments = pl.Series("at", at * 1000).cast(pl.Datetime("us", "UTC"))
    probability = random.beta(2, 5, size)
    inputs = [json.dumps({**project.ROW, "hour": hour}) for hour in range(24)]
    age = (at - at[0]) / max(1, at[-1] - at[0] + 1)
    ids = _ids(at, random)
    frame = pl.DataFrame(
        {
            "prediction_id": ids + "-0",
            "request_id": ids,
            "revision": (age * versions).astype(np.int64) + 1,
            "version": (age * versions).astype(np.int64) + 1,
            "subject": pl.Series(random.integers(0, 100_000, size)).cast(pl.String),
            "at": moments,
            "key": pl.Series(random.integers(0, 20_000, size)).cast(pl.String),
            "inputs": pl.Series(inputs).gather(random.integers(0, 24, size)),
            "prediction": (probability > 0.5).astype(float),
            "probability": probability,
            "confidence": np.maximum(probability, 1 - probability),
            "latency": random.gamma(2, 0.001, size),
        }
    ).with_columns(
        pl.concat_str(pl.lit('{"flight_id":'), "key", pl.lit("}")).alias("key"),
        pl.lit(0, dtype=pl.Int64).alias("row"),
        pl.lit("late").alias("endpoint"),
        pl.lit("late").alias("model"),
        pl.lit("champion").alias("variant"),
        pl.lit("all").alias("assignment"),
        pl.lit(None, dtype=pl.String).alias("outputs"),
        pl.lit(1.0).alias("propensity"),
        pl.lit(False).alias("shadow"),
        pl.lit(1.0).alias("sampled"),
        pl.lit(None, dtype=pl.String).alias("decision"),
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in PREDICTIONS.items())


def _outcomes(random: np.random.Generator, answers: pl.DataFrame) -> pl.DataFrame:
    happened = random.random(answers.height) < answers["probability"].to_numpy()
    frame = answers.select(
        ("o" + pl.col("prediction_id")).alias("outcome_id"),
        "endpoint",
        "prediction_id",
        pl.lit(None, dtype=pl.String).alias("key"),
        pl.Series("value", happened.astype(float)),
        (pl.col("at") + pl.duration(days=1)).alias("at"),
        pl.lit(None, dtype=pl.String).alias("text"),
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in OUTCOMES.items())


def _count(whole: int, share: float) -> int:
    return max(10, int(whole * share))


def _ids(milliseconds: np.ndarray, random: np.random.Generator) -> pl.Series:
    """Return ids as `core.ids.new_id` makes them at these moments, in their order."""
    moment = (milliseconds[:, None] >> 5 * np.arange(9, -1, -1)) & 31
    digits = np.concatenate([moment, random.integers(0, 32, (len(milliseconds), 16))], axis=1)
    text = np.ascontiguousarray(_ALPHABET[digits]).view("S26").ravel()
    return pl.Series(text.tolist(), dtype=pl.Binary).cast(pl.String).sort()


def id_at(at: datetime, random: np.random.Generator) -> str:
    """Return an id of a moment."""
    return str(_ids(np.array([int(at.timestamp() * 1000)]), random)[0])
