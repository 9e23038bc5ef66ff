"""Files of models that were made elsewhere: read by the format that knows their ending, and never by running them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from treadle.core import plugins
from treadle.core.errors import InvalidInput, MissingExtra, NotFound, PackageRefused, UnsafeFormat
from treadle.core.ids import digest_of_bytes
from treadle.core.optional import require
from treadle.registry.inspection import called_by, refuse_code
from treadle.registry.pickled import NAME as PICKLE

#: Endings of files that run code when they are read.
PICKLES = (".pkl", ".pickle", ".joblib")
_SHOWN = 8


@dataclass(frozen=True)
class Foreign:
    """A model that was made elsewhere."""

    model: Any
    #: The file's name, or the class of the object.
    source: str
    #: Digest of the file's bytes; empty: it was an object in memory.
    digest: str = ""


def foreign(given: Any, *, digest: str = "", allow_pickle: bool = False) -> Foreign:
    """Return a fitted model, or the one in a file (a path), which is read once: what is checked is what is loaded.

    `digest` is what the file's must be.

    Raises:
        NotFound: there is no such file.
        InvalidInput: no format knows the file's ending.
        PackageRefused: its bytes are not those of the digest, or no model of its format.
        UnsafeFormat: reading it would run code, and that is not allowed.
    """
    if not isinstance(given, str | Path):
        if digest:
            msg = "A digest is that of a file, and an object in memory was given. Leave it out, or name the file."
            raise InvalidInput(msg, field="digest")
        return Foreign(given, f"{type(given).__module__}.{type(given).__qualname__}")
    path = Path(given)
    data = _bytes_of(path)
    found = digest_of_bytes(data)
    if digest not in ("", found):
        msg = f"{path.name} has the digest {found}, where {digest} is expected: it was altered, or it is another file."
        raise PackageRefused(msg)
    return Foreign(_read(path, data, allow_pickle=allow_pickle), path.name, found)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"The file {str(path)!r} cannot be read: {error.strerror}."
        raise NotFound(msg) from error


def _read(path: Path, data: bytes, *, allow_pickle: bool) -> Any:
    if allow_pickle and path.suffix in PICKLES:
        return _unpickled(path, data)
    refuse_code({path.name: data})
    if path.suffix in PICKLES:
        names = ", ".join(called_by(data)[:_SHOWN]) or "nothing by name"
        msg = (
            f"{path.name} is a pickle, which runs code when it is read: it calls {names}. Nothing of it was run. Save the model in "
            "a format that holds no code, or allow it (allow_pickle=True, --allow-pickle) if you trust whoever made it."
        )
        raise UnsafeFormat(msg)
    reader = next((one for one in _readers() if path.suffix.lower() in one.ENDINGS), None)
    if reader is None:
        known = ", ".join(sorted(ending for one in _readers() for ending in one.ENDINGS))
        msg = f"No format reads {path.name!r}. Known endings: {known}; with allow_pickle also {', '.join(PICKLES)}."
        raise InvalidInput(msg, field="source")
    try:
        model = reader.read(data)
        _names(model)  # which libraries read when they are asked for
    except (PackageRefused, MissingExtra) as error:
        if isinstance(error, MissingExtra):
            raise
        raise type(error)(f"{path.name}: {error}") from error
    # What libraries raise over names that are no text, and over archives that are none.
    except (ValueError, NotImplementedError) as error:
        msg = f"{path.name} is damaged: {error}"
        raise PackageRefused(msg) from error
    return model


def _readers() -> list[Any]:
    found = [plugins.load("format", name) for name in plugins.available("format")]
    return [one for one in found if hasattr(one, "ENDINGS")]


def _unpickled(path: Path, data: bytes) -> Any:
    try:
        return require("cloudpickle", extra=PICKLE).loads(data)
    # A pickle raises whatever the code that it runs raises.
    except Exception as error:
        msg = f"{path.name} cannot be unpickled here: {type(error).__name__}: {error}"
        raise PackageRefused(msg) from error


def names_of(model: Any, known: Sequence[str]) -> list[str]:
    """Return which of some columns a model takes, in its own order; all of them where it knows no names of its own.

    Raises:
        InvalidInput: it knows some of them, and another one.
    """
    graph = getattr(model, "graph", None)
    given = [one.name for one in graph.input] if graph is not None else _names(model)
    spelled = {name.replace(" ", "_"): name for name in known}  # LightGBM and ONNX write no spaces
    found = [spelled.get(str(name).replace(" ", "_")) for name in given]
    if any(found) and None in found:
        missing = given[found.index(None)]
        msg = f"The model takes {str(missing)!r}, which is not among the columns: {', '.join(known)}."
        raise InvalidInput(msg, field=str(missing))
    return [str(name) for name in found] if any(found) else list(known)


def width_of(model: Any) -> int:
    """Return how many columns a model takes; 0: it does not say."""
    for attribute in ("n_features_in_", "num_features", "num_feature", "feature_names_"):
        found = getattr(model, attribute, None)
        if found is not None:
            counted = found() if callable(found) else found
            return counted if isinstance(counted, int) else len(counted)
    return 0


def _names(model: Any) -> Sequence[Any]:
    for attribute in ("feature_names_in_", "feature_names_", "feature_name", "feature_names"):
        found = getattr(model, attribute, None)
        if found is not None:
            return list(found() if callable(found) else found)
    return ()
