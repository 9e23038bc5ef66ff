"""CPU of scoring Parquet in a batch, against ONNX Runtime in a loop over the same file.

Both read the same columns, score in one thread and write the same columns with the answers. Ours also checks every value,
notes the digest of each part and can be killed at any moment.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl

import project
import treadle as td
from harness import Benchmark, cpu_of
from treadle.registry import packages

STEP = 262_144


@dataclass
class Input:
    """A project with a champion, its model as a file, and rows."""

    folder: Path
    rows: int

    @property
    def file(self) -> Path:
        """The rows."""
        return self.folder / "rows.parquet"


def prepare(folder: Path, quick: bool) -> Input:
    """Train a champion, and write the rows."""
    project.make(folder, rows=5_000 if quick else 50_000)
    with td.open(folder) as workspace:
        version = workspace.models.get("late@champion")
        _, files = packages.read(version.digest, objects=workspace.objects, cache=folder / "cache")
    (folder / "model.onnx").write_bytes(files["model.onnx"])
    given = Input(folder, 20_000 if quick else 1_000_000)
    rows(given.rows).write_parquet(given.file, row_group_size=STEP)
    return given


def rows(count: int, *, seed: int = 1) -> pl.DataFrame:
    """Return rows that the champion takes, with a key."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "flight_id": np.arange(count) + seed * 10_000_000,
            "carrier": random.choice(["AA", "B6", "DL", "EV", "UA", "US"], count),
            "origin": random.choice(["EWR", "JFK", "LGA"], count),
            "distance": random.integers(80, 5000, count),
            "hour": random.integers(5, 24, count),
            "temp": random.normal(50, 14, count).round(1),
            "wind": random.normal(12, 6, count).round(1),
        }
    )


def ours(given: Input) -> float:
    """Score into a folder."""
    output = given.folder / "ours"
    shutil.rmtree(output, ignore_errors=True)
    with td.open(given.folder) as workspace:
        return cpu_of(lambda: workspace.batch("late@champion", given.file, output=output))


def floor(given: Input) -> float:
    """Read, run and write, step by step."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(given.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    output = given.folder / "bare"
    output.mkdir(exist_ok=True)

    def work() -> None:
        for start in range(0, given.rows, STEP):
            frame = pl.scan_parquet(given.file).slice(start, STEP).collect()
            answers = bare(session, frame)
            frame.with_columns(**answers).write_parquet(output / f"{start}.parquet")

    return cpu_of(work)


def bare(session: onnxruntime.InferenceSession, frame: pl.DataFrame) -> dict[str, pl.Series]:
    """Return what a session gives for a frame."""
    feed = {}
    for given in session.get_inputs():
        column = frame[given.name]
        if given.type == "tensor(string)":
            values = column.to_numpy().astype(object)
        else:
            values = column.to_numpy().astype(
                np.int64 if given.type == "tensor(int64)" else np.float32, copy=False
            )
        feed[given.name] = values.reshape(-1, 1) if len(given.shape) == 2 else values
    names = [output.name for output in session.get_outputs()]
    return {
        name: pl.Series(values.reshape(-1))
        for name, values in zip(names, session.run(names, feed), strict=True)
    }


BENCHMARK = Benchmark(
    title="1,000,000 rows of Parquet scored with 100 boosted trees in ONNX Runtime, in one process",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.25,
)
