"""How each scikit-learn transformer is written as graph nodes, by the name of its class.

A transformer gets the blocks that come in and returns the blocks that go out. `TRANSFORMERS` is the whole list;
what is not in it is left to skl2onnx.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from treadle.registry.conversion import foreign
from treadle.registry.conversion.graph import (
    ML,
    Block,
    Graph,
    Origin,
    Unconvertible,
    common,
    matrix,
    single_columns,
    tensor,
)

Transform = Callable[[Any, Sequence[Block], Graph], list[Block]]


def standard_scaler(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Subtract, then divide, with the constants rounded to the matrix's own type as scikit-learn does."""
    x = matrix(graph, blocks, floating=True)
    shift = step.mean_ if step.with_mean else np.zeros(x.width)
    scale = step.scale_ if step.with_std else np.ones(x.width)
    if step.with_mean:
        x = replace(x, name=graph.add("Sub", x.name, graph.constant(shift, x.dtype)))
    if step.with_std:
        x = replace(x, name=graph.add("Div", x.name, graph.constant(scale, x.dtype)))
    return [replace(x, origins=_affine(x.origins, scale, shift))]


def min_max_scaler(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Multiply and add in double precision, rounding after each as NumPy does in place."""
    x = matrix(graph, blocks, floating=True)
    dtype, origins = x.dtype, _affine(x.origins, 1 / step.scale_, -step.min_ / step.scale_)
    for op, values in (("Mul", step.scale_), ("Add", step.min_)):
        wide = graph.cast(x, "float64")
        x = graph.cast(
            replace(wide, name=graph.add(op, wide.name, graph.constant(values, np.float64))), dtype
        )
    if step.clip:
        low, high = (graph.constant(bound, dtype) for bound in step.feature_range)
        x = replace(x, name=graph.add("Clip", x.name, low, high))
    return [replace(x, origins=origins)]


def principal_components(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Turn rows towards the components, from their mean; whitened, each in its standard deviation."""
    scale = np.sqrt(step.explained_variance_) if step.whiten else np.ones(len(step.components_))
    turn = step.components_.T / np.maximum(scale, np.finfo(scale.dtype).eps)
    return _turned(blocks, graph, turn, -np.asarray(step.mean_, dtype=np.float64) @ turn)


def singular_vectors(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Turn rows towards the components."""
    return _turned(blocks, graph, step.components_.T, np.zeros(len(step.components_)))


def _turned(blocks: Sequence[Block], graph: Graph, turn: np.ndarray, shift: np.ndarray) -> list[Block]:
    x = matrix(graph, blocks, floating=True)
    wide = graph.cast(x, "float64")
    name = graph.add("Gemm", wide.name, graph.constant(turn, np.float64), graph.constant(shift, np.float64))
    return [graph.cast(Block(name=name, dtype="float64", origins=(None,) * turn.shape[1]), x.dtype)]


def simple_imputer(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Put the learnt value where one is missing, and say so in an indicator column where that is asked for."""
    dtype = common(blocks)
    x = matrix(graph, blocks, floating=dtype != "string")
    fill = np.asarray(step.statistics_, dtype=object)
    if any(value is None or value != value for value in fill):
        msg = "SimpleImputer drops columns that had no value in training"
        raise Unconvertible(msg)
    missing = _is_missing(x, step.missing_values, graph)
    if missing is None:
        return [x]
    filled = graph.constant(fill if x.dtype == "string" else fill.astype(x.dtype), None)
    out = [replace(x, name=graph.add("Where", missing, filled, x.name))]
    if step.add_indicator and step.indicator_.features_.size:
        flags = Block(name=missing, dtype="bool", origins=(None,) * x.width)
        out.append(graph.columns(graph.cast(flags, x.dtype), step.indicator_.features_.tolist()))
    return out


def ordinal_encoder(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Map each category to its number; the numbers are those that the fitted encoder itself gives."""
    columns = single_columns(graph, blocks)
    dtype = np.dtype(step.dtype).name
    if dtype not in {"float32", "float64", "int64"}:
        msg = f"OrdinalEncoder gives {dtype}"
        raise Unconvertible(msg)
    unknown = step.unknown_value
    if step.handle_unknown == "error":
        unknown = -1
        graph.notes.append(
            "A category that training had not seen counts as -1; scikit-learn would raise an error."
        )
    codes = _codes_of_each_category(step)
    out = []
    for column, keys, values in zip(columns, step.categories_, codes, strict=True):
        code = lookup(graph, column, keys=keys, values=values[:, 0], default=unknown)
        out.append(graph.cast(Block(name=code, dtype="float64", origins=(None,)), dtype))
    return out


def one_hot_encoder(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Map each category to the number of its output column, then compare with all of them at once."""
    columns = single_columns(graph, blocks)
    if step.handle_unknown == "error":
        graph.notes.append(
            "A category that training had not seen sets no column; scikit-learn would raise an error."
        )
    dtype = np.dtype(step.dtype).name
    names: list[str] = []
    owner: list[int] = []
    for index, (column, keys) in enumerate(zip(columns, step.categories_, strict=True)):
        table = _one_hot_rows(step, index)
        start, width = len(owner), table.shape[1]
        numbers = np.where(table.any(axis=1), table.argmax(axis=1) + start, -1).astype(np.int64)
        names.append(
            lookup(graph, column, keys=keys, values=numbers[:-1], default=int(numbers[-1]), dtype=np.int64)
        )
        owner += [index] * width
    codes = names[0] if len(names) == 1 else graph.add("Concat", *names, axis=1)
    if len(names) > 1:
        codes = graph.add("Gather", codes, graph.constant(owner, np.int64), axis=1)
    hit = graph.add("Equal", codes, graph.constant([np.arange(len(owner))], np.int64))
    return [graph.cast(Block(name=hit, dtype="bool", origins=(None,) * len(owner)), dtype)]


def function_transformer(step: Any, blocks: Sequence[Block], _graph: Graph) -> list[Block]:
    """Let columns through where there is no function; any other function is code that ONNX cannot hold."""
    if step.func is not None:
        msg = f"FunctionTransformer runs Python code ({getattr(step.func, '__name__', step.func)!r})"
        raise Unconvertible(msg)
    return list(blocks)


def pipeline(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Run the steps one after the other."""
    for _, inner in step.steps:
        blocks = transform(inner, blocks, graph)
    return list(blocks)


def column_transformer(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Run each transformer on its columns and set the results side by side."""
    columns = single_columns(graph, blocks)
    out: list[Block] = []
    for name, inner, wanted in step.transformers_:
        chosen = [columns[i] for i in step._transformer_to_input_indices[name]]
        if not chosen or (isinstance(inner, str) and inner == "drop"):
            continue
        weight = (step.transformer_weights or {}).get(name)
        if weight is not None:
            msg = f"ColumnTransformer weights {name!r} ({wanted})"
            raise Unconvertible(msg)
        out += transform(inner, chosen, graph)
    return [matrix(graph, out)]


TRANSFORMERS: dict[str, Transform] = {
    "StandardScaler": standard_scaler,
    "MinMaxScaler": min_max_scaler,
    "SimpleImputer": simple_imputer,
    "OrdinalEncoder": ordinal_encoder,
    "OneHotEncoder": one_hot_encoder,
    "FunctionTransformer": function_transformer,
    "PCA": principal_components,
    "Pipeline": pipeline,
    "TruncatedSVD": singular_vectors,
    "ColumnTransformer": column_transformer,
}


def transform(step: Any, blocks: Sequence[Block], graph: Graph) -> list[Block]:
    """Write one fitted transformer.

    Raises:
        Unconvertible: no exact form of it is known.
    """
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return list(blocks)
    name = type(step).__name__
    if not type(step).__module__.startswith("sklearn."):
        msg = f"{name} is not a part of scikit-learn"
        raise Unconvertible(msg)
    if name in TRANSFORMERS:
        return TRANSFORMERS[name](step, blocks, graph)
    return [foreign.transformer(step, matrix(graph, blocks, floating=True), graph)]


def lookup(
    graph: Graph, column: Block, *, keys: Any, values: Any, default: Any, dtype: Any = np.float64
) -> str:
    """Write a table from the values of one column to numbers, and return the name of its output."""
    if column.dtype == "float32":
        column = graph.cast(column, "float64")
    kinds = {"string": object, "int64": np.int64, "float64": np.float64}
    try:
        wanted = np.asarray(keys).astype(kinds[column.dtype])
    except (KeyError, ValueError) as error:
        msg = f"categories {list(keys)[:3]} do not fit a column of type {column.dtype}"
        raise Unconvertible(msg) from error
    if column.dtype == "string":
        wanted = np.array([str(key) for key in wanted], dtype=object)
    narrow = column.dtype == "float64" and dtype == np.int64
    held = np.float64 if narrow else dtype
    out = graph.add(
        "LabelEncoder",
        column.name,
        domain=ML,
        keys_tensor=tensor(wanted),
        values_tensor=tensor(np.asarray(values, dtype=held)),
        default_tensor=tensor(np.array([default], dtype=held)),
    )
    return graph.cast(Block(name=out, dtype="float64", origins=(None,)), "int64").name if narrow else out


def _affine(origins: Sequence[Origin | None], scale: Any, shift: Any) -> tuple[Origin | None, ...]:
    return tuple(
        None
        if origin is None
        else Origin(origin.field, scale=origin.scale * s, shift=origin.shift + origin.scale * m)
        for origin, s, m in zip(origins, scale, shift, strict=True)
    )


def _is_missing(x: Block, marker: Any, graph: Graph) -> str | None:
    """Return the flags of missing values; None: what is marked as missing can never come."""
    if isinstance(marker, float) and marker != marker:
        return None if x.dtype == "string" else graph.add("IsNaN", x.name)
    if marker is None or (isinstance(marker, str) != (x.dtype == "string")):
        return None
    held = object if x.dtype == "string" else x.dtype
    return graph.add("Equal", x.name, graph.constant([marker], held))


def _categories_grid(step: Any) -> np.ndarray:
    """Return rows in which each column runs through its own categories (the first repeated where it is short)."""
    longest = max(len(values) for values in step.categories_)
    numeric = all(values.dtype.kind in "iuf" for values in step.categories_)
    dtype = np.result_type(*step.categories_) if numeric else object
    grid = np.empty((longest, len(step.categories_)), dtype=dtype)
    for index, values in enumerate(step.categories_):
        grid[:, index] = [*values, *([values[0]] * (longest - len(values)))]
    return grid


def _codes_of_each_category(step: Any) -> list[np.ndarray]:
    codes = _transformed(step, _categories_grid(step))
    return [codes[: len(values), [i]] for i, values in enumerate(step.categories_)]


def _one_hot_rows(step: Any, index: int) -> np.ndarray:
    """Return the output columns that belong to one input, for each of its categories and for an unseen one."""
    grid = _categories_grid(step)
    widths = list(step._n_features_outs)
    start = sum(widths[:index])
    known = _transformed(step, grid)[: len(step.categories_[index]), start : start + widths[index]]
    unseen = np.zeros((1, widths[index]))
    infrequent = step.infrequent_categories_[index] if step._infrequent_enabled else None
    if step.handle_unknown in {"infrequent_if_exist", "warn"} and infrequent is not None:
        row = list(step.categories_[index]).index(infrequent[0])
        unseen = known[row : row + 1]
    return np.vstack([known, unseen])


def _transformed(step: Any, grid: np.ndarray) -> np.ndarray:
    """Return what a fitted encoder itself makes of a grid of categories."""
    import copy
    import warnings

    encoder = copy.copy(step)
    encoder.__dict__.pop("feature_names_in_", None)
    encoder.__dict__.pop("_sklearn_output_config", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = encoder.transform(grid)
    return np.asarray(out.todense() if hasattr(out, "todense") else out, dtype=np.float64)
