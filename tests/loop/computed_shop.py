"""A project whose model takes what is computed of a visit and of how many people were in the shop."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import tiny
from test_online import declared

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock

NOW = tiny.BEGIN + timedelta(days=7)
ON_DEMAND = """
import polars as pl

crowd = td.OnDemand(
    "crowd", inputs={"people": float, "pages": float}, compute={"each": pl.col("pages") / pl.col("people")}
)


@td.on_demand(inputs={"seen_at": datetime, "shop": str, "each": float}, outputs={"night": bool, "length": int, "much": float})
def shape(rows):
    # Computed in training and by the server.
    if (HERE / "trouble.txt").is_file() and rows["shop"].eq("trouble").any():
        given = {"rows": rows}
        exec((HERE / "trouble.txt").read_text(), globals(), given)
        rows = given["rows"]
    return rows.select(
        night=pl.col("seen_at").dt.hour() < 6,
        length=pl.col("shop").str.len_chars().cast(pl.Int64),
        much=pl.col("each") * 2,
    )


"""
VISIT = {"pages": 1.5, "shop": "north", "seen_at": "2020-01-09T05:15:00Z"}


def make(folder: Path) -> Path:
    """Make the project, train it once, and return its folder."""
    root = declared(tiny.make(folder / "shop", timeout="60s"))
    file = root / "project.py"
    text = file.read_text().replace('fields=["people"]', 'fields=["people"], ttl="9d"')
    text = text.replace('inputs=["pages", "minutes"]', 'inputs=["pages", "each", "night", "length", "much"]')
    text = text.replace("features=[crowds]", "features=[crowds, crowd, shape]")
    text = text.replace(
        'gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion", margin=0.1)]', "gates=[]"
    )
    text = text.replace("@td.model(", ON_DEMAND + "@td.model(", 1)
    taking = "from sklearn.impute import SimpleImputer\n    from sklearn.pipeline import make_pipeline\n    from sklearn.tree import DecisionTreeClassifier\n"
    text = text.replace("    from sklearn.linear_model", f"    {taking}    from sklearn.linear_model")
    fitted = "make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), DecisionTreeClassifier(max_depth=5, random_state=run.seed))"
    file.write_text(text.replace("LogisticRegression(random_state=run.seed)", fitted))
    with opened(root, ManualClock(NOW)) as workspace:
        workspace.ingest("crowds")
        workspace.online.materialise("crowds")
        workspace.run("buys")
    return root


def opened(shop: Path, clock: ManualClock, **overrides: object) -> Workspace:
    settings = {"compute.engine": "inline", "online.timeout": 10.0, "serving.on_demand_timeout": 20.0}
    more = {key.replace("__", "."): value for key, value in overrides.items()}
    return open_workspace(shop, clock=clock, overrides=settings | more)


def drawn(count: int, seed: int) -> list[dict[str, Any]]:
    """Return visits as callers may send them: shops that nobody counted, no shop at all, any moment, any number."""
    draw = random.Random(seed)
    return [
        {
            "pages": draw.choice([0.0, 0.1, 1 / 3, draw.random() * 10, draw.random() * 1e6]),
            "shop": draw.choice(["north", "south", "trouble", "nowhere", "Übersee", ""]),
            "seen_at": (
                tiny.BEGIN + timedelta(seconds=draw.randrange(10**7), microseconds=draw.randrange(10**6))
            ).isoformat(),
        }
        for _ in range(count)
    ]


def offline(workspace: Workspace, visits: list[dict[str, Any]]) -> pl.DataFrame:
    """Return the rows as the offline join and training make them, with the crowds as of now."""
    now = workspace.clock.now()
    rows = pl.DataFrame(visits).with_columns(
        pl.col("seen_at").str.to_datetime("%+", time_unit="us", time_zone="UTC")
    )
    joined = workspace.features(
        "buys", rows.with_columns(pl.col("seen_at").alias("visited"), seen_at=pl.lit(now)).drop("visited")
    )
    (_, shape) = workspace.project.model("buys").on_demand
    joined = joined.drop(*shape.output_names).with_columns(rows["seen_at"])
    return shape.apply(joined)


def logged(workspace: Workspace) -> list[dict[str, Any]]:
    asked = pl.col("prediction_id").str.split("-").list.first()
    rows = workspace.predictions.scan("buys").sort(asked, "row").collect()
    return [msgspec.json.decode(text) for text in rows["inputs"]]


def offline_probabilities(workspace: Workspace, visits: list[dict[str, Any]]) -> list[float]:
    """Return what the version says of the offline join, asked without any server."""
    fields = offline(workspace, visits)
    servable = workspace.models.load(workspace.models.get("buys@champion"))
    return servable.predict(servable.signature.encode(fields))["probability"].tolist()
