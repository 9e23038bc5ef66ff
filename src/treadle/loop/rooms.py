"""The services that the corridor walks through, handed over by the front door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.core.clock import Clock
from treadle.core.progress import Progress
from treadle.data.datasets import Datasets
from treadle.data.trees import Trees
from treadle.evaluation.verdicts import Verdicts
from treadle.features.online import OnlineFeatures
from treadle.loop.projects import Project
from treadle.monitoring.alerts import Alerts
from treadle.monitoring.drifts import Drifts
from treadle.registry.models import Models
from treadle.serving.endpoints import Endpoints
from treadle.serving.predictions import Outcomes, Predictions
from treadle.serving.rollouts import Rollouts
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training.runs import Runs
from treadle.training.trials import Trials


@dataclass(frozen=True)
class Rooms:
    """Every room's service, the stores under them, and the project they work for."""

    root: Path
    project: Project
    ledger: Ledger
    objects: Objects
    clock: Clock
    datasets: Datasets
    trees: Trees
    #: Opens the online store: most turns of most loops do not need it.
    online: Callable[[], OnlineFeatures]
    runs: Runs
    trials: Trials
    models: Models
    verdicts: Verdicts
    endpoints: Endpoints
    rollouts: Rollouts
    #: Open the logs of predictions and outcomes.
    predictions: Callable[[], Predictions]
    outcomes: Callable[[], Outcomes]
    alerts: Alerts
    #: Opens the table of comparisons with references.
    drifts: Callable[[], Drifts]
    #: The compute engine that training functions run on.
    engine: Any
    #: The longest a training function may take when the model does not say, as `6h`.
    timeout: str
    #: How often a training whose process dies is started again, in a row and without a new checkpoint.
    retries: int
    #: Seconds after which a turn whose process is silent may be taken over by another machine.
    lease: float
    #: How many turns may be under way at once over all models and watchers; 0: as many as there are watchers.
    concurrency: int
    #: What an hour of compute costs where a model's resources name no price.
    price: float
    progress: Progress
