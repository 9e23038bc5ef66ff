"""Features for requests: the online store and the project are opened when a version is served that needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from treadle.core.errors import Conflict, StoreUnavailable, not_found
from treadle.core.serving import ServingSettings
from treadle.core.signature import Computed
from treadle.serving.on_demand import Compute, OnDemand

if TYPE_CHECKING:
    from treadle.app.wiring import Wiring
    from treadle.app.workspace import Workspace
    from treadle.features.lookup import OnlineRows
    from treadle.features.on_demand import OnDemand as Declared


def declared_as(workspace: Wiring, model: str, computed: Computed) -> Declared:
    """Return an on-demand feature of the project, which is the one that a version was trained with.

    Raises:
        NotFound: the project does not declare it any more.
        Conflict: it declares it in another way.
    """
    declared = {one.name: one for one in workspace.project.model(model).on_demand}
    if computed.feature not in declared:
        raise not_found("on-demand feature", computed.feature, declared)
    if declared[computed.feature].definition() != computed.definition:
        msg = (
            f"On-demand feature {computed.feature!r} is declared in another way than when the version was trained. Train "
            "the model again, or put the declaration back, and restart what answers."
        )
        raise Conflict(msg)
    return declared[computed.feature]


def on_demand(workspace: Callable[[], Workspace], settings: ServingSettings) -> OnDemand:
    """Return how on-demand features of requests are computed; the project is read when a version is served that has some."""

    def compute(model: str, computed: Computed) -> Compute:
        from treadle.features.computing import computer

        return computer(declared_as(workspace(), model, computed), computed)

    return OnDemand(compute, timeout=settings.on_demand_timeout, on_failure=settings.on_demand_failure)


class ServedFeatures:
    """Reads feature views of a workspace for those who answer requests."""

    def __init__(self, workspace: Callable[[], Workspace]) -> None:
        """Prepare it; `workspace` is called when a version is served that reads features."""
        self._workspace = workspace

    @property
    def patience(self) -> float:
        """Seconds that a request waits for a read; 0: the store is files of this machine."""
        return 0.0 if self._workspace().online.is_local else self._workspace().settings.online.timeout

    def __call__(self, views: Sequence[str], entities: Mapping[str, Sequence[Any]], /) -> OnlineRows:
        """Return what the store has for each row."""
        return self._workspace().online.read(views, entities)

    def without(
        self, views: Sequence[str], entities: Mapping[str, Sequence[Any]], error: StoreUnavailable, /
    ) -> OnlineRows:
        """Return what a request gets that has stopped waiting."""
        return self._workspace().online.without(views, entities, error)
