"""Values on the wire: plain JSON, and what JSON cannot say as objects with the key `$`; frames as Arrow, bytes by their digest."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import math
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import polars as pl

from treadle.app.wire import faults
from treadle.core.errors import InvalidInput, NotOffered, TooLarge, TreadleError
from treadle.serving.arrow_stream import unpacked_size

#: Bytes from which on a frame or file goes by itself, and how deep values may be nested.
INLINE, _DEEPEST = 64 * 1024, 60
#: Bytes that a frame of somebody else unpacks to at most, and rows of one of its batches: a few bytes can claim any number.
_LARGEST, _MOST_ROWS = 2 * 1024**3, 200_000_000
#: Keeps bytes and returns their digest; returns the bytes of a digest.
Keep = Callable[[bytes], str]
Fetch = Callable[[str], bytes]
#: Class → what another workspace finds such a thing by.
_REFERRED: Mapping[str, Callable[[Any], str]] = {
    "ModelVersion": lambda found: f"{found.model}/{found.version}",
    "DatasetVersion": lambda found: f"{found.dataset}/{found.version}",
    "Run": lambda found: found.id,
    "RolloutState": lambda found: found.id,
    "Job": lambda found: found.id,
    "Model": lambda found: found.name,
    "Dataset": lambda found: found.name,
    "Tree": lambda found: found.name,
    "FeatureView": lambda found: found.name,
    "Experiment": lambda found: found.name,
    "Declared": lambda found: found.name,
}


def reference_of(value: Any) -> str | None:
    """Return what a thing of a workspace is found by in another process; None: it goes as it is."""
    kind = type(value)
    name = _REFERRED.get(kind.__name__) if kind.__module__.startswith("treadle.") else None
    return name(value) if name else None


def digest_of(data: bytes) -> str:
    """Return what bytes are known by on the wire."""
    return hashlib.sha256(data).hexdigest()


def encoded(value: Any, keep: Keep) -> Any:
    """Return a value as JSON can say it; what is large is given to `keep`.

    Raises:
        NotOffered: it is of a kind that does not go over the wire.
    """
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else {"$": "float", "v": repr(number)}
    for kinds, code in _ENCODERS:
        if isinstance(value, kinds):
            return code(value, keep)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [one.name for one in dataclasses.fields(value)]
        return _record(value, {name: getattr(value, name) for name in names}, keep)
    msg = f"A value of {type(value).__name__!r} cannot go over the wire. Work where the workspace is: td.open() there."
    raise NotOffered(msg)


def decoded(value: Any, fetch: Fetch, *, trusted: bool, depth: int = 0) -> Any:
    """Return the value that `encoded` wrote; of somebody who is not `trusted`, nothing is imported for it.

    Raises:
        InvalidInput: it is not what `encoded` writes.
    """
    if depth > _DEEPEST:
        msg = f"The values are nested more than {_DEEPEST} deep."
        raise InvalidInput(msg)
    if isinstance(value, list):
        return [decoded(one, fetch, trusted=trusted, depth=depth + 1) for one in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {key: decoded(one, fetch, trusted=trusted, depth=depth + 1) for key, one in value.items()}
    try:
        return _DECODERS[value["$"]](
            value, fetch, lambda one: decoded(one, fetch, trusted=trusted, depth=depth + 1), trusted
        )
    except TreadleError:
        raise
    except (
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        OSError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        msg = f"A value cannot be read ({type(error).__name__})."
        raise InvalidInput(msg) from error


def frame_bytes(frame: pl.DataFrame) -> bytes:
    """Return a frame as an Arrow stream."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="zstd")
    return buffer.getvalue()


def _blob(kind: str, data: bytes, keep: Keep, **more: Any) -> dict[str, Any]:
    if len(data) <= INLINE:
        return {"$": kind, "v": base64.b64encode(data).decode(), **more}
    return {"$": kind, "digest": keep(data), **more}


def _bytes(value: Mapping[str, Any], fetch: Fetch) -> bytes:
    return fetch(str(value["digest"])) if "digest" in value else base64.b64decode(value["v"], validate=True)


def _record(value: Any, fields: Mapping[str, Any], keep: Keep) -> dict[str, Any]:
    kind = type(value)
    if not kind.__module__.startswith("treadle."):
        msg = f"A value of {kind.__name__!r} cannot go over the wire. Work where the workspace is: td.open() there."
        raise NotOffered(msg)
    return {
        "$": "record",
        "of": f"{kind.__module__}:{kind.__qualname__}",
        "v": {name: encoded(one, keep) for name, one in fields.items()},
    }


def _mapping(value: Mapping[Any, Any], keep: Keep) -> Any:
    if all(isinstance(key, str) for key in value) and "$" not in value:
        return {key: encoded(one, keep) for key, one in value.items()}
    return {"$": "map", "v": [[encoded(key, keep), encoded(one, keep)] for key, one in value.items()]}


def _tuple(value: tuple[Any, ...], keep: Keep) -> Any:
    if hasattr(value, "_fields"):
        return _record(value, dict(zip(value._fields, value, strict=True)), keep)
    return {"$": "tuple", "v": [encoded(one, keep) for one in value]}


