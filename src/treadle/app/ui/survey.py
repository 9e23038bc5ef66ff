"""A look at every model: how fresh it is, who waits, and what its policy will do; read from services, for the overview."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from treadle.core.alert import Alert
from treadle.core.records import Alias, Decision, ModelVersion, Revision, Run
from treadle.core.rollout import RolloutState
from treadle.loop.approvals import Approval
from treadle.loop.concerns import Concerns
from treadle.loop.decisions import Decisions
from treadle.loop.outlook import Outlook, outlook
from treadle.loop.picture import Picture
from treadle.loop.promises import Standing

if TYPE_CHECKING:
    from treadle.app.ui.page import Seen
    from treadle.app.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """One model."""

    name: str
    champion: ModelVersion | None
    #: How the champion came to be it.
    since: Alias | None
    #: What is older than the policy allows, as sentences.
    stale: tuple[str, ...]
    waiting: Approval | None
    last_run: Run | None
    decision: Decision
    outlook: Outlook
    #: Endpoints that its versions answer at, its own first.
    endpoints: tuple[Revision, ...] = ()

    @property
    def state(self) -> str:
        """What the model is, in one word: the worst first."""
        if self.last_run is not None and self.last_run.status == "failed":
            return "failed"
        if self.waiting is not None:
            return "waits"
        if self.champion is None:
            return "none"
        return "stale" if self.stale else "due" if self.decision.due else "fresh"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Every model at one moment, and what a person should look at."""

    at: datetime
    models: tuple[Surveyed, ...] = ()
    alerts: tuple[Alert, ...] = ()
    rollouts: tuple[RolloutState, ...] = ()
    promises: tuple[Standing, ...] = ()


def survey(seen: Seen) -> Survey | None:
    """Return the newest look at every model; None: the first one is under way."""
    workspace, kept = seen.workspace, seen.kept
    picture = kept.get(("picture",), lambda: Picture(workspace.rooms))
    if picture is None:
        return None
    stamp = f"{workspace.ledger.pulse()} {seen.now:%Y-%m-%d %H:%M}"
    return kept.get(("survey",), lambda: surveyed(workspace, picture), stamp=stamp)


def surveyed(workspace: Workspace, picture: Picture) -> Survey:
    """Look at every model."""
    picture.spoil()
    rooms, project = workspace.rooms, workspace.project
    decisions, concerns = Decisions(rooms, known=picture), Concerns(rooms, known=picture)
    revisions = workspace.endpoints.current()
    found = []
    for name, model in project.models.items():
        facts = decisions.facts(model)
        decision = model.policy.decide(facts)
        champion, moves = picture.champion(name), workspace.models.history(name, "champion")
        found.append(
            Surveyed(
                name=name,
                champion=champion,
                since=moves[-1] if moves else None,
                stale=tuple(concerns.freshness(model).stale.values()),
                waiting=next(iter(picture.approvals(name)), None),
                last_run=next(iter(picture.runs(name)), None),
                decision=decision,
                outlook=outlook(model.policy, facts, decision),
                endpoints=_of(name, revisions),
            )
        )
    return Survey(
        at=workspace.clock.now(),
        models=tuple(found),
        alerts=tuple(workspace.alerts.open()),
        rollouts=tuple(workspace.rollouts.list(open_only=True)),
        promises=tuple(workspace.promises.standings()),
    )


def _of(model: str, revisions: dict[str, Revision]) -> tuple[Revision, ...]:
    mine = [one for one in revisions.values() if any(variant.model == model for variant in one.variants)]
    return tuple(sorted(mine, key=lambda one: (one.endpoint != model, one.endpoint)))
