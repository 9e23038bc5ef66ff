"""Everything that a user's file declares: datasets, trees, feature views, models, experiments, found by running the file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from treadle.core.errors import InvalidDeclaration, NotFound, TreadleError, closest, not_found
from treadle.core.records import ModelVersion
from treadle.data.datasets import Dataset
from treadle.data.trees import Tree
from treadle.features.views import FeatureView
from treadle.loop.models import Model
from treadle.monitoring.experiment import Experiment
from treadle.monitoring.slo import SLO
from treadle.training.task import Task


@dataclass(frozen=True)
class Project:
    """The declarations of one project, by name."""

    #: The file that holds them.
    file: Path
    datasets: dict[str, Dataset] = field(default_factory=dict)
    trees: dict[str, Tree] = field(default_factory=dict)
    views: dict[str, FeatureView] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    slos: dict[str, SLO] = field(default_factory=dict)

    def model(self, name: str) -> Model:
        """Return one model.

        Raises:
            NotFound: no model has that name; the message lists those that exist.
        """
        if name not in self.models:
            raise not_found("model", name, self.models)
        return self.models[name]

    def task_of(self, version: ModelVersion) -> str | Task:
        """Return what a version answers: as its model declares it, or the name alone where that is another by now."""
        declared = self.models.get(version.model)
        same = declared is not None and declared.task.name == version.task
        return declared.task if declared is not None and same else version.task

    def dataset(self, name: str) -> Dataset:
        """Return one dataset, also one that holds a feature view's rows.

        Raises:
            NotFound: no dataset has that name; the message lists those that exist.
        """
        if name not in self.datasets:
            raise not_found("dataset", name, self.datasets)
        return self.datasets[name]

    def view(self, name: str) -> FeatureView:
        """Return one feature view.

        Raises:
            NotFound: no feature view has that name; the message lists those that exist.
        """
        if name not in self.views:
            raise not_found("feature view", name, self.views)
        return self.views[name]

    def tree(self, name: str) -> Tree:
        """Return one tree.

        Raises:
            NotFound: no tree has that name; the message lists those that exist.
        """
        if name not in self.trees:
            raise not_found("tree", name, self.trees)
        return self.trees[name]


def load(file: Path) -> Project:
    """Run a project's file and collect what it declares.

    Raises:
        NotFound: there is no such file.
        InvalidDeclaration: the file raises, or two things have the same name.
    """
    if not file.is_file():
        msg = f"No project file {str(file)!r} (setting project.file). Make one with: treadle init"
        raise NotFound(msg)
    return collect(_run(file), file)


def collect(module: ModuleType, file: Path) -> Project:
    """Collect the declarations among a module's values."""
    project = Project(file)
    values = list(vars(module).values())
    for model in (value for value in values if isinstance(value, Model)):
        _add(project.models, model.name, model, "model")
        values += [model.data, *model.trees, *model.features]
    for value in values:
        if isinstance(value, Dataset):
            _add(project.datasets, value.name, value, "dataset")
        elif isinstance(value, Tree):
            _add(project.trees, value.name, value, "tree")
        elif isinstance(value, FeatureView):
            _add(project.views, value.name, value, "feature view")
        elif isinstance(value, Experiment):
            _add(project.experiments, value.name, value, "experiment")
    for slo in _slos(vars(module).values()):
        _add(project.slos, slo.label, slo, "SLO")
    for view in project.views.values():
        _add(project.datasets, view.name, dataset_of(view), "dataset")
    for name in project.trees:
        if name in project.datasets:
            msg = f"A tree and a dataset are named {name!r}. Give one of them another name."
            raise InvalidDeclaration(msg, field=name)
    for slo in project.slos.values():
        _check_slo(slo, project)
    return project


def _slos(values: Iterable[Any]) -> list[SLO]:
    """Return the promises among a module's values, also those in its lists."""
    found: list[SLO] = []
    for value in values:
        if isinstance(value, SLO):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [one for one in value if isinstance(one, SLO)]
    return found


def _check_slo(slo: SLO, project: Project) -> None:
    """Make sure that what a promise is about is declared; endpoints are not."""
    kind, _, name = slo.subject.partition(":")
    kinds: dict[str, Mapping[str, Any]] = {
        "dataset": project.datasets,
        "model": project.models,
        "view": project.views,
    }
    known = kinds.get(kind)
    if known is not None and name not in known:
        noun = {"view": "feature view"}.get(kind, kind)
        msg = f"SLO {slo.label!r} is about a {noun} {name!r} that there is not. {closest(name, known)}"
        raise InvalidDeclaration(msg, field="slo")


def dataset_of(view: FeatureView) -> Dataset:
    """Return the dataset that holds a feature view's rows: one row for each entity and moment."""
    return Dataset(
        view.name,
        source=view.source,
        contract=view.contract,
        key=list(view.key),
        time=view.time,
        rules=view.rules,
        most_bad=view.most_bad,
    )


def _add(known: dict[str, Any], name: str, value: Any, noun: str) -> None:
    if name in known and known[name] is not value:
        msg = f"Two {noun}s are named {name!r}. Give one of them another name."
        raise InvalidDeclaration(msg, field=name)
    known[name] = value


def _run(file: Path) -> ModuleType:
    name = f"treadle_project_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        msg = f"The project file {str(file)!r} is not a Python file. Expected a name that ends in .py."
        raise InvalidDeclaration(msg)
    module = importlib.util.module_from_spec(spec)
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except TreadleError:
        raise
    except SyntaxError as error:
        msg = (
            f"The project file {file.name} is not valid Python: {error.msg} ({error.filename}:{error.lineno})"
        )
        raise InvalidDeclaration(msg) from error
    except (
        Exception,
        SystemExit,
    ) as error:  # a file that calls exit() would end every command without a word
        where, line = place(error, file.parent)
        msg = f"The project file {file.name} raised {type(error).__name__}: {error} ({where}:{line})"
        raise InvalidDeclaration(msg) from error
    return module


def place(error: BaseException, root: Path) -> tuple[Path, int | None]:
    """Return file and line where the project's own code was on the way to an error, or where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(f"{root}/") and "site-packages" not in f.filename]
    last = (own or frames)[-1]
    return Path(last.filename), last.lineno