def _array(value: np.ndarray, keep: Keep) -> Any:
    if value.dtype.hasobject:
        return {"$": "objects", "v": [encoded(one, keep) for one in value.tolist()]}
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return _blob("array", buffer.getvalue(), keep)


_ENCODERS: tuple[tuple[Any, Callable[[Any, Keep], Any]], ...] = (
    (pl.DataFrame, lambda value, keep: _blob("frame", frame_bytes(value), keep)),
    (pl.LazyFrame, lambda value, keep: _blob("frame", frame_bytes(value.collect()), keep, lazy=True)),
    (pl.Series, lambda value, keep: _blob("frame", frame_bytes(value.to_frame()), keep, series=value.name)),
    (np.ndarray, _array),
    (np.generic, lambda value, keep: encoded(value.item(), keep)),
    (Enum, lambda value, keep: _record(value, {"value": value.value}, keep)),
    (datetime, lambda value, _: {"$": "datetime", "v": value.isoformat()}),
    (date, lambda value, _: {"$": "date", "v": value.isoformat()}),
    (time, lambda value, _: {"$": "time", "v": value.isoformat()}),
    (timedelta, lambda value, _: {"$": "span", "v": [value.days, value.seconds, value.microseconds]}),
    (bytes, lambda value, keep: _blob("bytes", value, keep)),
    (Path, lambda value, _: {"$": "path", "v": str(value)}),
    (TreadleError, lambda value, _: {"$": "error", "v": faults.told(value)}),
    (
        msgspec.Struct,
        lambda value, keep: _record(value, {n: getattr(value, n) for n in value.__struct_fields__}, keep),
    ),
    (tuple, _tuple),
    (list, lambda value, keep: [encoded(one, keep) for one in value]),
    ((set, frozenset), lambda value, keep: {"$": "set", "v": [encoded(one, keep) for one in value]}),
    (Mapping, _mapping),
    (int, lambda value, _: int(value)),
)


def _made(value: Any, of: Callable[[Any], Any], trusted: bool) -> Any:
    """Return the record that is meant: data of Treadle's own, of a module that is there already unless the writer is trusted."""
    place, _, path = str(value["of"]).partition(":")
    module = sys.modules.get(place) if place.startswith("treadle.") else None
    if module is None and trusted and place.startswith("treadle."):
        module = import_module(place)
    kind: Any = module
    for name in path.split("."):
        kind = getattr(kind, name, None)
    plain = isinstance(kind, type) and kind.__module__ == place
    if not plain or not (
        issubclass(kind, msgspec.Struct | Enum) or dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")
    ):
        msg = f"There is no record {str(value['of'])[:100]!r}."
        raise InvalidInput(msg)
    fields = {str(name): of(one) for name, one in value["v"].items()}
    if issubclass(kind, Enum):
        return kind(fields["value"])
    if issubclass(kind, msgspec.Struct) and not trusted:
        return msgspec.convert(fields, kind)  # to make one looks at no type
    if not dataclasses.is_dataclass(kind) or not trusted:
        return kind(**fields)
    found: Any = object.__new__(cast("type[Any]", kind))
    for name, one in fields.items():
        object.__setattr__(found, name, one)
    return found


def _frame(value: Any, fetch: Fetch, trusted: bool) -> Any:
    data = _bytes(value, fetch)
    if not trusted and (size := unpacked_size(data, most=_MOST_ROWS)) > _LARGEST:
        msg = f"A frame unpacks to {size:,} bytes. At most {_LARGEST:,} are taken from elsewhere: send it in parts."
        raise TooLarge(msg)
    frame = pl.read_ipc_stream(io.BytesIO(data))
    if "series" in value:
        return frame.to_series().alias(value["series"])
    return frame.lazy() if value.get("lazy") else frame


_Decoder = Callable[[Any, Fetch, Callable[[Any], Any], bool], Any]
_DECODERS: Mapping[str, _Decoder] = {
    "float": lambda value, *_: float(value["v"]),
    "frame": lambda value, fetch, _, trusted: _frame(value, fetch, trusted),
    "array": lambda value, fetch, *_: np.load(io.BytesIO(_bytes(value, fetch)), allow_pickle=False),
    "objects": lambda value, _, of, __: np.array([of(one) for one in value["v"]], dtype=object),
    "datetime": lambda value, *_: datetime.fromisoformat(value["v"]),
    "date": lambda value, *_: date.fromisoformat(value["v"]),
    "time": lambda value, *_: time.fromisoformat(value["v"]),
    "span": lambda value, *_: timedelta(*value["v"]),
    "bytes": lambda value, fetch, *_: _bytes(value, fetch),
    "path": lambda value, *_: Path(value["v"]),
    "error": lambda value, *_: faults.made(value["v"]),
    "ref": lambda value, *_: str(value["v"]),
    "tuple": lambda value, _, of, __: tuple(of(one) for one in value["v"]),
    "set": lambda value, _, of, __: frozenset(of(one) for one in value["v"]),
    "map": lambda value, _, of, __: {of(key): of(one) for key, one in value["v"]},
    "record": lambda value, _, of, trusted: _made(value, of, trusted),
}
