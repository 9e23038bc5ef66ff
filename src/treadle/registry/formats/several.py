"""Several models side by side, one for each number of an answer: each is stored by the format that it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from treadle.core import plugins
from treadle.core.answers import completed, numbers, scored
from treadle.core.errors import InvalidInput, PackageRefused
from treadle.core.records import Lookup
from treadle.core.servable import Servable
from treadle.core.signature import Field, Signature
from treadle.registry.format import Example, Saved, Trial

NAME = "several"
FILE = "several.json"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the models: the format that loads it, and its files under their names in the package."""

    format: str
    files: dict[str, str]


class SeveralModels:
    """Models whose numbers stand side by side in one answer."""

    def __init__(self, parts: Sequence[Servable], *, signature: Signature) -> None:
        self._parts, self._signature = parts, signature

    @property
    def signature(self) -> Signature:
        """The inputs it takes and the outputs it gives."""
        return self._signature

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for encoded columns of shape (rows,)."""
        values = [numbers(part.predict(columns), part.signature) for part in self._parts]
        return completed(np.column_stack(values), self._signature)


def accepts(model: Any) -> bool:
    """Return whether the object is a list of models that some format can store."""
    if not isinstance(model, list | tuple) or not model:
        return False
    return all(_format_of(one) is not None for one in model)


def save(model: Sequence[Any], *, task: str, signature: Signature, trial: Trial) -> Saved:  # noqa: ARG001 - the protocol's
    """Return the files of all models.

    Raises:
        InvalidInput: there is not one model for each number of an answer.
        UnsafeFormat: one could only be stored in a way that runs code when it is read.
    """
    columns = scored(signature).columns
    if len(columns) != len(model):
        msg = f"There are {len(model)} models for {len(columns)} numbers of an answer. Expected one for each."
        raise InvalidInput(msg)
    files: dict[str, bytes] = {}
    parts, notes = [], []
    for place, one in enumerate(model):
        # What each answers on its own is asked when it is loaded: together they must reproduce the golden rows.
        saved = _format_of(one).save(
            one, task=_task_of(signature), signature=_alone(signature), trial=_part_of(trial, place)
        )
        named = {name: f"{place}-{name}" for name in saved.files}
        files |= {named[name]: data for name, data in saved.files.items()}
        parts.append(_Part(format=saved.format, files=named))
        notes += [f"{columns[place]}: {note}" for note in saved.notes]
    files[FILE] = msgspec.json.encode(parts)
    return Saved(format=NAME, files=files, notes=tuple(notes))


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> SeveralModels:  # noqa: ARG001 - the protocol's
    """Return the models.

    Raises:
        PackageRefused: the list of them cannot be read, or names a file that is not there.
    """
    try:
        parts = msgspec.json.decode(files[FILE], type=list[_Part])
        held = [{name: files[kept] for name, kept in part.files.items()} for part in parts]
    except (msgspec.MsgspecError, KeyError) as error:
        msg = f"{FILE} does not list the models of this package: {error}"
        raise PackageRefused(msg) from error
    loaded = [
        plugins.load("format", part.format).load(own, task=_task_of(signature), signature=_alone(signature))
        for part, own in zip(parts, held, strict=True)
    ]
    return SeveralModels(loaded, signature=signature)


def example() -> Example:
    """Return two tables: the shortest and the longest delay of two carriers."""
    short = Lookup(name="short", by=("carrier",), values={"AA": 1.0, "UA": 2.0}, default=1.5)
    long = Lookup(name="long", by=("carrier",), values={"AA": 10.0, "UA": 20.0}, default=15.0)
    output = Field(name="quantiles", kind="float", columns=("0.1", "0.9"), rising=True)
    signature = Signature(
        inputs=(Field(name="carrier", kind="string"),),
        outputs=(Field(name="prediction", kind="float", column="0.1"), output),
    )
    carriers = np.array(["AA", "UA", "unseen"], dtype=object)
    expected = np.array([[1.0, 10.0], [2.0, 20.0], [1.5, 15.0]])
    return Example([short, long], "quantiles", signature, Trial({"carrier": carriers}, expected))


def _task_of(signature: Signature) -> str:
    """Return what each model answers by itself: whether a label holds, or a number."""
    return "classification" if scored(signature).independent else "regression"


def _alone(signature: Signature) -> Signature:
    if scored(signature).independent:
        outputs = (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
        return Signature(inputs=signature.inputs, outputs=outputs)
    return Signature(inputs=signature.inputs, outputs=(Field(name="prediction", kind="float"),))


def _part_of(trial: Trial, place: int) -> Trial:
    return Trial(trial.columns, trial.expected[:, place])


def _format_of(model: Any) -> Any:
    if isinstance(model, list | tuple):
        return None
    found = (plugins.load("format", name) for name in plugins.available("format") if name != NAME)
    return next((one for one in found if one.accepts(model)), None)
