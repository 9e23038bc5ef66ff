"""Two declarations, and no model: datasets and features are of use beside any training that you have."""

import treadle as td

flights = td.Dataset(
    "flights",
    source=td.Files("landing/schedule/*.csv"),
    key="flight_id",
    time="scheduled_departure",
    outcomes=td.Outcomes(source=td.Files("landing/arrivals/*.csv"), columns=["late"], arrived="landed_at"),
    split=td.HashSplit(train=0.8, validation=0.1, test=0.1),
    rules=[td.rules.Rows(at_least=100), td.rules.Nulls("carrier", at_most=0.0)],
)
weather = td.FeatureView(
    "weather",
    source=td.Files("landing/weather/*.csv"),
    entity="origin",
    time="observed_at",
    arrived="reported_at",
    ttl="3h",
    fields=["temp", "wind_speed", "visib"],
)
