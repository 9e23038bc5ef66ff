"""What is fresh, what is stale, and why: the state of a project in one record."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from treadle.app import lineage, mirrors
from treadle.core.alert import Alert
from treadle.core.errors import NotFound, SettingsError, TreadleError
from treadle.core.records import Decision, Record, Revision, Run, ServerState, Variant
from treadle.core.rollout import RolloutState
from treadle.features import materialisations
from treadle.features.materialisations import ViewFreshness
from treadle.loop.approvals import Approval
from treadle.loop.mirroring import Mirrored
from treadle.loop.promises import Standing

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace
    from treadle.loop.projects import Project


class DatasetStatus(Record, frozen=True, kw_only=True):
    """One dataset, or the rows of a feature view."""

    name: str
    #: Newest version; 0: nothing was ingested yet.
    version: int = 0
    rows: int = 0
    outcomes_known: int = 0
    #: Rows put aside, over all versions.
    quarantined: int = 0
    #: Event time of the newest row.
    newest: datetime | None = None
    #: Files that could not be read, as `path: reason`, and what in the declaration contradicts the stored rows.
    problems: tuple[str, ...] = ()


class TreeStatus(Record, frozen=True, kw_only=True):
    """One tree: what its newest version holds."""

    name: str
    #: Newest version; 0: nothing was added yet.
    version: int = 0
    #: When it was made.
    at: datetime | None = None
    files: int = 0
    #: Bytes of all its files.
    size: int = 0
    #: Versions that can be read.
    versions: int = 0
    #: Files that could not be had, as `path: reason`.
    problems: tuple[str, ...] = ()


class ModelStatus(Record, frozen=True, kw_only=True):
    """One model: who answers, how old that is, and whether it is due."""

    name: str
    #: Version that answers now; None: none was released yet.
    champion: int | None = None
    #: End of the data that the champion was trained on.
    trained_until: datetime | None = None
    #: Days from there to now.
    age_days: float | None = None
    #: What is older than the policy allows, as sentences.
    stale: tuple[str, ...] = ()
    #: The version that waits for a person, and why it can no longer be approved (empty: it can).
    waiting: Approval | None = None
    hindrance: str = ""
    last_run: Run | None = None
    decision: Decision
    #: Things that a person should know.
    notes: tuple[str, ...] = ()


class EndpointStatus(Record, frozen=True, kw_only=True):
    """One endpoint: its newest revision, and what the servers have loaded."""

    name: str
    revision: int
    variants: tuple[Variant, ...]
    #: The rollout that is on its way.
    rollout: RolloutState | None = None
    servers: tuple[ServerState, ...] = ()


class Status(Record, frozen=True, kw_only=True):
    """The state of a project."""

    project: str
    at: datetime
    datasets: tuple[DatasetStatus, ...]
    trees: tuple[TreeStatus, ...]
    #: Feature views that are read online, with how fresh their values are there.
    online: tuple[ViewFreshness, ...]
    models: tuple[ModelStatus, ...]
    endpoints: tuple[EndpointStatus, ...]
    alerts: tuple[Alert, ...]
    #: How promises stand.
    slos: tuple[Standing, ...] = ()
    #: Trackers elsewhere, with how much they were not told yet.
    mirrors: tuple[Mirrored, ...] = ()


def status(workspace: Workspace) -> Status:
    """Gather the state of a project, as it is at one moment; nothing is ingested and nothing is written."""
    project = workspace.project
    with workspace.ledger.snapshot():
        return _status(workspace, project)


def datasets_and_trees(workspace: Workspace) -> tuple[list[DatasetStatus], list[TreeStatus]]:
    """Gather the state of what has landed: datasets with the rows of feature views, and trees."""
    project = workspace.project
    with workspace.ledger.snapshot():
        datasets = [_dataset(workspace, name) for name in project.datasets]
        return datasets, [_tree(workspace, name) for name in project.trees]


def _status(workspace: Workspace, project: Project) -> Status:
    rollouts = {state.endpoint: state for state in workspace.rollouts.list(open_only=True)}
    return Status(
        project=workspace.settings.project.name,
        at=workspace.clock.now(),
        datasets=tuple(_dataset(workspace, name) for name in project.datasets),
        trees=tuple(_tree(workspace, name) for name in project.trees),
        online=_online(workspace),
        models=tuple(_model(workspace, name) for name in project.models),
        endpoints=tuple(
            _endpoint(workspace, revision, rollouts.get(name))
            for name, revision in sorted(workspace.endpoints.current().items())
        ),
        alerts=tuple(workspace.alerts.open()),
        slos=tuple(workspace.promises.standings()),
        mirrors=_mirrors(workspace),
    )


def _mirrors(workspace: Workspace) -> tuple[Mirrored, ...]:
    try:
        shown = mirrors.mirroring(workspace).state() if workspace.mirrors else []
    except SettingsError as error:
        shown = [Mirrored(place="mirror", error=str(error))]
    try:
        told = lineage.lineage(workspace)
        return (*shown, *([told.state()] if told else []))
    except SettingsError as error:
        return (*shown, Mirrored(place="openlineage", error=str(error)))


def _dataset(workspace: Workspace, name: str) -> DatasetStatus:
    problems = (*workspace.datasets.problems(name), *_contradictions(workspace, name))
    try:
        newest = workspace.datasets.version(name)
    except NotFound:
        return DatasetStatus(name=name, problems=problems)
    return DatasetStatus(
        name=name,
        version=newest.version,
        rows=newest.rows,
        outcomes_known=newest.outcomes_known,
        quarantined=workspace.quarantine.ever(name),
        newest=newest.time_max,
        problems=problems,
    )


def _contradictions(workspace: Workspace, name: str) -> tuple[str, ...]:
    try:
        workspace.datasets.pin(workspace.project.dataset(name))
    except TreadleError as error:
        return (str(error),)
    return ()


def _tree(workspace: Workspace, name: str) -> TreeStatus:
    try:
        versions = workspace.trees.versions(name)
    except NotFound:
        return TreeStatus(name=name)
    newest = versions[-1]
    return TreeStatus(
        name=name,
        version=newest.version,
        at=newest.created_at,
        files=newest.files,
        size=newest.size,
        versions=sum(version.collected_at is None for version in versions),
        problems=newest.problems,
    )


def _online(workspace: Workspace) -> tuple[ViewFreshness, ...]:
    known = materialisations.served(workspace.ledger)
    served = [name for name in workspace.project.views if name in known]
    if not served:
        return ()
    try:
        return tuple(one for one in workspace.online.freshness() if one.view in served)
    except TreadleError as error:  # it cannot even be opened
        return tuple(ViewFreshness(view=name, store="", problem=str(error)) for name in served)


def _model(workspace: Workspace, name: str) -> ModelStatus:
    model = workspace.project.model(name)
    number = workspace.models.aliases(name).get("champion")
    champion = workspace.models.get(f"{name}/{number}") if number else None
    notes = list(champion.notes) if champion else []
    if not model.gates:
        notes.append("no gates are declared: every version that trains is released")
    until = champion.window.end if champion else None
    fresh = workspace.concerns.freshness(model)
    notes += fresh.notes
    waiting = next(iter(workspace.approvals.list(name, state="waiting")), None)
    return ModelStatus(
        name=name,
        waiting=waiting,
        hindrance=workspace.approvals.hindrance(model, waiting) if waiting else "",
        champion=number,
        trained_until=until,
        age_days=(workspace.clock.now() - until).total_seconds() / 86_400 if until else None,
        stale=tuple(fresh.stale.values()),
        last_run=next(iter(workspace.runs.list(model=name, limit=1)), None),
        decision=workspace.decisions.decide(model),
        notes=tuple(notes),
    )


def _endpoint(workspace: Workspace, revision: Revision, rollout: RolloutState | None) -> EndpointStatus:
    return EndpointStatus(
        name=revision.endpoint,
        revision=revision.revision,
        variants=revision.variants,
        rollout=rollout,
        servers=tuple(workspace.endpoints.states(revision.endpoint)),
    )
