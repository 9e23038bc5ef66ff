"""The workspace: everything that can be done with a project, behind one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import polars as pl

from treadle.app import lineage, mirrors, sharing
from treadle.app.kept import Kept
from treadle.app.stores import clock_of
from treadle.app.wiring import STATE as STATE
from treadle.core import settings
from treadle.core.clock import Clock
from treadle.core.progress import Progress, Silent
from treadle.core.records import DatasetVersion, Revision
from treadle.features.skew import ColumnSkew
from treadle.loop import answered, promotions, served
from treadle.loop.actions import alert
from treadle.loop.approvals import Approval
from treadle.loop.brought import Brought, Said
from treadle.loop.explaining import explain, judged_rows
from treadle.loop.frames import Frames
from treadle.loop.imports import Imported, bring
from treadle.loop.online import with_online_features
from treadle.loop.reruns import Rerun, Reruns

if TYPE_CHECKING:
    from treadle.app.card.record import Card
    from treadle.app.traced import Trace
    from treadle.app.trials.search import Search
    from treadle.evaluation.contributions import Contributions
    from treadle.evaluation.lookups import By
    from treadle.loop.mirroring import Mirrored
    from treadle.registry.mirror import Fetched
    from treadle.serving.predictor import Predictor


def open_workspace(
    project: Path | str | None = None,
    *,
    progress: Progress | None = None,
    clock: Clock | None = None,
    overrides: dict[str, Any] | None = None,
    token: str | None = "",
) -> Workspace:
    """Open the workspace of a project: of a folder, of the nearest one upward with a `treadle.toml`, or of a team server.

    `overrides` maps `section.key` to a value that goes before the file and the environment. Of a team server (`treadle ui`),
    give the address and a token, or `env:NAME`, the variable that holds one.

    Raises:
        NotFound: there is no project here.
        SettingsError: a setting is unknown or has the wrong type.
        ServerUnavailable, AuthRequired: nobody answers there, or the token is none.
    """
    if isinstance(project, str) and project.startswith(("http://", "https://")):
        from treadle.app.remote.workspace import connect

        return connect(project, token=token, progress=progress)
    root = settings.find_root(Path(project) if project is not None else None)
    found = settings.load(root, overrides)
    clock = clock or clock_of(root, found)
    return Workspace(
        root, settings=found, clock=clock, progress=progress or Silent(), overrides=overrides or {}
    )


class Workspace(Kept):
    """All that a project has, behind one object; stores are opened when they are first needed.

    >>> with open_workspace() as ws:                                      # doctest: +SKIP
    ...     turn = ws.run("delay")
    """

    def __enter__(self) -> Workspace:
        """Return the workspace itself."""
        return self

    def ingest(self, name: str | None = None) -> dict[str, DatasetVersion | None]:
        """Read what is new for one dataset, or for all; None stands for nothing new."""
        wanted = [self.project.dataset(name)] if name else list(self.project.datasets.values())
        return {dataset.name: self.datasets.ingest(dataset) for dataset in wanted}

    def features(self, model: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Join a model's features to rows, as of each row's time: what a caller of the endpoint sends."""
        return Frames(self.datasets).with_features(self.project.model(model), rows)

    def join(
        self,
        rows: pl.DataFrame,
        views: Sequence[str],
        *,
        time: str,
        versions: Mapping[str, int] | None = None,
        known_at: datetime | None = None,
    ) -> pl.DataFrame:
        """Join feature views to any rows, each as of its own `time`: for a training of one's own.

        `versions` are dataset versions of the views (the newest by default); with `known_at`, nothing that arrived later is used.

        Raises:
            NotFound: there is no such view.
            InvalidInput: the rows lack a column that a view needs.
        """
        wanted = [self.project.view(name) for name in views]
        return Frames(self.datasets).join(rows, wanted, time=time, versions=versions, known_at=known_at)

    def features_now(self, model: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Add a model's features to rows from the online store, as of now, and those on demand; see `features`.

        What the online store does not have, or while it does not answer, is null (setting `online.on_failure`).
        """
        return with_online_features(self.project.model(model), rows, self.online)

    def skew(
        self, endpoint: str, *, since: datetime | None = None, time: str = served.AT
    ) -> list[ColumnSkew]:
        """Compare features that an endpoint was sent with the offline join for the same entities, the worst first.

        The join is as of the moment at which a prediction was asked for; where callers join features as of a row's own time,
        name its column as `time`. Only predictions since a moment are looked at.
        """
        model = self.project.model(self.endpoints.get(endpoint).variants[0].model)
        predictions = self.predictions.scan(endpoint)
        sent = served.served(predictions, model, self.datasets, since=since, time=time)
        return self.online.skew(served.views_of(model, sent.columns), sent, time=time)

    def answered(self, endpoint: str) -> pl.DataFrame:
        """Return an endpoint's logged predictions whose outcome is known, with answer, outcome and baseline."""
        return answered.answered(self.rooms, endpoint)

    def performance(
        self, endpoint: str, *, metric: str = "", every: str = "1w", by: Sequence[str] = ()
    ) -> pl.DataFrame:
        """Return how good an endpoint's answers were, by stretch of time and version, with 95 % intervals.

        `by` tells them apart further: by `variant`, `revision`, `decision`, or by the values of inputs. Of `asked` answers in a
        stretch, the outcomes of `n` are known by now: the rest is still to come. Only what came since the last look is read. `every` is `1h`, `1d`, `1w`, `1mo` or `all`.

        Raises:
            NotFound: there is no such endpoint.
            InvalidInput: the metric is not for this task, or there is no such stretch or input.
        """
        return answered.performance(self.rooms, endpoint, metric=metric, every=every, by=by)

    def predictor(self, endpoint: str) -> Predictor:
        """Return an endpoint's predictor in this process, with the server's answers."""
        from treadle.app.predictor import open_predictor

        return open_predictor(self, endpoint)

    def promote(self, version: str, *, reason: str, actor: str = "a person") -> Revision:
        """Make a version (as `delay/3`) the champion, and let its model's endpoint answer with it."""
        found = self.models.get(version)
        with self.ledger.write() as connection:
            self.approvals.settle(found, actor=actor, reason=reason, connection=connection)
            revision = promotions.promote(
                self.rooms, found, actor=actor, reason=reason, connection=connection
            )
        self.alerts.resolve(alert.RULE, found.ref)
        self.approvals.resolve(found.model)
        mirrors.send(self, self._progress)
        return revision

    def import_model(self, source: Any, model: str, **said: Unpack[Said]) -> Imported:
        """Make a version of a model that was trained elsewhere: a fitted object, or a file (`.onnx`, `.ubj`, `.txt`, `.cbm`, `.skops`).

        A reference as `models:/delay@champion` is what the configured MLflow registry holds, in the flavour `onnx`.
        It must answer what the declaration of `model` says; for one that the project does not declare, `task` and `sample`
        do. With `judge` the gates decide as about a candidate, and the policy's action follows; otherwise only `promote`
        makes it the champion. See `loop.brought.Brought` for all that
        can be said.

        Raises:
            PackageRefused: the file is damaged or altered, or does not answer as `expected`.
            UnsafeFormat: it holds code that would run when it is read; nothing of it was run.
            InvalidInput: it does not fit the declaration.
            Busy: another process works on this model now.
        """
        with mirrors.mirrored(self, self._progress), mirrors.at_hand(self, source) as there:
            return bring(Brought(source=there, model=model, **said), self.rooms)

    def approve(self, version: str, *, reason: str, actor: str = "a person") -> Approval:
        """Let a version that waits for approval (as `delay/7`) become what the policy says.

        Raises:
            NotFound: it has never waited.
            Conflict: it was decided already, a newer version took its place, or its verdicts are out of date.
        """
        found = self.models.get(version)
        with mirrors.mirrored(self, self._progress):
            return self.approvals.approve(self.project.model(found.model), found, actor=actor, reason=reason)

    def reject(self, version: str, *, reason: str, actor: str = "a person") -> Approval:
        """Say no to a version that waits for approval; who answers stays as it is.

        Raises:
            NotFound: it has never waited.
            Conflict: it was decided already.
        """
        return self.approvals.reject(self.models.get(version), actor=actor, reason=reason)

    def point(self, endpoint: str, version: str, *, reason: str, actor: str = "a person") -> Revision:
        """Let an endpoint answer with one version; an endpoint that does not exist is made."""
        return sharing.point(self, endpoint, version, reason=reason, actor=actor)

    def revise(
        self, endpoint: str, plan: Any, *, reason: str, actor: str = "a person", expected: int | None = None
    ) -> Revision:
        """Let an endpoint answer as a plan says: variants, kind of traffic, holdout; plain values, or a TOML or JSON file.

        Raises:
            InvalidInput, NotFound: the plan cannot hold, or names a version that is not there.
            Conflict: the endpoint is at another revision than `expected`.
        """
        plan = sharing.plan_of(plan)
        return sharing.revise(self, endpoint, plan, reason=reason, actor=actor, expected=expected)

    def trace(self, prediction: str, *, endpoint: str = "") -> Trace:
        """Follow a prediction's id back to revision, version, run, code, environment, data version, window and rows.

        `endpoint` is who answered; empty: it is looked for in the log of each.

        Raises:
            NotFound: no log has it.
        """
        from treadle.app.traced import trace

        return trace(self, prediction, endpoint=endpoint)

    def search(self, run: str) -> Search:
        """Return what a run's search came to: its trials, the best of them, which parameters mattered, and a page.

        Raises:
            NotFound: there is no such run, or it made no search.
        """
        from treadle.app.trials.search import search

        return search(self, run)

    def card(self, version: str) -> Card:
        """Return the card of a version (as `delay@champion`): what it is, how good, made from what, and its limits.

        Scores are taken anew, on the rows that its run was judged on. `treadle.model_card_page` makes a page of it.

        Raises:
            NotFound: there is no such version.
        """
        from treadle.app.card.gathering import card

        return card(self, version)

    def explain(
        self, version: str, rows: pl.DataFrame | None = None, *, by: By = None, seed: int = 0
    ) -> Contributions:
        """Say what each input adds to a version's answers (Shapley values): for rows with its inputs, else for its test rows.

        Exact for linear models, trees and what its library explains itself; else an estimate with its error. `summary()` is
        over all and by slice (`by` names columns of the rows), `frame()` row by row.

        Raises:
            NotFound: there is no such version.
            InvalidInput: the rows do not fit its signature, or there are none.
        """
        found = self.models.get(version)
        if rows is None:
            model = self.project.model(found.model)
            rows = judged_rows(model, self.runs.get(found.run), self.rooms)
        return explain(found, rows, self.rooms, by=by, seed=seed)

    def rerun(self, run: str) -> Rerun:
        """Train a run again as it was recorded, and say whether the numbers are the same or what differs; nothing is kept.

        Raises:
            NotFound: there is no such run, its model is no longer declared, or a dataset version that it read is gone.
            RunFailed: the training failed now.
        """
        from treadle.app.rerunner import job

        return Reruns(self.rooms, jobs=lambda model, folder: job(self, model, folder)).rerun(run)

    def mirror(self, *, again: bool = False) -> list[Mirrored]:
        """Send what trackers elsewhere do not show yet, and say how far each is.

        They are MLflow at `MLFLOW_TRACKING_URI`, and whoever takes OpenLineage events at `OPENLINEAGE_URL`. `again` looks for
        everything that was ever sent there, and sends what is missing; events are all sent again.
        """
        found = [one for one in (mirrors.mirroring(self), lineage.lineage(self)) if one is not None]
        if again:
            for one in found:
                one.again()
        sent = [one.send(seconds=None, eager=True) for one in found]
        return [one for told in sent for one in (told if isinstance(told, list) else [told])]

    def fetch(self, reference: str, *, to: Path | None = None, allow_code: bool = False) -> Fetched:
        """Return a model that the configured MLflow registry holds, as `models:/delay@champion` or `models:/delay/3`.

        Its files are written into the new folder `to`, where one is named. Nothing of them is run.

        Raises:
            SettingsError: no mirror is configured.
            NotFound: there is no such model, version or alias.
            UnsafeFormat: reading it would run code that is stored in it, and `allow_code` is not given.
            MirrorUnavailable: the server does not answer.
        """
        return mirrors.fetch(self, reference, to=to, allow_code=allow_code)
