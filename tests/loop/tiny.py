"""A tiny project: will a visitor buy? Two thousand rows, a logistic regression, a baseline and gates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from treadle.app.workspace import Workspace

#: Opens the workspace of a tiny project: a clock, and overrides as `compute__engine="inline"`.
Opener = Callable[..., Workspace]

#: Variables that keep libraries from starting threads, of which there would be more than cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")

BEGIN = datetime(2020, 1, 6, tzinfo=UTC)

_PROJECT = '''
import os
import signal
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import treadle as td

HERE = Path(__file__).parent


class Visit(td.Contract):
    """A visit to the shop."""

    visit_id: str
    seen_at: datetime
    shop: str
    pages: float
    minutes: float
    bought: bool


visits = td.Dataset(
    "visits",
    source=td.Files("landing/*.csv"),
    contract=Visit,
    key="visit_id",
    time="seen_at",
    outcome="bought",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


def mood():
    path = HERE / "mood.txt"
    return path.read_text() if path.is_file() else "well"


class Broken:
    def predict_proba(self, frame):
        return np.full((frame.height, 2), np.nan)


def note(run, what):
    with (HERE / "trainings.txt").open("a") as file:
        file.write(f"{run.id} {what} {time.time_ns() // 1000}\\n")
        file.flush()
        os.fsync(file.fileno())


def wait_for(name):
    while not (HERE / name).is_file():
        time.sleep(0.01)


def fit(data, run):
    from sklearn.linear_model import LogisticRegression

    note(run, "begun")
    print("training begins")
    now = mood()
    if now == "raises":
        raise ZeroDivisionError("the moon is wrong")
    if now == "none":
        return None
    if now == "nan":
        return Broken()
    if now == "hangs":
        time.sleep(600)
    if now == "waits":
        wait_for("go")
        try:
            run.save_checkpoint({"weights": b"1"})
        finally:
            note(run, "tried")
            wait_for("on")
    if now == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    y = data.train.y if now != "backwards" else 1 - data.train.y
    fitted = LogisticRegression(random_state=run.seed).fit(data.train.X, y)
    run.log_metric("rows", len(data.train))
    note(run, "done")
    return fitted


@td.model(
    data=visits,
    target="bought",
    inputs=["pages", "minutes"],
    task=td.Classification(),
    baselines=[td.baselines.Prior(by="shop")],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion", margin=0.1)],
    policy=td.Policy(triggers=[td.NewRows(500)]),
    seed=3,
    timeout="TIMEOUT",
)
def buys(data, params, run):
    return fit(data, run)
'''


def make(root: Path, *, timeout: str = "1m", rows: int = 2000) -> Path:
    """Write the project into a folder, with its first rows landed, and return the folder."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "treadle.toml").write_text('[project]\nname = "tiny"\n')
    (root / "project.py").write_text(_PROJECT.replace("TIMEOUT", timeout))
    land(root, 0, rows=rows)
    return root


def land(root: Path, number: int, *, rows: int = 500) -> None:
    """Land one more file of rows: the ones of week `number`."""
    (root / "landing").mkdir(exist_ok=True)
    fresh = root / "landing" / f"{number:04}.part"
    visits(number, rows=rows).write_csv(fresh, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    fresh.replace(fresh.with_suffix(".csv"))


def visits(number: int, *, rows: int) -> pl.DataFrame:
    """Return the visits of one week: the more pages and minutes, the likelier something is bought."""
    chance = np.random.default_rng(number)
    pages, minutes = chance.normal(size=rows), chance.normal(size=rows)
    likely = 1 / (1 + np.exp(-(1.5 * pages - minutes)))
    start = BEGIN + timedelta(weeks=number)
    return pl.DataFrame(
        {
            "visit_id": [f"{number}-{i}" for i in range(rows)],
            "seen_at": [start + timedelta(seconds=i * 600_000 // rows) for i in range(rows)],
            "shop": chance.choice(["north", "south"], size=rows),
            "pages": pages.round(4),
            "minutes": minutes.round(4),
            "bought": chance.random(rows) < likely,
        }
    )


def feel(root: Path, mood: str) -> None:
    """Say how the training function behaves from now on; the code stays the same."""
    (root / "mood.txt").write_text(mood)


def trainings(root: Path) -> list[tuple[str, str, int]]:
    """Return what the training function noted: run, `begun` or `done`, and the moment in microseconds."""
    path = root / "trainings.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [(run, what, int(at)) for run, what, at in (line.split() for line in lines)]
