"""Files of skops: objects kept without pickle, made again of trusted types only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zipfile import BadZipFile

from treadle.core.errors import PackageRefused, UnsafeFormat
from treadle.core.optional import require

_WAY_OUT = (
    "Build it from the library's own parts, return an ONNX model instead, write a format plug-in for it (entry point "
    "'treadle.format'), or declare allow_pickle=True at the model."
)


def dump(model: Any, *, trusts: Callable[[str], bool]) -> bytes:
    """Return an object as a file.

    Raises:
        UnsafeFormat: it holds a type that is not trusted, or cannot be kept without pickle.
    """
    skops = require("skops.io", extra="sklearn")
    try:
        data = bytes(skops.dumps(model))
    # skops raises what the object's own __reduce__ or __getstate__ raises.
    except Exception as error:
        msg = f"{type(model).__name__} cannot be stored without pickle ({error}). {_WAY_OUT}"
        raise UnsafeFormat(msg) from error
    _unknown(skops, data, name="the model", trusts=trusts)
    return data


def load(data: bytes, *, name: str, trusts: Callable[[str], bool]) -> Any:
    """Return the object of a file.

    Raises:
        UnsafeFormat: it holds a type that is not trusted.
        PackageRefused: it is no such file.
    """
    skops = require("skops.io", extra="sklearn")
    return skops.loads(data, trusted=_unknown(skops, data, name=name, trusts=trusts))


def _unknown(skops: Any, data: bytes, *, name: str, trusts: Callable[[str], bool]) -> list[str]:
    """Return the types that skops does not know and we trust."""
    try:
        unknown: list[str] = skops.get_untrusted_types(data=data)
    except (BadZipFile, KeyError, ValueError, TypeError, OSError, EOFError) as error:
        msg = f"{name} cannot be read: {error}"
        raise PackageRefused(msg) from error
    refused = sorted(kind for kind in unknown if not trusts(kind))
    if refused:
        msg = f"The model holds types that may run code when they are read: {', '.join(refused)}. {_WAY_OUT}"
        raise UnsafeFormat(msg)
    return unknown
