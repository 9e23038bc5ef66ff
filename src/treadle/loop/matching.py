"""An endpoint's answers beside what came of them, read piece by piece: those of some hours, or those of which something is new.

An answer that was logged twice, as its request was sent again, counts once: the row that was shipped first. Of a piece of the log only
the outcomes of its own answers are read; their ids rise with time where servers gave them, and then that is a piece of that log too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from treadle.core.errors import NotFound
from treadle.loop import landed, live
from treadle.loop.rooms import Rooms
from treadle.loop.texts import texts_of
from treadle.monitoring import outcomes
from treadle.monitoring.views import Mark
from treadle.serving.frames import COMMIT, OUTCOMES

#: Rows that are read at once, about.
PIECE = 1_000_000
_ID, _AT, _KEY = "prediction_id", "at", "key"
_NARROW = (
    _ID,
    "request_id",
    _AT,
    "model",
    "version",
    _KEY,
    "prediction",
    "probability",
    "outputs",
    "sampled",
    COMMIT,
)
_OLDER, _HASH, _CHECK = "_older", "_hash", "_check"


@dataclass(frozen=True)
class Moment:
    """How far logs and datasets are looked at."""

    predictions: int
    outcomes: int
    #: Versions of datasets.
    landed: dict[str, int]


class Matching:
    """The logs of an endpoint as they are when this is made; `by` are columns of the log, or names of inputs."""

    def __init__(self, rooms: Rooms, endpoint: str, *, by: Sequence[str] = ()) -> None:
        self._rooms, self._endpoint = rooms, endpoint
        self._outcomes = rooms.outcomes().held(endpoint)
        self._predictions = rooms.predictions().held(endpoint)
        self._names = tuple(by)
        self.by = [f"by{place}" for place in range(len(by))]
        self._datasets = self._dataset_versions()

    @property
    def shipped(self) -> Moment:
        """What is in tables."""
        return Moment(self._predictions.shipped, self._outcomes.shipped, self._datasets)

    @property
    def newest(self) -> Moment:
        """All there is, with what servers on this machine have not shipped yet."""
        return Moment(self._predictions.newest, self._outcomes.newest, self._datasets)

    def mark(self, change: int, center: tuple[float, ...]) -> Mark:
        """Return how far what is in tables goes."""
        one, other = self._predictions.extent, self._outcomes.extent
        return Mark(
            change=change,
            predictions=one.version,
            outcomes=other.version,
            unstamped=(one.unstamped, other.unstamped),
            first=one.first,
            reported=other.rows,
            landed=self._datasets,
            center=center,
        )

    def follows(self, mark: Mark) -> bool:
        """Return whether all that changed since a mark can be told: rows were only added, or left as they grew too old."""
        now = self.mark(0, ())
        return (
            now.predictions >= mark.predictions
            and now.outcomes >= mark.outcomes
            and now.unstamped == mark.unstamped
            and now.reported >= mark.reported
            and now.first == mark.first
        )

    def hours(self, every: str) -> pl.DataFrame:
        """Return `start` and the rows of each stretch that has any, in order."""
        start = pl.col(_AT).dt.truncate(every).alias("start")
        return self._answers(self.newest).group_by(start).agg(pl.len().alias("rows")).sort("start").collect()

    def within(self, start: datetime | None, end: datetime | None, moment: Moment) -> pl.DataFrame:
        """Return the answers of a stretch, from its start to before its end."""
        inside = pl.lit(value=True)
        if start is not None:
            inside &= pl.col(_AT) >= start
        if end is not None:
            inside &= pl.col(_AT) < end
        answers = self._answers(moment)
        rows = _once(self._read(answers.filter(inside)))
        if rows.is_empty() or (start is None and end is None):
            return rows
        outside = pl.lit(value=False)
        if start is not None:
            outside |= pl.col(_AT) < start
        if end is not None:
            outside |= pl.col(_AT) >= end
        again = answers.filter(outside & _between(rows[_ID])).select(_ID, COMMIT, _AT)
        return _but_first_elsewhere(rows, again.collect())

    def changed(self, before: Moment, after: Moment) -> pl.DataFrame | None:
        """Return the answers that are new after a moment, or have new outcomes; None: it cannot be told which these are."""
        answers = self._answers(after)
        is_old = pl.col(COMMIT) <= before.predictions
        new = _once(self._read(answers.filter(~is_old)))
        old = answers.filter(is_old)
        if new.height and before.predictions >= 0:
            again = old.filter(_between(new[_ID]) & _among(new[_ID])).select(_ID).collect()
            new = new.join(again, on=_ID, how="anti")
        since = pl.col(COMMIT) > before.outcomes
        told = (
            self._outcomes.rows.filter(since & (pl.col(COMMIT) <= after.outcomes)).select(_ID, _KEY).collect()
        )
        ids, keys = told[_ID].drop_nulls().unique(), told[_KEY].drop_nulls().unique()
        parts = [new]
        if len(ids):
            parts.append(self._read(old.filter(_between(ids) & _among(ids))))
        if len(keys):
            parts.append(self._read(old.filter(_among(keys, _KEY))))
        for model, version in self._moved(before, after).items():
            try:
                found = self._landed_between(old, model, version, after.landed[self._dataset(model)])
            except NotFound:  # that version was collected
                return None
            parts.append(self._read(old.filter((pl.col("model") == model) & _among(found, _KEY))))
        return _once(pl.concat(parts))

    def beside(self, rows: pl.DataFrame, moment: Moment, *, dense: bool = True) -> pl.DataFrame:
        """Add to answers what came of them by a moment, as `outcomes.join` does; `dense`: they are most of their stretch."""
        told = self._outcomes.rows.filter(pl.col(COMMIT) <= moment.outcomes)
        parts = [told.head(0)]
        if rows.height:
            near = _between(rows[_ID])
            parts.append(told.filter(near if dense else near & _among(rows[_ID])))
        if rows.height and not rows[_KEY].count():
            found = _by_id(rows, parts[-1])
            if found is not None:
                return found
        keys = rows[_KEY].drop_nulls().unique()
        if len(keys):
            parts.append(told.filter(_among(keys, _KEY)))
        reported = pl.concat(parts).select(*OUTCOMES, COMMIT).collect()
        reported = reported.sort("at", COMMIT, "outcome_id")
        known = landed.with_landed(
            self._rooms, self._endpoint, reported.drop(COMMIT), rows.lazy(), moment.landed
        )
        return outcomes.join(rows, outcomes.reported(known))

    def _answers(self, moment: Moment) -> pl.LazyFrame:
        return self._predictions.rows.filter(~pl.col("shadow") & (pl.col(COMMIT) <= moment.predictions))

    def _read(self, rows: pl.LazyFrame) -> pl.DataFrame:
        texts = ["inputs"] if any(live.is_input(name) for name in self._names) else []
        plain = [
            pl.col(name).cast(pl.String).alias(column)
            for name, column in zip(self._names, self.by, strict=True)
            if not live.is_input(name)
        ]
        read = rows.select(*_NARROW, *plain, *texts).collect()
        sent = [
            texts_of(read["inputs"], name).alias(column)
            for name, column in zip(self._names, self.by, strict=True)
            if live.is_input(name)
        ]
        return read.with_columns(sent).select(*_NARROW, *self.by)

    def _dataset(self, model: str) -> str:
        return self._rooms.project.models[model].data.name

    def _dataset_versions(self) -> dict[str, int]:
        """Return the newest versions of the datasets whose rows may be the truth of answers."""
        found = {}
        for name in self._models():
            model = self._rooms.project.models.get(name)
            if model is not None and landed.has_outcomes(model):
                try:
                    found[model.data.name] = self._rooms.datasets.version(model.data.name).version
                except NotFound:  # nothing of it has landed
                    continue
        return found

    def _models(self) -> set[str]:
        """Return the models that have answered."""
        revisions = self._rooms.endpoints.revisions(self._endpoint)
        return {self._endpoint, *(variant.model for one in revisions for variant in one.variants)}

    def _moved(self, before: Moment, after: Moment) -> dict[str, int | None]:
        """Return the models whose dataset has another version than before, and which it had then."""
        models = [self._rooms.project.models.get(name) for name in sorted(self._models())]
        return {
            one.name: before.landed.get(one.data.name)
            for one in models
            if one is not None
            and one.data.name in after.landed
            and landed.has_outcomes(one)
            and before.landed.get(one.data.name) != after.landed[one.data.name]
        }

    def _landed_between(self, old: pl.LazyFrame, model: str, before: int | None, after: int) -> pl.Series:
        """Return the keys of a model's answers whose truth is another after a version of its dataset than after an earlier one."""
        asked = old.filter((pl.col("model") == model) & pl.col(_KEY).is_not_null()).select(
            pl.col(_KEY).unique()
        )
        keys, declared = asked.collect()[_KEY], self._rooms.project.models[model]
        now = landed.truths(declared, keys, self._rooms, version=after)
        if before is None:
            return now[_KEY]
        then = landed.truths(declared, keys, self._rooms, version=before)
        return pl.concat([_apart(now, then), _apart(then, now)]).unique()


