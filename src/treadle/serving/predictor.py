"""Predictions inside another program: the same dataplane, checks and log as the server, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, overload

import numpy as np

from treadle.core.clock import monotonic
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.entries import key_text
from treadle.serving.explanations import Explanations
from treadle.serving.follower import Follower
from treadle.serving.log import PredictionLog
from treadle.serving.protocols.rows import predictions
from treadle.serving.requests import Batch, Reader
from treadle.serving.shadows import Shadows
from treadle.serving.straight import answered

Row = Mapping[str, Any]


class Predictor:
    """Answers for one endpoint in this process.

    Once it has loaded a revision it needs no store: it goes on with what it has, keeps log entries in a bounded
    buffer, and counts those that did not fit (`dropped`).

    >>> with Predictor("delay", plane, log=log, follower=follower) as predictor:  # doctest: +SKIP
    ...     predictor.predict({"carrier": "UA", "distance": 1400})["probability"]
    """

    def __init__(
        self,
        endpoint: str,
        plane: Dataplane,
        *,
        log: PredictionLog | None,
        follower: Follower | None,
        explanations: Explanations | None = None,
    ) -> None:
        """Load the endpoint's newest revision and start to follow it; without `log` nothing is written down.

        Raises:
            NotFound: there is no such endpoint.
            NotLoaded: its revision cannot be loaded; the message says why.
            StoreUnavailable: the ledger does not answer.
        """
        self._endpoint, self._plane, self._log, self._follower = endpoint, plane, log, follower
        self._explanations = explanations or Explanations(None, max_rows=0)
        if follower:
            follower.look()
        else:
            plane.refresh()
        self._shadows = Shadows(log.put) if log else None
        plane.reader(endpoint)
        if log:
            log.start()
        if follower:
            follower.start()

    @property
    def dropped(self) -> int:
        """Log entries that were given up since the start."""
        return self._log.dropped if self._log else 0

    @property
    def revision(self) -> int:
        """The revision that answers now."""
        return self._plane.reader(self._endpoint)[0].revision.revision

    @overload
    def predict(
        self, rows: Row, *, subject: str | None = ..., key: Row | None = ..., explain: bool = ...
    ) -> dict[str, Any]: ...
    @overload
    def predict(
        self,
        rows: Sequence[Row],
        *,
        subject: str | None = ...,
        key: Sequence[Row] | None = ...,
        explain: bool = ...,
    ) -> list[dict[str, Any]]: ...
    def predict(
        self,
        rows: Row | Sequence[Row],
        *,
        subject: str | None = None,
        key: Row | Sequence[Row] | None = None,
        explain: bool = False,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Answer one row with one mapping, or several with a list: `prediction_id`, `prediction`, `probability`.

        `key` says by which columns the outcome will be found, for the row or for each of the rows; `explain` adds what each
        input adds to the answer.

        Raises:
            InvalidInput: a row does not fit the model's signature; `field` is as `rows[3].distance`.
        """
        if type(rows) is dict and key is None and not explain:
            told = self._straight(rows, subject)
            if told is not None:
                return told
        if isinstance(rows, Mapping):
            return self._answer([rows], subject, None if key is None else [key], explain)[0]  # type: ignore[list-item]
        return self._answer(rows, subject, key, explain)  # type: ignore[arg-type]

    def close(self) -> None:
        """Stop following, and write what is left of the log."""
        if self._follower:
            self._follower.stop()
        if self._log:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _straight(self, row: Row, subject: str | None) -> dict[str, Any] | None:
        """Answer a row by the shortest way; None: it has to go the usual one."""
        loaded = self._plane.loaded.get(self._endpoint)
        found = None if loaded is None else answered(loaded, row, subject, clock=self._plane.clock)
        if found is None:
            return None
        told, entry = found
        if self._log:
            self._log.put(entry)
        return told

    def _answer(
        self, rows: Sequence[Row], subject: str | None, keys: Sequence[Row] | None, explain: bool
    ) -> list[dict[str, Any]]:
        call = Call(
            read=lambda reader: _read(reader, rows),
            subject=subject,
            keys=None if keys is None else [key_text(_plain(key)) for key in keys],
            received=monotonic(),
            explain=explain,
        )
        if explain:
            self._explanations.check(len(rows))
        answer: Answer = self._plane.predict(self._endpoint, call)
        if self._log:
            self._log.put(answer.entry())
        loaded = self._plane.loaded[self._endpoint]
        if self._shadows and loaded.router.shadowed:
            self._shadows.offer(loaded, answer, call)
        return predictions(self._explanations.explained(answer) if explain else answer)


def _read(reader: Reader, rows: Sequence[Row]) -> Batch:
    return reader.objects([_plain(row) for row in rows])


def _plain(row: Row) -> Row:
    """Return a row with NumPy's scalars as Python's; what is not a row is refused by the reader."""
    if not isinstance(row, Mapping):
        return row  # type: ignore[unreachable]
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
