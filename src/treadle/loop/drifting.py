"""Whether what a model is asked now is what it has learnt from: its log, or newer rows, against a version's reference."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import polars as pl

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.ids import digest_of
from treadle.core.records import ModelVersion
from treadle.loop import estimating, references, seen
from treadle.loop.estimating import Stretch
from treadle.loop.fitting import data_of
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.pace import Pace
from treadle.loop.rooms import Rooms
from treadle.loop.seen import Seen
from treadle.monitoring.drift import Asked, Drift, compare
from treadle.monitoring.reference import Reference, from_bytes, to_bytes

#: Columns that a trigger's reason names.
_NAMED = 5
#: What share of the time reading what was compared may take, of all models.
_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Of:
    """Which rows are compared, and with what.

    Raises:
        InvalidInput: the span is none, or there is both an endpoint and a dataset version.
    """

    #: How far back from the newest row, as `7d`; empty: all of the log, or all rows after the version's window.
    window: str = "7d"
    #: The version that they are compared with, by number or alias; None: the champion.
    against: str | int | None = None
    #: The endpoint whose log holds them; empty: that of the model's name, where it has answered, else the dataset.
    endpoint: str = ""
    #: The dataset version that they are from, in place of a log; None: the newest, where no endpoint has answered.
    dataset_version: int | None = None
    asked: Asked = field(default_factory=Asked)

    @property
    def question(self) -> str:
        """A short digest of all of it: comparisons of one question can stand for each other."""
        asked = {name: getattr(self.asked, name) for name in ("rate", "detectors", "columns")}
        told = [self.window, self.endpoint, self.dataset_version, asked, dict(self.asked.least)]
        return digest_of(told).partition(":")[2][:12]

    def __post_init__(self) -> None:
        """Check what was given."""
        if self.window:
            parse_span(self.window)
        if self.endpoint and self.dataset_version is not None:
            msg = "Rows are of the log of an endpoint, or of a dataset version: leave one of the two out."
            raise InvalidInput(msg, field="endpoint")


class Drifting:
    """Compares what a model is asked with what it has learnt from.

    >>> Drifting(rooms).look(delay, Of(window="1d")).text  # doctest: +SKIP
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._read: dict[str, Reference] = {}
        self._pace: Pace[Drift | None] = Pace(share=_SHARE)
        #: By model: the version, and how many comparisons this process had kept, when the newest one was read.
        self._stamps: dict[str, tuple[str, int]] = {}

    def look(self, model: Model, of: Of | None = None, *, keep: bool = True) -> Drift:
        """Compare the rows of a window with a version's reference, and keep what it came to.

        Raises:
            NotFound: the version has no reference, or there are no rows.
            InvalidInput: a column that was asked for is not in the reference.
        """
        wanted = of or Of()
        version = self.version(model, wanted.against)
        reference = self.reference(version)
        rows = self._rows(model, version, wanted)
        found = compare(
            reference,
            rows.parts,
            version=f"{version.model}/{version.version}",
            source=rows.source,
            at=self._rooms.clock.now(),
            asked=wanted.asked,
            time=rows.time,
            start=rows.start,
            end=rows.end,
            notes=rows.notes,
            estimates=estimating.whole(reference.estimator, rows.answers),
        )
        if keep:
            self._rooms.drifts().keep(model.name, found, question=wanted.question)
        return found

    def recent(
        self,
        model: Model,
        of: Of | None = None,
        *,
        every: str = "1h",
        version: ModelVersion | None = None,
    ) -> Drift | None:
        """Return the newest comparison with the champion, a new one where that is older than `every`; None: nothing can be compared.

        What a trigger asks at every tick: between two looks it costs one read of a small table, and not at each tick where models are many;
        nothing is written. `version` is the one to compare with, for who knows it.
        """
        wanted = of or Of()
        try:
            version = version or self.version(model, wanted.against)
        except NotFound:
            return None
        ref, drifts = f"{version.model}/{version.version}", self._rooms.drifts()
        self._drop_old(model, (ref, drifts.kept(model.name)))
        # Of the same question only: what a person asked for, of other columns or another window, says nothing of this.
        last = self._pace.of(
            model.name, lambda: drifts.latest(model.name, version=ref, question=wanted.question)
        )
        now = self._rooms.clock.now()
        if last is not None and timedelta(0) <= now - last.at < parse_span(every):
            return last
        self._pace.drop(model.name)
        try:
            return self.look(model, wanted)
        except NotFound:
            return last

    def _drop_old(self, model: Model, stamp: tuple[str, int]) -> None:
        """Let what was read count no more where another version answers, or where this process has compared anew."""
        if self._stamps.get(model.name) != stamp:
            self._pace.drop(model.name)
            self._stamps[model.name] = stamp

    def estimates(self, model: Model, of: Of | None = None, *, every: str = "1w") -> list[Stretch]:
        """Estimate how good a version's answers were by stretch of time, before outcomes are known, beside what is known by now.

        Raises:
            NotFound: the version has no reference, or there are no rows.
            InvalidInput: nothing was learnt from which they could be estimated.
        """
        wanted = replace(of or Of(), window=of.window if of else "")
        version = self.version(model, wanted.against)
        reference = self.reference(version)
        if reference.estimator is None:
            msg = (
                f"How good answers of {version.model}/{version.version} are cannot be estimated: that is possible for classes and for single numbers, "
                "where at least 200 rows were kept apart (td.HashSplit(validation=0.1)). Compare with outcomes: ws.performance."
            )
            raise InvalidInput(msg)
        return estimating.stretches(
            reference.estimator, self._rows(model, version, wanted).answers, every=every
        )

    def version(self, model: Model, against: str | int | None) -> ModelVersion:
        """Return the version to compare with: by number, alias or reference; by default the champion, else the newest.

        Raises:
            NotFound: there is none.
        """
        if against is None:
            with suppress(NotFound):
                return self._rooms.models.get(model.name)
            return self._rooms.models.versions(model.name)[-1]
        text = str(against)
        plain = (
            text
            if "/" in text or "@" in text
            else f"{model.name}/{text}"
            if text.isdigit()
            else f"{model.name}@{text}"
        )
        return self._rooms.models.get(plain)

    def reference(self, version: ModelVersion) -> Reference:
        """Return a version's reference.

        Raises:
            NotFound: it has none; the message says how it gets one.
        """
        if not version.reference:
            msg = (
                f"{version.model}/{version.version} has no reference to compare with: it was made before there were any, or elsewhere. "
                f"Learn it from what its run has read: treadle drift {version.model} --against {version.version} --learn"
            )
            raise NotFound(msg)
        if version.reference not in self._read:
            self._read[version.reference] = from_bytes(self._rooms.objects.get(version.reference))
        return self._read[version.reference]

    def learn(self, model: Model, against: str | int | None = None) -> ModelVersion:
        """Make the reference of a version anew from what its run has read, and return the version with it.

        Raises:
            NotFound: there is no such version, or what it read is gone.
            InvalidInput: it was not trained here.
        """
        version = self.version(model, against)
        run = self._rooms.runs.get(version.run)
        if run.origin is not None or not run.data:
            msg = f"{version.model}/{version.version} was not trained here, so nothing says what it learnt from. Compare with a version that was: --against."
            raise InvalidInput(msg)
        rows = Frames(self._rooms.datasets).rows(model, versions=run.data, window=version.window)
        data = data_of(model, rows.filter(pl.col("_split").is_in(["train", "validation"])), version.window)
        predict = references.predicts(self._rooms.models.load(version), version.signature)
        made = references.of_training(predict, data, version.signature, seed=run.seed)
        return self._rooms.models.refer(version, self._rooms.objects.put(to_bytes(made)))

    def _rows(self, model: Model, version: ModelVersion, of: Of) -> Seen:
        if of.dataset_version is None:
            found = seen.logged(model, version, self._rooms, endpoint=of.endpoint, window=of.window)
            if found is not None:
                return found
            if of.endpoint:
                msg = f"The log of endpoint {of.endpoint!r} has no prediction of {model.name!r}. Ask it first, or compare rows of the dataset."
                raise NotFound(msg)
        return seen.landed(model, version, self._rooms, dataset_version=of.dataset_version, window=of.window)


def drifting(found: Drift | None, *, columns: int = 1, importance: float = 0.0) -> tuple[bool, str]:
    """Say whether at least so many columns are drifting that answers depend on at least so much, and why: for triggers.

    What is no input (predictions, confidence, target) counts whatever the importance.

    >>> drifting(None)
    (False, 'there is nothing to compare yet')
    """
    if found is None:
        return False, "there is nothing to compare yet"
    counted = [one for one in found.drifted if one.importance is None or one.importance >= importance]
    names = list(dict.fromkeys(one.column for one in counted))
    if len(names) < columns:
        beside = (
            f"; {len(found.drifted) - len(counted)} findings in columns that matter less"
            if len(counted) < len(found.drifted)
            else ""
        )
        return (
            False,
            f"{len(names)} of {columns} columns have drifted in {found.rows:,} rows since {found.version} was trained{beside}",
        )
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return (
        True,
        f"{shown or 'the columns together'} drifted since {found.version} was trained: {counted[0].text}",
    )
