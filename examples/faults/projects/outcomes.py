"""Flights, with a promise on outcomes: a person is told when none has become known for two days."""

import dataclasses

import flights
import treadle as td

delay = dataclasses.replace(
    flights.delay,
    policy=td.Policy(
        # While no outcome comes, decay is estimated from what the model is asked and how sure it is.
        triggers=[td.NewRows(4_000), td.Decay(margin=0.15, over="7d", on="either")],
        window=td.Last("60d"),
        cooldown="2d",
        outcomes_stale_after="2d",
    ),
)
