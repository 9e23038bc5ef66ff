"""The user's training function and everything declared round it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from treadle.core import plugins
from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration, closest
from treadle.data.datasets import Dataset
from treadle.data.splits import HashSplit
from treadle.data.trees import Tree
from treadle.evaluation.declared import check_metrics
from treadle.features.on_demand import OnDemand
from treadle.features.views import FeatureView
from treadle.loop.answering import Answers
from treadle.loop.policies import Policy
from treadle.training.context import RunContext
from treadle.training.data import TrainingData
from treadle.training.resources import Resources
from treadle.training.search import Search
from treadle.training.tasks.forecast import Forecast

#: What a user writes: data, parameters and the run in; a fitted estimator out.
TrainingFunction = Callable[[TrainingData, dict[str, Any], RunContext], Any]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A declared model. Calling it calls the training function."""

    name: str
    function: TrainingFunction
    data: Dataset
    #: The column of the truth; empty: the question has none.
    target: str
    task: Any
    #: Joined to the rows, each as of its own time.
    features: tuple[FeatureView, ...] = ()
    #: Computed from the rows and what was joined to them, in this order.
    on_demand: tuple[OnDemand, ...] = ()
    #: Folders of files whose newest versions a run pins, and its function finds at `data.trees`.
    trees: tuple[Tree, ...] = ()
    #: The columns that the model takes; empty: every column but key, time, outcome and group.
    inputs: tuple[str, ...] = ()
    baselines: tuple[Any, ...] = ()
    gates: tuple[Any, ...] = ()
    policy: Policy = field(default_factory=Policy)
    #: The stretch after the training window that is kept for the forward test.
    forward: str = "0s"
    seed: int = 0
    #: The longest the function may take; empty: the setting compute.timeout.
    timeout: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    #: Whether what no safe format takes may be stored as a pickle, which runs code wherever it is loaded.
    allow_pickle: bool = False
    #: A search for hyper-parameters; None: the function is called once, with `params`.
    search: Search | None = None
    #: What answers hold besides the prediction; None: nothing.
    answers: Answers | None = None
    #: What the training needs of its machine: the first place, and where it moves when it has lost that too often.
    resources: tuple[Resources, ...] = ()

    def __call__(self, data: TrainingData, params: dict[str, Any], run: RunContext) -> Any:
        """Call the training function."""
        return self.function(data, params, run)

    @property
    def forward_span(self) -> timedelta:
        """The length of the forward test."""
        return parse_span(self.forward)

    @property
    def truth(self) -> str:
        """The column of the truth: the target, or what becomes of it where the task is a forecast."""
        return f"_{self.target}_ahead" if isinstance(self.task, Forecast) else self.target

    @property
    def lags(self) -> dict[str, int]:
        """The columns that hold the target of some steps ago, and how many: those of a forecast's inputs."""
        lags = self.task.lags if isinstance(self.task, Forecast) else ()
        return {f"{self.target}_lag_{lag}": lag for lag in lags}

    @property
    def behind(self) -> dict[str, int]:
        """The same, and those that only baselines need."""
        if not isinstance(self.task, Forecast):
            return {}
        wanted = [
            lag
            for one in self.baselines
            if hasattr(one, "lags") and one.column == self.target
            for lag in one.lags(self.task.horizon)
        ]
        return self.lags | {f"{self.target}_lag_{lag}": lag for lag in wanted if lag}

    def spec(self) -> dict[str, Any]:
        """Return what decides a training's result besides code and data, as plain values."""
        return {
            "model": self.name,
            "dataset": self.data.name,
            "features": [view.spec() for view in self.features],
            "on_demand": [feature.spec() for feature in self.on_demand],
            "target": self.target,
            "inputs": list(self.inputs),
            "task": self.task.spec(),
            "seed": self.seed,
            "params": dict(self.params),
            "forward": self.forward,
            **({"search": self.search.spec()} if self.search is not None else {}),
            **({"answers": self.answers.spec()} if self.answers is not None else {}),
        }

    def judging(self) -> dict[str, Any]:
        """Return what decides a verdict besides the model, as plain values."""
        return {
            "baselines": [baseline.spec() for baseline in self.baselines],
            "gates": [gate.spec() for gate in self.gates],
        }


