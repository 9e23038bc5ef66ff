"""Pickles: any Python object, by explicit opt-in only, since reading one runs what it says.

Written by cloudpickle, which keeps functions and classes of the user's own files by value: so the package stands alone,
and changing the project's code does not change a version that is there.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from treadle.core.answers import scored
from treadle.core.optional import require
from treadle.core.servable import Servable
from treadle.core.signature import Signature
from treadle.registry.asked import Asked, turn_of
from treadle.registry.format import Saved
from treadle.registry.inspection import called_by
from treadle.registry.native import NativeModel

NAME = "pickle"
FILE = "model.pickle"
_SHOWN = 8
#: `__main__` is kept by value anyway.
_NEVER = {"__main__", "__mp_main__", "treadle"}


def save(model: Any) -> Saved:
    """Return the object as one file, with a note that names what reading it calls."""
    cloudpickle = require("cloudpickle", extra="pickle")
    with _by_value(cloudpickle):
        data = bytes(cloudpickle.dumps(model))
    names = called_by(data)
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    note = f"Stored as a pickle, as its declaration allows: loading it runs code ({shown})."
    return Saved(format=NAME, files={FILE: data}, notes=(note,))


def load(files: Mapping[str, bytes], *, task: str, signature: Signature) -> Servable:
    """Run what the pickle says, and return the object behind scikit-learn's methods."""
    model = require("cloudpickle", extra="pickle").loads(files[FILE])
    return NativeModel(estimator(model, signature=signature), task=task, signature=signature)


def estimator(model: Any, *, signature: Signature) -> Any:
    """Return an object, or a plain function, with scikit-learn's methods; it gets frames of all inputs."""
    likely = scored(signature).name in {"probability", "probabilities"}
    method = "predict_proba" if likely else scored(signature).method or "predict"
    answer, turn = getattr(model, method, model), turn_of(model, scored(signature))
    if answer is not model and scored(signature).turned:
        return Called(lambda rows: turn(np.asarray(answer(rows))), names=signature.names, signature=signature)
    return Called(
        answer, names=signature.names, signature=signature, classes=getattr(model, "classes_", None)
    )


class Called(Asked):
    """A model that answers as a function does, whatever its own method is called."""

    def __call__(self, rows: Any) -> np.ndarray:
        """Return the numbers that are scored."""
        return self.predict(rows)


@contextmanager
def _by_value(cloudpickle: Any) -> Iterator[None]:
    """Let the user's own modules be kept by value while a model is written."""
    installed = frozenset(Path(place).resolve() for place in sysconfig.get_paths().values())
    own = [module for name, module in list(sys.modules.items()) if _is_own(name, module, installed)]
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)


def _is_own(name: str, module: object, installed: frozenset[Path]) -> bool:
    """Return whether a module is a file of the user's: neither installed, nor Python's, nor this package's."""
    if not isinstance(module, ModuleType) or module.__name__ != name or name.partition(".")[0] in _NEVER:
        return False
    file: str | None = vars(module).get("__file__")  # not getattr, which makes a lazy module import itself
    return file is not None and not installed & set(Path(file).resolve().parents)
