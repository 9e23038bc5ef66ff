"""A packaged model with what can be seen inside of it: for explaining its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from treadle.core import plugins
from treadle.core.forest import Forest
from treadle.core.servable import Servable
from treadle.core.signature import decode_frame
from treadle.registry import golden as rows
from treadle.registry import packages
from treadle.registry.conversion.forests import forest as forest_of
from treadle.registry.formats import onnx
from treadle.registry.packages import GOLDEN, Manifest

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Insides:
    """A model that answers, and what its format lets be seen."""

    servable: Servable
    #: Its golden rows, encoded.
    golden: pl.DataFrame
    #: Its trees, where it is a sum of them in ONNX.
    forest: Forest | None = None
    #: Its library's own contributions: rows → (rows, numbers, inputs + 1), the base last.
    own: Callable[[pl.DataFrame], np.ndarray] | None = None


def insides(manifest: Manifest, contents: Mapping[str, bytes], *, allow_pickle: bool) -> Insides:
    """Return a checked package's model, after it has reproduced its golden rows, with what is inside."""
    signature = manifest.signature
    servable = packages.ready(manifest, contents, allow_pickle=allow_pickle)
    golden = decode_frame(signature.inputs, rows.from_bytes(contents[GOLDEN], signature).columns)
    forest = forest_of(contents[onnx.FILE], signature=signature) if manifest.format == onnx.NAME else None
    loader = (
        plugins.load("format", manifest.format) if manifest.format in plugins.available("format") else None
    )
    made = getattr(loader, "contributions", None)
    own = None if made is None else made(contents, signature=signature)
    return Insides(servable, golden, forest, own)