def model(
    *,
    data: Dataset,
    target: str = "",
    task: Any,
    features: Sequence[FeatureView | OnDemand] = (),
    trees: Sequence[Tree] = (),
    inputs: Sequence[str] = (),
    baselines: Sequence[Any] = (),
    gates: Sequence[Any] = (),
    policy: Policy | None = None,
    forward: str = "0s",
    seed: int = 0,
    timeout: str = "",
    params: Mapping[str, Any] | None = None,
    search: Search | None = None,
    resources: Resources | Sequence[Resources] = (),
    name: str = "",
    answers: Answers | None = None,
    allow_pickle: bool = False,
) -> Callable[[TrainingFunction], Model]:
    """Declare a model round a training function `f(data, params, run)` that returns a fitted estimator.

    `features` are feature views, joined to each row as of its own time, and on-demand features, computed from what is
    there then. `trees` are folders of files: a run pins their newest versions beside the rows', and the function finds
    each checked out at `data.trees[name]`. A question about the inputs alone, as `td.Density()`, has no `target`. With
    `search` the function is called for many sets of hyper-parameters, and the best one's model is the candidate.
    `resources` say what a worker needs of its machine; of several places the next is taken when one was lost too often.
    `answers` (td.Answers) says what answers hold besides the prediction: intervals or sets, and what is to be done with a row.

    The model's name is the function's unless `name` says otherwise. Without gates every version that trains is
    released, and `status` says so. `allow_pickle` lets an object that no safe format takes – a plain function, an estimator of
    one's own – be stored as a pickle, which runs code wherever the version is loaded; `status` says that too.

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    def declare(function: TrainingFunction) -> Model:
        declared = Model(
            **_apart(features),
            name=name or function.__name__,
            function=function,
            data=data,
            target=target,
            task=task.on(target) if hasattr(task, "on") else task,
            trees=tuple(trees),
            inputs=tuple(inputs),
            baselines=tuple(baselines),
            gates=tuple(gates),
            policy=policy or Policy(),
            forward=forward,
            seed=seed,
            timeout=timeout,
            params=dict(params or {}),
            allow_pickle=allow_pickle,
            answers=answers,
            search=search,
            resources=(resources,) if isinstance(resources, Resources) else tuple(resources),
        )
        return _checked(declared)

    return declare


def _apart(features: Sequence[FeatureView | OnDemand]) -> dict[str, Any]:
    """Return the views, which are joined, apart from the features that are computed from them."""
    computed = tuple(feature for feature in features if isinstance(feature, OnDemand))
    joined = tuple(feature for feature in features if not isinstance(feature, OnDemand))
    return {"features": joined, "on_demand": computed}


def _checked(declared: Model) -> Model:
    """Return a declaration that holds.

    Raises:
        InvalidDeclaration: it does not; the message names the argument.
    """
    _check(declared)
    return declared


def _check(declared: Model) -> None:
    where = f"Model {declared.name!r}"
    data: object = declared.data
    if not isinstance(data, Dataset):
        msg = f"{where}: data is {declared.data!r}; expected a td.Dataset."
        raise InvalidDeclaration(msg, field="data")
    views: tuple[object, ...] = declared.features
    for view in views:
        if not isinstance(view, FeatureView):
            msg = f"{where}: features holds {view!r}; expected td.FeatureView or td.OnDemand."
            raise InvalidDeclaration(msg, field="features")
    trees: tuple[object, ...] = declared.trees
    for tree in trees:
        if not isinstance(tree, Tree):
            msg = f"{where}: trees holds {tree!r}; expected td.Tree."
            raise InvalidDeclaration(msg, field="trees")
    if declared.features and declared.data.time is None:
        msg = (
            f"{where}: features are joined as of each row's time, and dataset {declared.data.name!r} has none. "
            "Declare the column, as time='created_at'."
        )
        raise InvalidDeclaration(msg, field="features")
    if not hasattr(declared.task, "predictions"):
        msg = f"{where}: task is {declared.task!r}; expected for example td.Classification() or td.Regression()."
        raise InvalidDeclaration(msg, field="task")
    _check_answers(declared, where)
    _check_judging(declared)
    _check_search(declared, where)
    _check_forecast(declared, where)
    if declared.target in declared.inputs and declared.truth == declared.target:
        msg = f"{where}: the target {declared.target!r} is among the inputs, so the model would be told the answer."
        raise InvalidDeclaration(msg, field="inputs")
    parse_span(declared.forward)
    if declared.timeout:
        parse_span(declared.timeout)
    expected = len(inspect.signature(declared.function).parameters)
    if expected != 3:
        msg = f"{where}: the function takes {expected} arguments; expected three: data, params, run."
        raise InvalidDeclaration(msg, field="function")
    if not declared.name.replace("_", "").replace("-", "").isalnum():
        msg = f"{where}: a name holds letters, digits, '-' and '_' only."
        raise InvalidDeclaration(msg, field="name")


def _check_forecast(declared: Model, where: str) -> None:
    task = declared.task
    if not isinstance(task, Forecast):
        return
    if declared.data.time is None:
        msg = f"{where}: a forecast needs the moment of each row. Declare the column, as time='measured_at'."
        raise InvalidDeclaration(msg, field="data")
    if declared.data.outcome_columns:
        msg = (
            f"{where}: a forecast's truth is what the dataset's own rows say later, so {declared.data.name!r} needs no outcome. "
            "Leave outcome= and outcomes= out."
        )
        raise InvalidDeclaration(msg, field="data")


def _check_answers(declared: Model, where: str) -> None:
    given: object = declared.answers
    if given is None:
        return
    if not isinstance(given, Answers):
        msg = f"{where}: answers is {given!r}; expected td.Answers(coverage=0.9, …)."
        raise InvalidDeclaration(msg, field="answers")
    given.check(declared.task, where=where)


def _check_judging(declared: Model) -> None:
    _check_ties(declared)
    for gate in declared.gates:
        check_metrics(gate, declared.task.metrics)


def _check_ties(declared: Model) -> None:
    tied, split = declared.task.ties, declared.data.split
    if not tied or not isinstance(split, HashSplit) or split.groups:
        return
    names = repr(tied[0]) if len(tied) == 1 else repr(list(tied))
    msg = (
        f"Model {declared.name!r}: the rows of one {' and '.join(tied)} would be divided between training and test. "
        f"Keep them together: split=td.HashSplit(..., group={names}) at dataset {declared.data.name!r}."
    )
    raise InvalidDeclaration(msg, field="task")


def _check_search(declared: Model, where: str) -> None:
    search: object = declared.search
    if search is not None and not isinstance(search, Search):
        msg = f"{where}: search is {search!r}; expected a td.Search."
        raise InvalidDeclaration(msg, field="search")
    places: tuple[object, ...] = declared.resources
    for place in places:
        if not isinstance(place, Resources):
            msg = f"{where}: resources holds {place!r}; expected td.Resources."
            raise InvalidDeclaration(msg, field="resources")
    if declared.search is None:
        return
    if declared.search.windows and declared.data.time is None:
        msg = (
            f"{where}: windows are stretches of the rows' time, and dataset {declared.data.name!r} has none."
        )
        raise InvalidDeclaration(msg, field="search")
    wanted, known = declared.search.metric, (*declared.task.metrics, *plugins.available("metric"))
    if wanted and wanted not in known:
        msg = f"{where}: no metric named {wanted!r}. {closest(wanted, known)}"
        raise InvalidDeclaration(msg, field="search")
    priced = declared.resources and all(place.price for place in declared.resources)
    if declared.search.cost is not None and not priced:
        msg = f"{where}: search has a cost, and the price of a worker is not known: resources=td.Resources(price=0.12)."
        raise InvalidDeclaration(msg, field="search")
