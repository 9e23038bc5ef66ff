"""ONNX: a graph of arithmetic without code, answered by ONNX Runtime. The format that servers like best."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from treadle.core.answers import as_told, follows, in_order, numbers, scored
from treadle.core.errors import InvalidInput, PackageRefused
from treadle.core.optional import require
from treadle.core.packing import Matrix, filled
from treadle.core.signature import Field, Signature
from treadle.registry import neighbours
from treadle.registry.asked import Asked
from treadle.registry.binding import OneRow
from treadle.registry.format import TOLERANCE, Example, Saved, Trial, differences
from treadle.registry.packing import packed
from treadle.registry.protobuf import refuse_external_data
from treadle.registry.providers import session

_log = logging.getLogger("treadle.registry")

NAME = "onnx"
ENDINGS = (".onnx",)
FILE = "model.onnx"


class OnnxModel:
    """A session of ONNX Runtime."""

    def __init__(self, data: bytes, *, signature: Signature) -> None:
        self._session = session(data, "cpu")
        self._signature = signature
        self._scored = scored(signature)
        self._column = {given.name: len(given.shape) != 1 for given in self._session.get_inputs()}
        given = [found.name for found in self._session.get_outputs()]
        _check_names(self._column, given, signature)
        self._given = [field for field in (*signature.outputs[:-1], self._scored) if field.name in given]
        self._names = [field.name for field in self._given]
        self._rest = [field for field in signature.outputs if field.name not in given]
        #: Whether the scored numbers are told as they come, with nothing that follows from them.
        self._as_is = not (self._rest or self._scored.rising or self._scored.kind == "integer")
        #: Whether the session gives them as they are told, so that no array has to be made of them.
        self._is_double = any(
            found.name == self._scored.name and found.type == "tensor(double)"
            for found in self._session.get_outputs()
        )
        self._data: bytes | None = data
        #: It is called with a multiple of so many rows: see `neighbours`.
        self._multiple = neighbours.at_least(data)
        #: Golden rows of its package.
        self.samples: Mapping[str, np.ndarray] | None = None
        #: What it can be fed instead of its columns, once `pack` has tried that: see `core.packing`.
        self.packing: tuple[Matrix, ...] = ()
        #: What runs one row, where all that it is fed and gives are numbers.
        self._one: OneRow | None = None
        #: What computes it, and why it is not what was asked for; empty: it is.
        self.provider, self.fallback = "cpu", ""

    @property
    def signature(self) -> Signature:
        """The inputs it takes and the outputs it gives."""
        return self._signature

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for encoded columns of shape (rows,)."""
        rows = len(next(iter(columns.values())))
        if self.packing:
            return self.predict_packed({m.name: filled(m, columns, rows) for m in self.packing}, rows)
        feed = {
            name: columns[name].reshape(-1, 1) if column else columns[name]
            for name, column in self._column.items()
        }
        return self.predict_packed(feed, rows)

    def predict_packed(self, feed: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        """Answer for the matrices of `packing`, of so many rows."""
        outputs = self._one(feed) if rows == 1 and self._one is not None else self._run(feed, rows)
        name = self._scored.name
        if self._as_is and outputs[name].dtype == np.float64:
            return outputs
        outputs[name] = in_order(outputs[name].astype(np.float64, copy=False), self._scored)
        if not self._rest:
            outputs[name] = as_told(outputs[name], self._scored)
            return outputs
        rest = {field.name: follows(field, outputs[name], self._scored) for field in self._rest}
        return {field.name: {**outputs, **rest}[field.name] for field in self._signature.outputs}

    def _run(self, feed: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
        if self._multiple > 1:
            feed = {name: neighbours.padded(values, self._multiple) for name, values in feed.items()}
        values = self._session.run(self._names, feed)
        return {f.name: _shaped(f, value)[:rows] for f, value in zip(self._given, values, strict=True)}

    @property
    def one(self) -> Callable[[tuple[float, ...]], list[Any]] | None:
        """What answers one row that is given as the numbers of its matrix; None: it has to be an array."""
        one = self._one
        is_plain = self._as_is and one is not None and one.takes_numbers
        return one.numbers if one is not None and is_plain and self._is_double else None

    def pack(self) -> None:
        """Take matrices from now on, where the golden rows then get the very same bits, alone and together."""
        data = self._data
        if data is None or not self.samples or not all(self._column.values()):
            return
        try:
            found = packed(data, self._signature)
            other = None if found is None else session(found.model, "cpu")
        # Whatever a runtime says of a graph that was rewritten: the original answers as well.
        except Exception as error:  # noqa: BLE001
            _log.warning("a model is fed column by column, because its inputs cannot be packed: %s", error)
            return
        if found is None or other is None:
            return
        before = [self.predict(part) for part in _parts(self.samples)]
        original, self._session, self.packing = self._session, other, found.matrices
        if not all(map(_same, before, (self.predict(part) for part in _parts(self.samples)))):
            _log.warning(
                "a model is fed column by column, because its answers would change if they were packed"
            )
            self._session, self.packing = original, ()
            return
        self._data = found.model
        self._bind(self.samples)

    def _bind(self, samples: Mapping[str, np.ndarray]) -> None:
        """Run one row with arrays that are bound once, where golden rows then get the very same bits."""
        first = next(part for part in _parts(samples) if len(next(iter(part.values()))) == 1)
        feed = {m.name: neighbours.padded(filled(m, first, 1), self._multiple) for m in self.packing}
        given = dict(zip(self._names, self._session.run(self._names, feed), strict=True))
        before = [self.predict(part) for part in _parts(samples)]
        try:
            self._one = OneRow(
                self._session, feed, given, seen={f.name: partial(_shaped, f) for f in self._given}
            )
            is_same = all(map(_same, before, (self.predict(part) for part in _parts(samples))))
            is_same = is_same and self._is_plain(samples)
        # Whatever a runtime says of an output that it cannot put where it is told: it is called as usual.
        except Exception as error:  # noqa: BLE001
            _log.debug("one row of a model is run as several are: %s", error)
            is_same = False
        if not is_same:
            self._one = None

    def _is_plain(self, samples: Mapping[str, np.ndarray]) -> bool:
        """Say whether golden rows get the same numbers where they are given as plain numbers, if that is possible."""
        one = self.one
        if one is None:
            return True
        for part in _parts(samples):
            expected = [values.tolist() for values in self.predict(part).values()]
            rows = filled(self.packing[0], part, len(expected[0])).tolist()
            if [*map(repr, zip(*expected, strict=True))] != [repr(tuple(one(tuple(row)))) for row in rows]:
                return False
        return True

    def steady(self) -> None:
        """Be called from now on with as many rows at a time as golden rows need to get the same bits in any company."""
        least = self._multiple
        if not self.samples:
            return
        for multiple in neighbours.MULTIPLES:
            self._multiple = multiple
            if multiple >= least and neighbours.is_steady(self.predict, self.samples):
                return
        self._multiple = least

    def place(self, provider: str) -> None:
        """Answer on a provider from now on, and let the file's bytes go; what is in its way stands in `fallback`."""
        data, self._data = self._data, None
        if provider == "cpu" or data is None:
            return
        try:
            other = session(data, provider)
            if self.samples:
                self._try_on(other)
        # Whatever a provider says that does not take this model: the processor does.
        except Exception as error:  # noqa: BLE001
            self.fallback = f"{type(error).__name__}: {error}" if not str(error) else str(error)
            _log.warning("a model is computed on cpu instead of %s: %s", provider, self.fallback)
            return
        self._session, self.provider, self._one = other, provider, None

    def _try_on(self, other: Any) -> None:
        assert self.samples is not None
        usual, self._one = self._session, None
        expected = numbers(self.predict(self.samples), self._signature)
        self._session = other
        try:
            off = differences(numbers(self.predict(self.samples), self._signature), expected)
        finally:
            self._session = usual
        if (off > TOLERANCE).any():
            msg = f"{int((off > TOLERANCE).sum())} of {len(off)} golden rows would get other answers there."
            raise RuntimeError(msg)


def _parts(samples: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Return golden rows: all of them, and the first ones one by one."""
    yield dict(samples)
    for row in range(min(8, len(next(iter(samples.values()))))):
        yield {name: values[row : row + 1] for name, values in samples.items()}


def _same(some: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> bool:
    return all(
        values.dtype == others[name].dtype
        and (
            values.tolist() == others[name].tolist()
            if values.dtype == object
            else values.tobytes() == others[name].tobytes()
        )
        for name, values in some.items()
    )


def accepts(model: Any) -> bool:
    """Return whether the object is an ONNX model."""
    return any(
        kind.__name__ == "ModelProto" and kind.__module__.startswith("onnx") for kind in type(model).__mro__
    )


def save(model: Any, *, task: str, signature: Signature, trial: Trial) -> Saved:  # noqa: ARG001 - the protocol's
    """Return the model as one file.

    Raises:
        InvalidInput: its inputs or outputs are not called as the signature says.
        PackageRefused: it keeps data in other files.
    """
    outputs = [output.name for output in model.graph.output]
    _check_names({given.name: True for given in model.graph.input}, outputs, signature)
    data = model.SerializeToString(deterministic=True)
    refuse_external_data(data)
    return Saved(format=NAME, files={FILE: data})


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> OnnxModel:  # noqa: ARG001 - the protocol's
    """Return the model in ONNX Runtime.

    Raises:
        PackageRefused: it keeps data in other files.
    """
    refuse_external_data(files[FILE])
    return OnnxModel(files[FILE], signature=signature)


def read(data: bytes) -> Any:
    """Return the model of a file.

    Raises:
        PackageRefused: it is none, or it keeps data in other files.
    """
    refuse_external_data(data)
    onnx = require("onnx", extra="sklearn")
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    # protobuf's own class, which has another name in each of its implementations, and the checker's.
    except Exception as error:
        msg = f"The file is not a valid ONNX model: {str(error)[:300]}"
        raise PackageRefused(msg) from error
    return model


def estimator(model: Any, *, signature: Signature) -> Asked:
    """Return the model with scikit-learn's methods, for frames of encoded columns."""
    data = model.SerializeToString(deterministic=True)
    refuse_external_data(data)
    model_ = OnnxModel(data, signature=signature)

    def answer(rows: Any) -> Any:
        columns = {
            field.name: np.array(rows[field.name].to_list(), dtype=object)
            if field.tensor == "string"
            else rows[field.name].to_numpy()
            for field in signature.inputs
        }
        return numbers(model_.predict(columns), signature)

    return Asked(answer, names=signature.names, signature=signature)


def example() -> Example:
    """Return a model that doubles a number."""
    helper = require("onnx", extra="sklearn").helper
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["x", "x"], ["sum"]),
            helper.make_node("Cast", ["sum"], ["prediction"], to=11),
        ],
        "double",
        [helper.make_tensor_value_info("x", 1, [None, 1])],
        [helper.make_tensor_value_info("prediction", 11, [None, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    signature = Signature(
        inputs=(Field(name="x", kind="float"),), outputs=(Field(name="prediction", kind="float"),)
    )
    x = np.arange(8, dtype=np.float32)
    return Example(model, "regression", signature, Trial({"x": x}, 2.0 * x.astype(np.float64)))


def _shaped(field: Field, values: np.ndarray) -> np.ndarray:
    """Return an output as its field says: of shape (rows,) or (rows, columns), yes and no as booleans."""
    shaped = values.reshape(-1, len(field.columns)) if field.columns else values.reshape(-1)
    return shaped.astype(bool, copy=False) if field.kind == "boolean" and shaped.dtype != bool else shaped


def _check_names(inputs: Mapping[str, bool], outputs: list[str], signature: Signature) -> None:
    extra = sorted(set(inputs) - set(signature.names))
    if extra:
        msg = f"The ONNX model takes {', '.join(extra)}, which the signature ({', '.join(signature.names)}) lacks."
        raise InvalidInput(msg, field=extra[0])
    wanted = scored(signature)
    if wanted.name not in outputs:
        many = f" of shape (rows, {len(wanted.columns)})" if wanted.columns else ""
        msg = f"The ONNX model gives {', '.join(outputs)}. Expected an output {wanted.name!r}{many}, which is scored."
        raise PackageRefused(msg)
