"""What may be collected and what may not: versions that models were trained on stay, whatever their age."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.app.profiled import forget_profiles
from treadle.core.errors import StoreUnavailable, not_found
from treadle.core.records import DatasetVersion, ModelVersion, Record
from treadle.data.tree.collection import Collected as CollectedTree
from treadle.data.trees import TreeVersion
from treadle.data.upkeep import Collected
from treadle.features import materialisations
from treadle.loop import leftovers
from treadle.registry.collection import Fate, Loose
from treadle.serving.expiry import Aged

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from treadle.app.workspace import Workspace


class Forgotten(Record, frozen=True, kw_only=True):
    """What was forgotten for ever, and who had seen it."""

    dataset: str
    #: The version that was made without it.
    version: int
    #: Rows of the newest version that were removed; there may have been more in earlier ones and in quarantine.
    removed: int
    #: Model versions whose data had it, as `delay/3`: what they learnt is still in them.
    models: tuple[str, ...]


#: What can be collected.
KINDS = ("datasets", "trees", "models", "predictions")

_NOUNS = {"predictions": "endpoint with a log"}


class Garbage(Record, frozen=True, kw_only=True):
    """What a collection removed, or would remove."""

    datasets: tuple[Collected, ...] = ()
    trees: tuple[CollectedTree, ...] = ()
    #: Each version of a model that has a package, and why it stays; empty: it goes.
    models: tuple[Fate, ...] = ()
    #: Packages that no version has.
    loose: tuple[Loose, ...] = ()
    #: The tables of the prediction log, and which rows of them are older than the settings say.
    predictions: tuple[Aged, ...] = ()


def collect(
    workspace: Workspace,
    names: Collection[str] | None,
    *,
    what: Sequence[str],
    last: int,
    younger_than: timedelta,
    dry_run: bool,
) -> Garbage:
    """Collect some datasets, trees, models and logs (None: all) and what of them is online, or say what would be removed.

    Raises:
        NotFound: there is nothing of a name, or no such kind.
    """
    since = workspace.clock.now() - younger_than
    there = _there(workspace, names, what)
    found = Garbage(
        datasets=tuple(
            workspace.datasets.collect(name, keep=_kept(workspace, name, last, since), dry_run=dry_run)
            for name in there["datasets"]
        ),
        trees=tuple(
            workspace.trees.collect(name, keep=_kept_of_tree(workspace, name, last, since), dry_run=dry_run)
            for name in there["trees"]
        ),
        predictions=tuple(
            aged for name in there["predictions"] for aged in workspace.expiry.collect(name, dry_run=dry_run)
        ),
    )
    if not dry_run and any(_is_online(workspace, one.dataset) for one in found.datasets):
        workspace.online.collect(dry_run=False)
    if "models" not in what or (names is not None and not there["models"]):
        return found
    fates, loose = workspace.models.collect(
        there["models"] if names is not None else (),
        last=last,
        since=since,
        held=partial(_held, workspace),
        beside=partial(leftovers.beside, now=workspace.clock.now()),
        dry_run=dry_run,
    )
    return msgspec.structs.replace(found, models=tuple(fates), loose=tuple(loose))


def _there(workspace: Workspace, names: Collection[str] | None, what: Sequence[str]) -> dict[str, list[str]]:
    """Return the datasets, trees, models and endpoints with a log of these names."""
    for kind in what:
        if kind not in KINDS:
            raise not_found("kind of thing to collect", kind, KINDS)
    known: dict[str, Callable[[], Sequence[str]]] = {
        "datasets": workspace.datasets.names,
        "trees": workspace.trees.names,
        "models": workspace.models.names,
        "predictions": lambda: workspace.expiry.endpoints(),
    }
    found = {kind: list(known[kind]()) if kind in what else [] for kind in KINDS}
    for name in names or ():
        if not any(name in there for there in found.values()):
            noun = " or ".join(_NOUNS.get(kind, kind.removesuffix("s")) for kind in what)
            raise not_found(noun, name, [one for there in found.values() for one in there])
    return {kind: [n for n in there if names is None or n in names] for kind, there in found.items()}


def _held(workspace: Workspace, _: Connection) -> dict[tuple[str, int], str]:
    """Return what endpoints, servers or people refer to."""
    # Read beside the transaction that marks: as long as that writes, nobody else does.
    found = {(a.model, a.version): "waits for approval" for a in workspace.approvals.list(state="waiting")}
    for name, current in workspace.endpoints.current().items():
        answering = {state.revision for state in workspace.endpoints.states(name)}
        for revision in workspace.endpoints.revisions(name):
            if revision.revision == current.revision or revision.revision in answering:
                for variant in revision.variants:
                    why = f"revision {revision.revision} of endpoint {name}"
                    found[variant.model, variant.version] = why
    return found


def _kept(workspace: Workspace, dataset: str, last: int, since: datetime) -> set[int]:
    """Return the versions of a dataset to keep: those of models, the last few, and those that are younger than a moment."""
    versions = workspace.datasets.versions(dataset)
    return _recent(versions, last, since) | {number for _, number in seen_by(workspace, dataset)}


def _kept_of_tree(workspace: Workspace, tree: str, last: int, since: datetime) -> set[int]:
    """Return the same of a tree; versions of models and of runs under way it keeps by itself."""
    there = [version for version in workspace.trees.versions(tree) if version.collected_at is None]
    return _recent(there, last, since)


def _recent(versions: Sequence[DatasetVersion | TreeVersion], last: int, since: datetime) -> set[int]:
    newest = versions[-last:] if last else ()
    return {one.version for one in (*newest, *(one for one in versions if one.created_at >= since))}


def forget(workspace: Workspace, dataset: str, *, where: Mapping[str, Any], reason: str) -> Forgotten:
    """Forget rows of a dataset, and name the model versions that saw them.

    Raises:
        StoreUnavailable: the dataset holds a feature view that is online, and the online store does not answer.
    """
    is_online = _is_online(workspace, dataset)
    if is_online:
        _must_answer(workspace, dataset)
    done = workspace.datasets.forget(dataset, where=where, reason=reason)
    forget_profiles(workspace, dataset)
    if is_online:
        _forget_online(workspace, dataset)
    models = [
        f"{version.model}/{version.version}"
        for version, number in seen_by(workspace, dataset)
        if done.first <= number < done.version
    ]
    return Forgotten(
        dataset=dataset, version=done.version, removed=done.removed, models=tuple(sorted(set(models)))
    )


def _is_online(workspace: Workspace, dataset: str) -> bool:
    """Say whether a dataset holds a feature view that has been written to an online store."""
    return dataset in workspace.project.views and dataset in materialisations.served(workspace.ledger)


def _must_answer(workspace: Workspace, view: str) -> None:
    """Make sure, before anything is changed, that what is forgotten can be forgotten everywhere."""
    problem = next(one.problem for one in workspace.online.freshness() if one.view == view)
    if problem:
        msg = f"Nothing was forgotten, as it would stay online: {problem}"
        raise StoreUnavailable(msg)


def _forget_online(workspace: Workspace, view: str) -> None:
    try:
        # A view whose rows were taken out is written anew; what it had held leaves the store's files.
        workspace.online.materialise(view)
        workspace.online.collect(dry_run=False)
    except StoreUnavailable as error:
        msg = (
            f"The rows are forgotten, but not yet in the online store: {error} Once it answers: treadle features "
            f"materialise {view}, then treadle collect datasets {view} --remove."
        )
        raise StoreUnavailable(msg) from error


def seen_by(workspace: Workspace, dataset: str) -> list[tuple[ModelVersion, int]]:
    """Return each model version that was made from a dataset, with the dataset's version."""
    found = []
    for model in workspace.models.names():
        for version in workspace.models.versions(model):
            number = workspace.runs.get(version.run).data.get(dataset)
            if number is not None:
                found.append((version, number))
    return found
