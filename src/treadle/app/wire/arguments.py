"""Arguments of operations: read by the types in the signatures of the methods themselves."""

from __future__ import annotations

import ast
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import msgspec
import polars as pl

from treadle.app.wire.table import Operation
from treadle.app.workspace import Workspace
from treadle.core.errors import InvalidInput, NotOffered

#: Class → how a workspace finds one by what names it.
_FOUND: Mapping[str, Callable[[Workspace, str], Any]] = {
    "ModelVersion": lambda workspace, name: workspace.models.get(name),
    "DatasetVersion": lambda workspace, name: _dataset_version(workspace, name),
    "Run": lambda workspace, name: workspace.runs.get(name),
    "RolloutState": lambda workspace, name: workspace.rollouts.get(name),
    "Job": lambda workspace, name: workspace.jobs.get(name),
    "Model": lambda workspace, name: workspace.project.model(name),
    "Dataset": lambda workspace, name: workspace.project.dataset(name),
    "Tree": lambda workspace, name: workspace.project.tree(name),
    "Experiment": lambda workspace, name: workspace.experiments.get(name),
}
#: What never comes from elsewhere: code, and places on this machine.
_NEVER = (Path, pl.Expr)


def class_of(service: str) -> type:
    """Return the class of a service, or of the workspace itself (empty)."""
    if not service:
        return Workspace
    found = inspect.getattr_static(Workspace, service)
    assert isinstance(found, cached_property)
    kind = _named(found.func.__module__, str(found.func.__annotations__["return"]))
    assert isinstance(kind, type)
    return kind


@cache
def signature_of(operation: Operation) -> inspect.Signature:
    """Return the signature of an operation's method."""
    return inspect.signature(getattr(class_of(operation.service), operation.method))


@cache
def hints_of(operation: Operation) -> dict[str, Any]:
    """Return the types of an operation's arguments; of `**said: Unpack[Said]`, those of its keys."""
    function = inspect.unwrap(getattr(class_of(operation.service), operation.method))
    module = function.__module__
    names = _Names(module)
    hints = {
        name: eval(text, vars(sys.modules[module]), names)  # noqa: S307 - annotations of our own source
        for name, text in function.__annotations__.items()
        if name != "return" and isinstance(text, str)
    }
    for name, kind in list(hints.items()):
        if get_origin(kind) is typing.Unpack:
            said = get_args(kind)[0]
            hints |= typing.get_type_hints(said, vars(sys.modules[said.__module__]), _Names(said.__module__))
            del hints[name]
    return hints


def arguments(operation: Operation, given: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
    """Return the arguments of an operation, each of the type that its method asks for.

    Raises:
        InvalidInput: one is missing, is none of the method's, or is of another type.
        NotOffered: one is of a kind that is not taken from elsewhere.
    """
    signature, hints = signature_of(operation), hints_of(operation)
    unknown = [name for name in given if name not in hints]
    if unknown:
        msg = f"{operation.name} takes no argument {unknown[0][:100]!r}. Expected of: {', '.join(hints) or 'none'}."
        raise InvalidInput(msg, field=unknown[0][:100])
    for name, one in signature.parameters.items():
        plain = one.kind not in {one.VAR_KEYWORD, one.VAR_POSITIONAL} and name not in {"self", "actor"}
        if plain and one.default is one.empty and name not in given:
            msg = f"{operation.name} needs the argument {name!r}."
            raise InvalidInput(msg, field=name)
    return {name: converted(value, hints[name], workspace, name) for name, value in given.items()}


def converted(value: Any, kind: Any, workspace: Workspace, field: str) -> Any:
    """Return a value as a type asks for it; texts, as forms send them, are read as numbers and truth values.

    Raises:
        InvalidInput: it is not of the type.
        NotOffered: the type is not taken from elsewhere.
    """
    if kind is Any or (value is None and kind in {None, type(None)}):
        return value
    if get_origin(kind) in {Union, types.UnionType}:
        return _any_of(value, get_args(kind), workspace, field)
    name = getattr(kind, "__name__", "")
    if (
        isinstance(value, str)
        and name in _FOUND
        and str(getattr(kind, "__module__", "")).startswith("treadle.")
    ):
        return _FOUND[name](workspace, value)
    if kind is pl.DataFrame and isinstance(value, list | dict):
        return pl.DataFrame(value)
    if isinstance(kind, type) and isinstance(value, kind) and kind is not int:
        return value
    if kind in _NEVER or get_origin(kind) is Callable or not _is_plain(kind):
        msg = f"The argument {field!r} is not taken from elsewhere. Work where the workspace is: td.open() there."
        raise NotOffered(msg)
    try:
        return msgspec.convert(value, kind, strict=False)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        msg = f"The argument {field!r}: {str(error)[:300]}."
        raise InvalidInput(msg, field=field) from error


def _any_of(value: Any, kinds: tuple[Any, ...], workspace: Workspace, field: str) -> Any:
    """Return a value as the first of several types that it is, or can be read as; a text is one before it is read."""
    if type(None) in kinds and (value is None or (value == "" and str not in kinds)):
        return None  # a field of a form that was left empty
    for kind in kinds:
        if isinstance(kind, type) and isinstance(value, kind):
            return value
    problem: Exception | None = None
    for kind in kinds:
        try:
            return converted(value, kind, workspace, field)
        except (InvalidInput, NotOffered) as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _is_plain(kind: Any) -> bool:
    """Say whether a type is one that JSON can fill: of values, sequences and mappings of them, and records."""
    origin = get_origin(kind)
    if origin is not None:
        return isinstance(origin, type) or origin is typing.Literal
    known = (str, int, float, bool, list, tuple, dict, set, frozenset)
    if not isinstance(kind, type):
        return True
    return (
        kind in known
        or kind.__module__ == "datetime"
        or issubclass(kind, msgspec.Struct)
        or hasattr(kind, "__dataclass_fields__")
    )


def _dataset_version(workspace: Workspace, name: str) -> Any:
    dataset, _, version = name.rpartition("/")
    if not version.isdigit():
        msg = f"{name[:100]!r} is no version of a dataset. Expected as 'flights/12'."
        raise InvalidInput(msg)
    return workspace.datasets.version(dataset, int(version))


def _named(module: str, name: str) -> Any:
    return getattr(sys.modules[module], name) if hasattr(sys.modules[module], name) else _Names(module)[name]


class _Names(dict[str, Any]):
    """The names that a module imports for its annotations only."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self._places = _annotation_imports(module)

    def __missing__(self, name: str) -> Any:
        place, attribute = self._places[name]
        return getattr(import_module(place), attribute)


@cache
def _annotation_imports(module: str) -> dict[str, tuple[str, str]]:
    tree = ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8"))
    blocks = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
