"""A stand-in for a hygrometer: how humid is it, told from temperature and dew point? It is read by hand, and known a day later."""

from datetime import datetime

import treadle as td

INPUTS = ["temp", "dewp", "pressure", "wind_speed", "visib"]


class Hour(td.Contract):
    """An hour of weather at an airport, as its station sends it."""

    origin: str = td.Column(allowed=["EWR", "JFK", "LGA"])
    at: datetime
    temp: float | None = td.Column(ge=-60, le=140)
    dewp: float | None
    pressure: float | None
    wind_speed: float | None
    visib: float | None


class Read(td.Contract):
    """What the hygrometer showed."""

    origin: str
    at: datetime
    humid: float = td.Column(ge=0, le=105)
    read_at: datetime


hours = td.Dataset(
    "hours",
    source=td.Files("landing/hours/*.csv"),
    contract=Hour,
    key=["origin", "at"],
    time="at",
    outcomes=td.Outcomes(
        source=td.Files("landing/read/*.csv"), contract=Read, columns=["humid"], arrived="read_at"
    ),
    split=td.HashSplit(train=0.6, validation=0.2, test=0.2),
)


@td.model(
    data=hours,
    target="humid",
    inputs=INPUTS,
    task=td.Regression(),
    baselines=[td.baselines.Mean(by="origin")],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion", margin=0.05)],
    policy=td.Policy(
        triggers=[
            # What was never seen before, in at least a tenth of what is asked in a week; seasons are not that.
            td.Drift(detectors=["range", "unseen"], least=0.1, over="3d"),
            td.Decay(margin=4, over="3d", min_rows=100),
        ],
        window=td.Last("60d"),
        cooldown="1d",
    ),
    seed=7,
    timeout="5m",
)
def humidity(data: td.TrainingData, params: dict, run: td.Run):
    """Boosted trees over what the station sends."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(max_iter=150, learning_rate=0.1, random_state=run.seed)
    return trees.fit(data.train.X, data.train.y)
