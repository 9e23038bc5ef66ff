"""Online features for requests: the store and the project's views are opened when a version is served that reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from treadle.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace
    from treadle.features.lookup import OnlineRows


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
