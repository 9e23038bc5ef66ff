"""Import of a library that only some users need, with the one sentence that says what to install."""

from __future__ import annotations

import importlib
from typing import Any

from treadle.core.errors import MissingExtra


def require(module: str, *, extra: str) -> Any:
    """Import and return a module, or say which extra brings it.

    Raises:
        MissingExtra: the library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.partition(".")[0]):
            raise
        msg = f"This needs the library {module.partition('.')[0]!r}. Install it with: pip install 'treadle[{extra}]'"
        raise MissingExtra(msg) from error
