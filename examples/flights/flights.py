"""The flights project: will a flight arrive more than 15 minutes late, asked when it is due to leave?"""

from datetime import datetime

import polars as pl

import treadle as td

AIRPORTS = ["EWR", "JFK", "LGA"]
WORDS = ["carrier", "origin", "dest"]
NUMBERS = ["distance", "hour", "minute", "weekday"]
WEATHER = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
BOARD = ["landed", "mean_delay", "late_share"]


class Flight(td.Contract):
    """A flight in the schedule: what everybody knows before it leaves."""

    flight_id: str
    scheduled_departure: datetime
    scheduled_arrival: datetime
    carrier: str = td.Column(pattern="[0-9A-Z]{2}")
    flight: int = td.Column(ge=1)
    origin: str = td.Column(allowed=AIRPORTS)
    dest: str = td.Column(pattern="[A-Z]{3}")
    distance: int = td.Column(ge=1, le=6000)
    hour: int = td.Column(ge=0, le=23)
    minute: int = td.Column(ge=0, le=59)
    month: int = td.Column(ge=1, le=12)
    day: int = td.Column(ge=1, le=31)
    weekday: int = td.Column(ge=1, le=7)

    @td.rule("a flight goes somewhere else")
    def goes_somewhere(self) -> pl.Expr:
        return pl.col("origin") != pl.col("dest")

    @td.rule("a flight arrives after it left")
    def takes_time(self) -> pl.Expr:
        return pl.col("scheduled_arrival") > pl.col("scheduled_departure")


class Arrival(td.Contract):
    """What is known once a flight has landed. Cancelled and diverted flights never get one."""

    flight_id: str
    landed_at: datetime
    arr_delay: int
    late: bool
    tailnum: str | None


class Weather(td.Contract):
    """An hour of weather at an airport, and when it could be known."""

    origin: str = td.Column(allowed=AIRPORTS)
    observed_at: datetime
    reported_at: datetime
    temp: float | None
    dewp: float | None
    humid: float | None
    wind_dir: float | None
    wind_speed: float | None
    wind_gust: float | None
    precip: float | None
    pressure: float | None
    visib: float | None


class Board(td.Contract):
    """An airport's flights that landed in the three hours before: fair game, for they have landed."""

    origin: str = td.Column(allowed=AIRPORTS)
    observed_at: datetime
    landed: int = td.Column(ge=0)
    mean_delay: float | None
    late_share: float | None = td.Column(ge=0, le=1)


flights = td.Dataset(
    "flights",
    source=td.Files("landing/schedule/*.csv"),
    contract=Flight,
    key="flight_id",
    time="scheduled_departure",
    outcomes=td.Outcomes(
        source=td.Files("landing/arrivals/*.csv"), contract=Arrival, columns=["late"], arrived="landed_at"
    ),
    split=td.HashSplit(train=0.8, validation=0.1, test=0.1),
)
weather = td.FeatureView(
    "weather",
    source=td.Files("landing/weather/*.csv"),
    contract=Weather,
    entity="origin",
    time="observed_at",
    arrived="reported_at",
    ttl="3h",
    fields=WEATHER,
)
board = td.FeatureView(
    "board",
    source=td.Files("landing/board/*.csv"),
    contract=Board,
    entity="origin",
    time="observed_at",
    ttl="3h",
    fields=BOARD,
)


@td.model(
    data=flights,
    features=[weather, board],
    target="late",
    inputs=[*WORDS, *NUMBERS, *WEATHER, *BOARD],
    task=td.Classification(),
    baselines=[td.baselines.Prior(by="carrier")],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion", on="log_loss", alpha=0.05)],
    policy=td.Policy(
        triggers=[td.NewRows(15_000), td.Age("21d")], window=td.Last("180d"), cooldown="7d", action="replace"
    ),
    seed=7,
    timeout="5m",
)
def delay(data: td.TrainingData, params: dict, run: td.Run):
    """Boosted trees over words as numbers; the package is checked against this very estimator."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encode = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), WORDS), remainder="passthrough"
    )
    trees = HistGradientBoostingClassifier(
        max_iter=120, learning_rate=0.08, min_samples_leaf=50, l2_regularization=1.0, random_state=run.seed
    )
    return make_pipeline(encode, trees).fit(data.train.X, data.train.y)