def _apart(one: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    return one.join(other, on=one.columns, how="anti", nulls_equal=True)[_KEY]


def _between(values: pl.Series, column: str = _ID) -> pl.Expr:
    return (pl.col(column) >= values.min()) & (pl.col(column) <= values.max())


def _among(values: pl.Series, column: str = _ID) -> pl.Expr:
    return pl.col(column).is_in(values.implode())


def _once(rows: pl.DataFrame) -> pl.DataFrame:
    """Return each answer once: the row that was shipped first."""
    if not _has_repeated(rows[_ID].hash()):
        return rows
    return rows.sort(COMMIT, _AT).unique(_ID, keep="first", maintain_order=True)


def _has_repeated(hashes: pl.Series) -> bool:
    """Return whether there may be equal values: where all hashes differ, so do the values."""
    return hashes.n_unique() < len(hashes)


def _by_id(rows: pl.DataFrame, told: pl.LazyFrame) -> pl.DataFrame | None:
    """Add the outcomes of answers, each a number and said once, by their ids; None: they are not all like that.

    Ids are compared by two hashes of 64 bits each, which costs a fraction of comparing texts.
    """
    names = [pl.col(_ID).hash(seed).alias(name) for seed, name in ((1, _HASH), (2, _CHECK))]
    found = told.select(
        *names, pl.col("value").alias(outcomes.OUTCOME), pl.col("text").is_not_null().alias("_named")
    )
    known = found.filter(pl.col(outcomes.OUTCOME).is_not_nan() | pl.col("_named")).collect()
    if known["_named"].any() or _has_repeated(known[_HASH]):
        return None
    beside = rows.with_columns(names).join(known.drop("_named"), on=_HASH, how="left", maintain_order="left")
    if beside.select((pl.col(_CHECK) != pl.col(f"{_CHECK}_right")).any()).item():
        return None
    return beside.drop(_HASH, _CHECK, f"{_CHECK}_right")


def _but_first_elsewhere(rows: pl.DataFrame, again: pl.DataFrame) -> pl.DataFrame:
    """Leave out rows that were shipped before with another moment."""
    same = again.join(rows.select(_ID), on=_ID, how="semi")
    if same.is_empty():
        return rows
    first = same.sort(COMMIT, _AT).unique(_ID, keep="first").rename({COMMIT: _OLDER, _AT: f"{_OLDER}_at"})
    beside = rows.join(first, on=_ID, how="left", maintain_order="left")
    older = (pl.col(_OLDER) < pl.col(COMMIT)) | (
        (pl.col(_OLDER) == pl.col(COMMIT)) & (pl.col(f"{_OLDER}_at") < pl.col(_AT))
    )
    return beside.filter(~older.fill_null(value=False)).drop(_OLDER, f"{_OLDER}_at")
