"""A process that turns the loop of one model again and again, while its ledger is killed and started again.

Arguments: the project's folder, the model, how many turns. Before each turn new rows land. A turn that raises because a
store does not answer is simply asked for again, as `treadle watch` does. At the end it prints how often that was.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import tiny

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import Busy, StoreUnavailable

#: The models, and what becomes of their versions.
MODELS = {"north": "replace", "south": "replace", "east": "alert", "west": "alert"}
#: Rows of the first file of a model, and of each one after it.
FIRST, LATER = 1000, 20

_HEAD = """
import os
import time
from datetime import datetime
from pathlib import Path

import treadle as td

HERE = Path(__file__).parent


class Visit(td.Contract):
    visit_id: str
    seen_at: datetime
    shop: str
    pages: float
    minutes: float
    bought: bool


def note(run, what):
    handle = os.open(HERE / "trainings.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(handle, f"{run.id} {what} {time.time_ns() // 1000}\\n".encode())
    os.fsync(handle)
    os.close(handle)


def fit(data, run):
    from sklearn.linear_model import LogisticRegression

    note(run, "begun")
    run.save_checkpoint({"weights": b"1"})
    fitted = LogisticRegression(random_state=run.seed).fit(data.train.X, data.train.y)
    run.log_metric("rows", len(data.train))
    note(run, "done")
    return fitted
"""

_MODEL = """

visits_NAME = td.Dataset(
    "visits_NAME",
    source=td.Files("landing/NAME/*.csv"),
    contract=Visit,
    key="visit_id",
    time="seen_at",
    outcome="bought",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


@td.model(
    data=visits_NAME,
    target="bought",
    inputs=["pages", "minutes"],
    task=td.Classification(),
    gates=[td.gates.NoWorse("champion", margin=10.0)],
    policy=td.Policy(action="ACTION"),
)
def NAME(data, params, run):
    return fit(data, run)
"""


def make(root: Path) -> Path:
    """Write a project with a model for each shop, and return its folder."""
    root.mkdir()
    (root / "treadle.toml").write_text('[project]\nname = "shops"\n')
    models = [_MODEL.replace("NAME", name).replace("ACTION", action) for name, action in MODELS.items()]
    (root / "project.py").write_text(_HEAD + "".join(models))
    return root


def land(root: Path, model: str, number: int) -> None:
    """Land one more file of a model's rows."""
    folder = root / "landing" / model
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{number:04}.part"
    rows = tiny.visits(number, rows=FIRST if number == 0 else LATER)
    rows.write_csv(fresh, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    fresh.replace(fresh.with_suffix(".csv"))


def turn(workspace: Workspace, model: str, met: Counter[str]) -> None:
    """Turn the loop of a model until that comes to an end."""
    while True:
        try:
            workspace.run(model)
        except (StoreUnavailable, Busy) as error:
            met[type(error).__name__] += 1
        else:
            return


def main(root: Path, model: str, turns: int) -> None:
    """Turn the loop, with new rows each time."""
    met: Counter[str] = Counter()
    with open_workspace(root) as workspace:
        for number in range(turns):
            land(root, model, number)
            turn(workspace, model, met)
    sys.stdout.write(json.dumps(met))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
