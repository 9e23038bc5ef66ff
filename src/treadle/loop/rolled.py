"""What was logged during a rollout, as its guards read it: answers of the two sides, their outcomes, their losses."""

from __future__ import annotations

from functools import cached_property

import msgspec
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.rollout import RolloutState
from treadle.loop import landed, live
from treadle.loop.rooms import Rooms
from treadle.serving.guard import CHALLENGER, PRIMARY

#: Answers of each kind (answers, shadows) that guards on distributions look at: more tell them nothing more.
_MOST = 100_000
#: Answers with an outcome, of each kind, that guards on outcomes look at: the newest ones.
_MOST_KNOWN = 2_000_000


class RolloutLog:
    """The log of one rollout, read once, when it is asked for."""

    def __init__(self, rooms: Rooms, state: RolloutState) -> None:
        self._rooms, self._state = rooms, state

    def answers(self) -> pl.DataFrame:
        """Return the answers of the present step; see `serving.guard.Logged`."""
        return self._rows([self._state.revision], first=_MOST)

    def known(self) -> pl.DataFrame:
        """Return the answers of all steps whose outcome is known."""
        return self._known

    def losses(self, metric: str) -> tuple[str, pl.DataFrame]:
        """Return a metric's name and the answers with a known outcome and their loss."""
        version = self._rooms.models.get(f"{self._state.primary.model}/{self._state.primary.version}")
        if version.task == "forecast":
            msg = (
                "The truth of a forecast lands with its dataset, so that no guard can wait for it. Take the guards errors, "
                "latency and drift, or promote by hand after a look at `ws.performance`."
            )
            raise InvalidInput(msg, field="guards")
        task = self._rooms.project.task_of(version)
        return live.losses(self._known, task=task, metric=metric, signature=version.signature)

    @cached_property
    def _known(self) -> pl.DataFrame:
        state = self._state
        log = self._rooms.predictions().scan(state.endpoint).filter(pl.col("at") >= state.started_at)
        reported = landed.outcomes_of(self._rooms, state.endpoint, log)
        # An outcome names the answer; that of the shadow beside it has the same one.
        plain = pl.concat_str("request_id", pl.col("row").cast(pl.String), separator="-")
        named = plain.is_in(reported["prediction_id"].drop_nulls().implode())
        keyed = pl.col("key").is_in(reported["key"].drop_nulls().implode())
        rows = self._rows(list(state.revisions), named | keyed.fill_null(value=False), newest=_MOST_KNOWN)
        variants = (state.primary, state.challenger)
        versions = {
            # Baselines are no side of a rollout, and would need every row's inputs.
            (v.model, v.version): msgspec.structs.replace(
                self._rooms.models.get(f"{v.model}/{v.version}"), baselines=()
            )
            for v in variants
        }
        return live.answered(rows.with_columns(plain.alias("prediction_id")), reported, versions)

    def _rows(
        self,
        revisions: list[int],
        wanted: pl.Expr | None = None,
        *,
        first: int | None = None,
        newest: int | None = None,
    ) -> pl.DataFrame:
        """Return the rows of both sides, the shadow's among them; of each kind the first ones, or the newest."""
        state, log = self._state, self._rooms.predictions()
        names = {state.primary.name: PRIMARY, state.challenger.name: CHALLENGER}
        asked = (
            (pl.col("at") >= state.started_at)
            & pl.col("revision").is_in(revisions)
            & pl.col("variant").is_in(list(names))
        )
        parts = []
        for frame in (log.scan(state.endpoint), log.shadows(state.endpoint)):
            part = frame.filter(asked if wanted is None else asked & wanted).sort("at", "prediction_id")
            part = part if first is None else part.head(first)
            parts.append(part if newest is None else part.drop("inputs").tail(newest))
        return (
            pl.concat(parts)
            .collect()
            .sort("at", "prediction_id")
            .with_columns(
                pl.col("variant").replace_strict(names, return_dtype=pl.String).alias("arm"),
                pl.coalesce("subject", "request_id").alias("unit"),
            )
        )
