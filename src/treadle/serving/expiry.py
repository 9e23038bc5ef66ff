"""How long the log is kept: rows that are older leave its tables, unless somebody still needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from treadle.core.clock import Clock, parse_span, span_text
from treadle.core.errors import InvalidInput, NotFound, SettingsError
from treadle.core.records import Record
from treadle.core.traffic import Bandit
from treadle.serving.endpoints import Endpoints
from treadle.serving.predictions import Outcomes
from treadle.serving.rollouts import Rollouts
from treadle.store.tables.tables import Tables

_AT = "at"


class Aged(Record, frozen=True, kw_only=True):
    """The rows of a table of the log that are older than it is kept."""

    #: The table, as `predictions/delay`.
    log: str
    rows: int = 0
    #: Bytes of files that they take, about.
    size: int = 0
    #: Rows from before this moment go; None: none does.
    before: datetime | None = None
    #: Why rows stay that are older than the setting says; empty: none does.
    kept: str = ""


class Expiry:
    """Removes predictions and outcomes that are older than the settings say."""

    def __init__(
        self,
        tables: Tables,
        endpoints: Endpoints,
        rollouts: Rollouts,
        clock: Clock,
        *,
        root: Path,
        predictions: str,
        outcomes: str,
    ) -> None:
        """Take what the log is judged by; `predictions` and `outcomes` are the settings, as `90d`, empty: for ever.

        Raises:
            SettingsError: one of them is no span, or outcomes would go before their predictions.
        """
        self._tables, self._endpoints, self._rollouts, self._clock = tables, endpoints, rollouts, clock
        self._root = root
        self._predictions = _span("serving.keep_predictions", predictions)
        self._outcomes = _span("serving.keep_outcomes", outcomes)
        if self._outcomes is not None and (self._predictions is None or self._outcomes < self._predictions):
            kept = "for ever" if self._predictions is None else f"for {predictions}"
            msg = (
                f"serving.keep_outcomes is {outcomes!r}, but predictions are kept {kept} (serving.keep_predictions). "
                "Outcomes are needed as long as their predictions: keep them as long, or longer."
            )
            raise SettingsError(msg)

    def endpoints(self) -> list[str]:
        """Return the endpoints that have a table of predictions or outcomes, sorted."""
        parts = (name.split("/", 1) for name in self._tables.names())
        return sorted(
            {part[1] for part in parts if part[0] in {"predictions", "outcomes"} and len(part) == 2}
        )

    def collect(self, endpoint: str, *, dry_run: bool = True) -> list[Aged]:
        """Remove what is too old of an endpoint's log, or say what would be removed.

        Predictions stay from the beginning of a rollout that is open and from where a bandit counts on, and for the longest time
        that an outcome took to come; outcomes stay at least as long as predictions.

        Raises:
            Conflict: a table's files were joined at this moment; what was removed is removed, and it can be done again.
        """
        predictions, outcomes = f"predictions/{endpoint}", f"outcomes/{endpoint}"
        if self._predictions is None:
            found = [_for_ever(predictions), _for_ever(outcomes)]
        else:
            asked = _ago(self._clock.now(), self._predictions)
            last, why = min([(asked, ""), *self._needed(endpoint, asked)])
            found = [self._expire(predictions, last, why, dry_run=dry_run)]
            if self._outcomes is None:
                found.append(_for_ever(outcomes))
            else:
                told = _ago(self._clock.now(), self._outcomes)
                ends = min((told, ""), (last, "as long as predictions"))
                found.append(self._expire(outcomes, *ends, dry_run=dry_run))
        return [one for one in found if self._tables.exists(one.log)]

    def _expire(self, log: str, before: datetime, kept: str, *, dry_run: bool) -> Aged:
        if dry_run or not self._tables.exists(log):
            done = self._tables.expired(log, column=_AT, before=before)
        else:
            done = self._tables.expire(log, column=_AT, before=before)
        return Aged(log=log, rows=done.rows, size=done.size, before=before, kept=kept)

    def _needed(self, endpoint: str, before: datetime) -> Iterator[tuple[datetime, str]]:
        """Return since when predictions are needed, and for what."""
        for state in self._rollouts.list(endpoint, open_only=True):
            yield state.started_at, f"since the beginning of {state.ref}, which is open"
        revision = self._endpoints.current().get(endpoint)
        if revision is not None and isinstance(revision.traffic, Bandit):
            yield revision.traffic.since or revision.created_at, "since its bandit counts"
        longest = self._longest(endpoint, before)
        if longest is not None:
            yield self._clock.now() - longest, f"for {span_text(longest)}: so long an outcome took to come"

    def _longest(self, endpoint: str, before: datetime) -> timedelta | None:
        """Return the longest time between a prediction from before a moment and its outcome; None: there is none.

        An outcome with a key is that of the last prediction with it: the ones before have had theirs.
        """
        with suppress(NotFound), self._tables.reading(f"predictions/{endpoint}"):
            asked = self._tables.scan(f"predictions/{endpoint}").select("prediction_id", "key", pl.col(_AT))
            old = asked.filter(pl.col(_AT) < before)
            told = Outcomes(self._tables, root=self._root).scan(endpoint).select("prediction_id", "key", "at")
            by_id = old.join(told, on="prediction_id", suffix="_known").select(
                delay=pl.col("at_known") - pl.col(_AT)
            )
            again = asked.join(old, on="key", how="semi").sort(_AT).with_columns(asked_at=_AT)
            by_key = (
                told.drop_nulls("key")
                .sort("at")
                .join_asof(again.drop("prediction_id"), on="at", by="key", check_sortedness=False)
                .select(delay=pl.col("at") - pl.col("asked_at"))
            )
            longest = pl.concat([by_id, by_key]).max().collect().item()
            return longest if isinstance(longest, timedelta) else None
        return None


def _for_ever(log: str) -> Aged:
    return Aged(log=log, kept=f"for ever (serving.keep_{log.partition('/')[0]} is empty)")


def _ago(now: datetime, span: timedelta) -> datetime:
    try:
        return now - span
    except OverflowError:  # longer than there are years
        return datetime.min.replace(tzinfo=UTC)


def _span(key: str, text: str) -> timedelta | None:
    if not text:
        return None
    try:
        return parse_span(text)
    except InvalidInput as error:
        msg = f"Setting {key}: {error} Empty: for ever."
        raise SettingsError(msg) from error
