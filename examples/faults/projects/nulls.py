"""Flights, with a rule at the door of the airports' boards: a file in which most delays are missing is left out."""

import dataclasses

import flights
import treadle as td

schedule, weather = flights.flights, flights.weather
board = dataclasses.replace(
    flights.board,
    # At night nothing lands: up to a tenth of a day's rows have no delay. A file in which most have none is a broken feed.
    rules=[
        td.rules.Nulls("late_share", at_most=0.5, severity="skip"),
        td.rules.Nulls("mean_delay", at_most=0.5, severity="skip"),
    ],
)
delay = dataclasses.replace(
    flights.delay,
    features=[weather, board],
    policy=td.Policy(
        triggers=[td.NewRows(5_000)], window=td.Last("60d"), cooldown="4d", data_stale_after="2d"
    ),
)
