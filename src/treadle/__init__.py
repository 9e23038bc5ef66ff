"""Treadle keeps machine-learning models fresh in production: the whole loop in one Python package.

The public names are loaded when they are first used, so `import treadle` itself loads almost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from treadle.app.asgi import asgi as asgi
    from treadle.app.card.page import page as model_card_page  # noqa: F401
    from treadle.app.predictor import Predictor as Predictor
    from treadle.app.workspace import Workspace as Workspace
    from treadle.app.workspace import open_workspace as open  # noqa: A004, F401 - `td.open`, as files are opened
    from treadle.core import errors as errors
    from treadle.core.framed import to_frame as to_frame
    from treadle.core.metric import Metric as Metric
    from treadle.data import rules as rules
    from treadle.data.contracts import Column as Column
    from treadle.data.contracts import Contract as Contract
    from treadle.data.contracts import rule as rule
    from treadle.data.datasets import Dataset as Dataset
    from treadle.data.datasets import Outcomes as Outcomes
    from treadle.data.profiles.page.page import page as profile_page  # noqa: F401
    from treadle.data.sources.files import Files as Files
    from treadle.data.sources.frame import Frame as Frame
    from treadle.data.sources.stream import Stream as Stream
    from treadle.data.sources.table import Table as Table
    from treadle.data.splits import HashSplit as HashSplit
    from treadle.data.splits import TimeSplit as TimeSplit
    from treadle.data.trees import ArchiveLimits as ArchiveLimits
    from treadle.data.trees import Tree as Tree
    from treadle.data.windows import Decayed as Decayed
    from treadle.data.windows import Expanding as Expanding
    from treadle.data.windows import Last as Last
    from treadle.data.windows import Tumbling as Tumbling
    from treadle.data.windows import back_fill as back_fill
    from treadle.evaluation import baselines as baselines
    from treadle.evaluation import gates as gates
    from treadle.evaluation.abstention import Abstain as Abstain
    from treadle.evaluation.abstention import AtRisk as AtRisk
    from treadle.evaluation.abstention import Wider as Wider
    from treadle.evaluation.blend import Blend as Blend
    from treadle.evaluation.calibration import Recalibration as Recalibration
    from treadle.evaluation.calibration import reliability as reliability
    from treadle.evaluation.conformal import ConformalIntervals as ConformalIntervals
    from treadle.evaluation.conformal import ConformalSets as ConformalSets
    from treadle.evaluation.contributions import contributions as contributions
    from treadle.evaluation.importance import importance as importance
    from treadle.evaluation.objective import Objective as Objective
    from treadle.evaluation.thresholds import Threshold as Threshold
    from treadle.features import aggregates as aggregates
    from treadle.features.on_demand import OnDemand as OnDemand
    from treadle.features.on_demand import on_demand as on_demand
    from treadle.features.views import FeatureView as FeatureView
    from treadle.loop.answering import Answers as Answers
    from treadle.loop.budgets import Budget as Budget
    from treadle.loop.grid import Grid as Grid
    from treadle.loop.models import model as model
    from treadle.loop.policies import Policy as Policy
    from treadle.loop.triggers.age import Age as Age
    from treadle.loop.triggers.contract_change import ContractChange as ContractChange
    from treadle.loop.triggers.decay import Decay as Decay
    from treadle.loop.triggers.drift import Drift as Drift
    from treadle.loop.triggers.every import Every as Every
    from treadle.loop.triggers.new_outcomes import NewOutcomes as NewOutcomes
    from treadle.loop.triggers.new_rows import NewRows as NewRows
    from treadle.loop.triggers.schedule import Schedule as Schedule
    from treadle.monitoring import slos as slos
    from treadle.monitoring.experiment import Design as Design
    from treadle.monitoring.experiment import Experiment as Experiment
    from treadle.monitoring.experiment import OnlineMetric as OnlineMetric
    from treadle.serving import guards as guards
    from treadle.serving.client import AsyncClient as AsyncClient
    from treadle.serving.client import Client as Client
    from treadle.serving.plan import Rollout as Rollout
    from treadle.training.context import RunContext as Run  # noqa: F401
    from treadle.training.data import TrainingData as TrainingData
    from treadle.training.resources import Resources as Resources
    from treadle.training.search import Search as Search
    from treadle.training.spaces import Categorical as Categorical
    from treadle.training.spaces import Float as Float
    from treadle.training.spaces import Int as Int
    from treadle.training.tasks.anomaly import Anomaly as Anomaly
    from treadle.training.tasks.classification import Classification as Classification
    from treadle.training.tasks.clustering import Clustering as Clustering
    from treadle.training.tasks.custom import Custom as Custom
    from treadle.training.tasks.density import Density as Density
    from treadle.training.tasks.embedding import Embedding as Embedding
    from treadle.training.tasks.forecast import Forecast as Forecast
    from treadle.training.tasks.multiclass import Multiclass as Multiclass
    from treadle.training.tasks.multilabel import Multilabel as Multilabel
    from treadle.training.tasks.quantiles import Quantiles as Quantiles
    from treadle.training.tasks.ranking import Ranking as Ranking
    from treadle.training.tasks.regression import Regression as Regression

__version__ = "0.1.0.dev0"

_PLACES = {
    "Abstain": ("treadle.evaluation.abstention", "Abstain"),
    "Age": ("treadle.loop.triggers.age", "Age"),
    "Answers": ("treadle.loop.answering", "Answers"),
    "AtRisk": ("treadle.evaluation.abstention", "AtRisk"),
    "Anomaly": ("treadle.training.tasks.anomaly", "Anomaly"),
    "ArchiveLimits": ("treadle.data.trees", "ArchiveLimits"),
    "AsyncClient": ("treadle.serving.client", "AsyncClient"),
    "Blend": ("treadle.evaluation.blend", "Blend"),
    "Categorical": ("treadle.training.spaces", "Categorical"),
    "Classification": ("treadle.training.tasks.classification", "Classification"),
    "Client": ("treadle.serving.client", "Client"),
    "Clustering": ("treadle.training.tasks.clustering", "Clustering"),
    "Column": ("treadle.data.contracts", "Column"),
    "ConformalIntervals": ("treadle.evaluation.conformal", "ConformalIntervals"),
    "ConformalSets": ("treadle.evaluation.conformal", "ConformalSets"),
    "Contract": ("treadle.data.contracts", "Contract"),
    "Custom": ("treadle.training.tasks.custom", "Custom"),
    "Dataset": ("treadle.data.datasets", "Dataset"),
    "Decayed": ("treadle.data.windows", "Decayed"),
    "Every": ("treadle.loop.triggers.every", "Every"),
    "Density": ("treadle.training.tasks.density", "Density"),
    "Design": ("treadle.monitoring.experiment", "Design"),
    "Embedding": ("treadle.training.tasks.embedding", "Embedding"),
    "Expanding": ("treadle.data.windows", "Expanding"),
    "Experiment": ("treadle.monitoring.experiment", "Experiment"),
    "FeatureView": ("treadle.features.views", "FeatureView"),
    "Files": ("treadle.data.sources.files", "Files"),
    "Float": ("treadle.training.spaces", "Float"),
    "Forecast": ("treadle.training.tasks.forecast", "Forecast"),
    "Frame": ("treadle.data.sources.frame", "Frame"),
    "Grid": ("treadle.loop.grid", "Grid"),
    "HashSplit": ("treadle.data.splits", "HashSplit"),
    "Int": ("treadle.training.spaces", "Int"),
    "Last": ("treadle.data.windows", "Last"),
    "Metric": ("treadle.core.metric", "Metric"),
    "Multiclass": ("treadle.training.tasks.multiclass", "Multiclass"),
    "Multilabel": ("treadle.training.tasks.multilabel", "Multilabel"),
    "NewRows": ("treadle.loop.triggers.new_rows", "NewRows"),
    "Objective": ("treadle.evaluation.objective", "Objective"),
    "OnDemand": ("treadle.features.on_demand", "OnDemand"),
    "Outcomes": ("treadle.data.datasets", "Outcomes"),
    "OnlineMetric": ("treadle.monitoring.experiment", "OnlineMetric"),
    "Policy": ("treadle.loop.policies", "Policy"),
    "Predictor": ("treadle.app.predictor", "Predictor"),
    "Quantiles": ("treadle.training.tasks.quantiles", "Quantiles"),
    "Ranking": ("treadle.training.tasks.ranking", "Ranking"),
    "Recalibration": ("treadle.evaluation.calibration", "Recalibration"),
    "Regression": ("treadle.training.tasks.regression", "Regression"),
    "Resources": ("treadle.training.resources", "Resources"),
    "Rollout": ("treadle.serving.plan", "Rollout"),
    "Run": ("treadle.training.context", "RunContext"),
    "Search": ("treadle.training.search", "Search"),
    "Stream": ("treadle.data.sources.stream", "Stream"),
    "Table": ("treadle.data.sources.table", "Table"),
    "Threshold": ("treadle.evaluation.thresholds", "Threshold"),
    "TimeSplit": ("treadle.data.splits", "TimeSplit"),
    "TrainingData": ("treadle.training.data", "TrainingData"),
    "Tree": ("treadle.data.trees", "Tree"),
    "Tumbling": ("treadle.data.windows", "Tumbling"),
    "Wider": ("treadle.evaluation.abstention", "Wider"),
    "ContractChange": ("treadle.loop.triggers.contract_change", "ContractChange"),
    "Decay": ("treadle.loop.triggers.decay", "Decay"),
    "Drift": ("treadle.loop.triggers.drift", "Drift"),
    "NewOutcomes": ("treadle.loop.triggers.new_outcomes", "NewOutcomes"),
    "Schedule": ("treadle.loop.triggers.schedule", "Schedule"),
    "Budget": ("treadle.loop.budgets", "Budget"),
    "Workspace": ("treadle.app.workspace", "Workspace"),
    "aggregates": ("treadle.features.aggregates", ""),
    "asgi": ("treadle.app.asgi", "asgi"),
    "back_fill": ("treadle.data.windows", "back_fill"),
    "baselines": ("treadle.evaluation.baselines", ""),
    "contributions": ("treadle.evaluation.contributions", "contributions"),
    "errors": ("treadle.core.errors", ""),
    "gates": ("treadle.evaluation.gates", ""),
    "guards": ("treadle.serving.guards", ""),
    "importance": ("treadle.evaluation.importance", "importance"),
    "model": ("treadle.loop.models", "model"),
    "model_card_page": ("treadle.app.card.page", "page"),
    "on_demand": ("treadle.features.on_demand", "on_demand"),
    "open": ("treadle.app.workspace", "open_workspace"),
    "profile_page": ("treadle.data.profiles.page.page", "page"),
    "reliability": ("treadle.evaluation.calibration", "reliability"),
    "rule": ("treadle.data.contracts", "rule"),
    "rules": ("treadle.data.rules", ""),
    "slos": ("treadle.monitoring.slos", ""),
    "to_frame": ("treadle.core.framed", "to_frame"),
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        msg = f"module 'treadle' has no attribute {name!r}"
        raise AttributeError(msg)
    place, attribute = _PLACES[name]
    module = import_module(place)
    value = getattr(module, attribute) if attribute else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
