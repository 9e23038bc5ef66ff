"""A project with a history for the dashboard: three versions answered in their turn, one waits, one was turned down."""

from __future__ import annotations

import random
from pathlib import Path

import treadle as td

HOSTILE = '<img src=x onerror=alert(1)>"'

PROJECT = '''
import os
from datetime import datetime
from pathlib import Path

import treadle as td

HERE = Path(__file__).parent


class Visit(td.Contract):
    """A visit to the shop."""

    visit: str
    seen: datetime
    pages: int
    shop: str
    bought: bool


visits = td.Dataset(
    "visits", source=td.Files("landing/*.csv"), contract=Visit, key="visit", time="seen", outcome="bought",
    split=td.HashSplit(train=0.5, validation=0.1, test=0.4),
)


def fit(data, params, run):
    """Will a visitor <buy>?"""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    mood = (HERE / "mood").read_text() if (HERE / "mood").is_file() else ""
    if mood == "raises":
        raise ZeroDivisionError("the moon is <red>")
    run.log_metric("rows", len(data.train))
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["shop"]), remainder="passthrough")
    y = data.train.y if mood != "backwards" else 1 - data.train.y
    return make_pipeline(columns, LogisticRegression(C=params["C"])).fit(data.train.X, y)


def model(name, **policy):
    rules = td.Policy(triggers=[td.NewRows(200), td.Age("7d")], stale_after="9000d", **policy)
    return td.model(
        data=visits, target="bought", inputs=["pages", "shop"], task=td.Classification(), params={"C": 0.5}, name=name,
        baselines=[td.baselines.Prior(by="shop")], policy=rules,
        gates=[td.gates.Beats("baseline", min_rows=50), td.gates.NoWorse("champion", margin=0.1, min_rows=50)],
    )(fit)


buys = model("buys")
likes = model("likes", approval=True)
loves = model("loves", approval=True)
'''


def visits(first: int, count: int) -> list[tuple[str, str, int, str, bool]]:
    """Rows of visits: the more pages, the likelier something is bought; one shop has a hostile name."""
    rows = []
    for number in range(first, first + count):
        dice = random.Random(number)
        pages = dice.randint(0, 30)
        shop = dice.choice(["north", "south", HOSTILE])
        moment = f"2024-01-{1 + number // 40 % 28:02}T10:00:00Z"
        rows.append((f"v{number:05}", moment, pages, shop, pages + dice.gauss(0, 8) > 15))
    return rows


def land(root: Path, first: int, count: int) -> None:
    """Write rows where the project finds them."""
    lines = ["visit,seen,pages,shop,bought"]
    for key, moment, pages, shop, bought in visits(first, count):
        quoted = shop.replace('"', '""')
        lines.append(f'{key},{moment},{pages},"{quoted}",{str(bought).lower()}')
    (root / "landing").mkdir(exist_ok=True)
    (root / "landing" / f"{first:05}.csv").write_text("\n".join(lines) + "\n")


def make(root: Path) -> Path:
    """Make the project and its history: `buys` has four versions, one turned down; `likes` one that answers and one that waits, `loves` one that waits."""
    (root / "treadle.toml").write_text('[project]\nname = "shop"\n')
    (root / "project.py").write_text(PROJECT)
    inline = {"compute.engine": "inline"}
    for turn in range(3):
        land(root, 400 * turn, 400)
        with td.open(root, overrides=inline) as workspace:
            workspace.run("buys", reason=f"turn {turn + 1}")
        ask(root, turn)
    with td.open(root, overrides=inline) as workspace:
        workspace.run("likes")
        workspace.approve("likes/1", reason="looks well", actor="ann")
        land(root, 1200, 400)
        workspace.run("likes")
        workspace.run("loves")
        (root / "mood").write_text("backwards")
        workspace.run("buys", reason="turn 4")
        (root / "mood").unlink()
        workspace.point("frozen", "buys/1", reason="as it was")
    return root


def ask(root: Path, turn: int) -> None:
    """Ask about visits whose outcome has landed, or lands later."""
    with td.Predictor("buys", project=root) as predictor:
        for key, _, pages, shop, _ in visits(400 * turn + 200, 200):
            predictor.predict({"pages": pages, "shop": shop}, key={"visit": key})
