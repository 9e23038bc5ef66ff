"""`td.Predictor`: an endpoint's answers in this process, the same as the server's."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.app import features
from treadle.app.features import ServedFeatures
from treadle.core.records import Variant
from treadle.registry import providers
from treadle.serving import assembly
from treadle.serving.explanations import Explain
from treadle.serving.predictor import Predictor as _Predictor

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def Predictor(endpoint: str, *, project: Path | str | None = None, **overrides: Any) -> _Predictor:  # noqa: N802 - reads as a class
    """Open an endpoint of a project in this process; close it, or use it in a `with` block.

    >>> with Predictor("delay") as predictor:                              # doctest: +SKIP
    ...     answer = predictor.predict({"carrier": "UA", "distance": 1400})

    Raises:
        NotFound: there is no project here, or no endpoint of that name.
    """
    from treadle.app.workspace import open_workspace

    return open_predictor(open_workspace(project, overrides=overrides or None), endpoint)


def explainer(workspace: Workspace, variant: Variant) -> Explain:
    """Open the version behind a variant for explaining."""
    from treadle.loop import explaining

    version = workspace.models.get(f"{variant.model}/{variant.version}")
    return explaining.explainer(version, workspace.models)


def open_predictor(workspace: Workspace, endpoint: str) -> _Predictor:
    """Return an endpoint's predictor over a workspace."""
    return assembly.predictor(
        endpoint,
        workspace.root,
        endpoints=workspace.endpoints,
        loader=providers.on(workspace.settings.serving.provider, workspace.load),
        settings=workspace.settings.serving,
        clock=workspace.clock,
        online=ServedFeatures(lambda: workspace),
        on_demand=features.on_demand(lambda: workspace, workspace.settings.serving),
        explainer=functools.partial(explainer, workspace),
    )
