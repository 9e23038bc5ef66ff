"""How warm will it be in a day? Asked each hour at three airports; the answer is known a day later.

python examples/weather/land.py examples/weather/landing --until 2013-10-31
cd examples/weather && treadle run
"""

from datetime import datetime

import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor

import treadle as td

hours = td.Dataset(
    "hours",
    source=td.Files("landing/hours/*.csv"),
    key=["origin", "at"],
    time="at",
    outcomes=td.Outcomes(
        source=td.Files("landing/later/*.csv"), columns=["temp_next_day"], arrived="measured_at"
    ),
    # Hours of one day are alike, at all three airports: they stay on one side together.
    split=td.HashSplit(train=0.7, validation=0.1, test=0.2, group="day"),
)
past = td.FeatureView(
    "past",
    source=td.Files("landing/hours/*.csv"),
    entity="origin",
    time="at",
    ttl="6h",
    aggregates={
        "mean_24h": td.aggregates.Mean("temp", over="24h"),
        "min_24h": td.aggregates.Min("temp", over="24h"),
        "max_24h": td.aggregates.Max("temp", over="24h"),
        "pressure_6h": td.aggregates.Mean("pressure", over="6h"),
    },
)


clock = td.OnDemand("clock", inputs={"at": datetime}, compute={"hour": pl.col("at").dt.hour()})


@td.model(
    data=hours,
    features=[past, clock],
    target="temp_next_day",
    task=td.Regression(),
    baselines=[td.baselines.Mean(by="origin")],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion", margin=0.1)],
    policy=td.Policy(triggers=[td.NewRows(2_000), td.Age("14d")], window=td.Last("240d"), cooldown="1d"),
)
def warmth(data: td.TrainingData, params: dict, run: td.Run) -> HistGradientBoostingRegressor:
    learner = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.05, random_state=run.seed)
    return learner.fit(data.train.X, data.train.y)
