"""The relations by which alerts reach people: what waits to be sent, what is silenced, what was seen and not told yet."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Table

from treadle.store.ledger.columns import held, key, metadata

#: What channels have not taken yet (`Waiting`): of one alert one row for each channel; `due`: when it is tried next.
deliveries = Table(
    "deliveries",
    metadata,
    key("channel"),
    key("alert"),
    held("due", BigInteger),
    held("body"),
    Index("ix_deliveries_due", "due"),
)

#: What people do not want to hear of for a time (`Silence`).
silences = Table("silences", metadata, key("id"), held("until", BigInteger), held("body"))

#: What was found and is not an alert yet (`Sighting`).
sightings = Table("sightings", metadata, key("rule"), key("subject"), held("body"))
