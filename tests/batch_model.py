"""A model, rows for it and a batch of them, in a file of its own so that other processes find it; run as a program, it scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl

from treadle.core.progress import Silent
from treadle.core.signature import Field, Signature
from treadle.serving.batch import batch, inputs, plan
from treadle.serving.batch.batch import Place
from treadle.serving.batch.plan import Options, Target

SIGNATURE = Signature(
    inputs=(
        Field(name="distance", kind="integer"),
        Field(name="temp", kind="float", nullable=True),
        Field(name="carrier", kind="category", levels=("AA", "UA")),
    ),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)


class Model:
    """Answers with a number that depends on every input."""

    signature = SIGNATURE

    def predict(self, columns):
        length = np.array([len(text) for text in columns["carrier"]])
        value = columns["distance"] * 0.001 + np.nan_to_num(columns["temp"], nan=-1.0) + length
        probability = 1 / (1 + np.exp(-value.astype(np.float64)))
        return {"prediction": probability > 0.5, "probability": probability}


def load():
    return Model()


def rows(count, *, seed=1):
    chance = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "flight": [f"f{n}" for n in range(count)],
            "distance": chance.integers(50, 3000, count),
            "temp": pl.Series(chance.normal(10, 5, count).round(2)),
            "carrier": chance.choice(["AA", "UA", "B6"], count),
        }
    ).with_columns(pl.when(pl.col("distance") % 7 == 0).then(None).otherwise("temp").alias("temp"))


def planned(folder, *files, **options):
    place = Place(folder / "out")
    with place.held():
        found = [
            inputs.of_file(file, spool=place.state / f"spool-{n}.parquet")
            for n, file in enumerate(inputs.expand([str(file) for file in files]))
        ]
        made = plan.make(
            Target(model="delay", version=3),
            found,
            source={"files": [file.name for file in files]},
            signature=SIGNATURE,
            options=Options(**{"part_rows": 1_000, **options}),
        )
        place.begin(made)
    return place, made


if __name__ == "__main__":
    place, made = planned(Path(sys.argv[1]), Path(sys.argv[1]) / "in.parquet", part_rows=1_000)
    sys.stdout.write("planned\n")
    sys.stdout.flush()
    with place.held():
        parts = batch.run(
            made, place, load=load, processes=1, engine="process", address="", progress=Silent()
        )
    manifest = batch.finish(made, place, parts, output="out")
    sys.stdout.write(json.dumps({"digest": manifest.digest, "rows": manifest.rows}) + "\n")
