"""Flights, with a policy that trains when the answers have become worse, and only then."""

import dataclasses

import flights
import treadle as td

delay = dataclasses.replace(
    flights.delay,
    policy=td.Policy(
        # The flights of a stormy day are late together: less than 0.2 more of log loss than on the test rows may be weather.
        triggers=[td.Decay(margin=0.2, over="3d", min_rows=500)],
        window=td.Last("21d"),
        cooldown="2d",
        stale_after="60d",
    ),
)
