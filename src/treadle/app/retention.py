"""What may be collected and what may not: versions that models were trained on stay, whatever their age."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from treadle.core.errors import StoreUnavailable
from treadle.core.records import ModelVersion, Record
from treadle.features import materialisations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.app.workspace import Workspace
    from treadle.data.upkeep import Collected


class Forgotten(Record, frozen=True, kw_only=True):
    """What was forgotten for ever, and who had seen it."""

    dataset: str
    #: The version that was made without it.
    version: int
    #: Rows of the newest version that were removed; there may have been more in earlier ones and in quarantine.
    removed: int
    #: Model versions whose data had it, as `delay/3`: what they learnt is still in them.
    models: tuple[str, ...]


def kept(workspace: Workspace, dataset: str, *, last: int, younger_than: timedelta) -> set[int]:
    """Return the versions of a dataset to keep: those of models, the last few, and those that are younger than a span."""
    versions = workspace.datasets.versions(dataset)
    since = workspace.clock.now() - younger_than
    recent = {one.version for one in versions[-last:]} if last else set()
    young = {one.version for one in versions if one.created_at >= since}
    return recent | young | {number for _, number in seen_by(workspace, dataset)}


def collect(
    workspace: Workspace, names: list[str], *, last: int, younger_than: timedelta, dry_run: bool
) -> list[Collected]:
    """Collect some datasets and what of them is online, or say what would be removed."""
    found = [
        workspace.datasets.collect(
            name, keep=kept(workspace, name, last=last, younger_than=younger_than), dry_run=dry_run
        )
        for name in names
    ]
    if not dry_run and any(_is_online(workspace, name) for name in names):
        workspace.online.collect(dry_run=False)
    return found


def forget(workspace: Workspace, dataset: str, *, where: Mapping[str, Any], reason: str) -> Forgotten:
    """Forget rows of a dataset, and name the model versions that saw them.

    Raises:
        StoreUnavailable: the dataset holds a feature view that is online, and the online store does not answer.
    """
    is_online = _is_online(workspace, dataset)
    if is_online:
        _must_answer(workspace, dataset)
    done = workspace.datasets.forget(dataset, where=where, reason=reason)
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
            f"materialise {view}, then treadle datasets collect {view} --remove."
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
