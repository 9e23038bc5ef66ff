"""An index of the keys that a dataset has, kept on this machine, so that adding a few rows does not read the many.

It is derived from the tables and may be deleted at any moment. It can only err by naming a key that is no longer there:
what it finds is looked up in the table itself.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.ids import new_id
from treadle.store.files import replacing

#: Runs of sorted hashes; beyond this many the newest ones are merged.
_MOST_RUNS = 8
#: Keys that came since the index was written, from which on it is written again.
WORTH_WRITING = 50_000
_STATE = "state.json"
Hashes = npt.NDArray[np.uint64]
#: The least and the greatest value of the first key column, as whole numbers.
Range = tuple[int, int]


@dataclass(frozen=True)
class Hits:
    """Which of some keys may be there."""

    #: For each key whether it may be there.
    mask: npt.NDArray[np.bool_]
    #: First and last dataset version in which those rows came.
    first: int
    last: int


class Fingerprints:
    """The hashes of some keys, and the range of the first column where that is numbers or moments."""

    def __init__(self, keys: pl.DataFrame) -> None:
        found = hashes(keys)
        #: The hash of each key.
        self.each: Hashes = found.to_numpy()
        #: The hashes in order.
        self.ascending: Hashes = found.sort().to_numpy()
        first = keys.to_series(0)
        numbers = first.dtype.is_integer() or first.dtype.is_temporal()
        plain = first.to_physical() if numbers and keys.height else pl.Series([], dtype=pl.Int64)
        low, high = plain.min(), plain.max()
        self.range = (low, high) if isinstance(low, int) and isinstance(high, int) else None

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self.ascending)

    @property
    def has_twins(self) -> bool:
        """Whether a key may be there twice; no: it is not."""
        return bool((self.ascending[1:] == self.ascending[:-1]).any())


class KeyIndex:
    """The hashes of the keys of one part of a dataset, in sorted runs; each covers a range of dataset versions."""

    def __init__(self, folder: Path, *, identity: str) -> None:
        """Use the index in a folder; one of another `identity` (another dataset of that name) is not used."""
        self._folder = folder
        self._identity = f"{identity} {pl.__version__}"
        self._runs = self._load()

    @property
    def covered(self) -> int:
        """The dataset version up to which every key is here; 0: none."""
        return max((run["last"] for run in self._runs), default=0)

    @property
    def size(self) -> int:
        """How many keys are here."""
        return sum(run["keys"] for run in self._runs)

    def extend(self, keys: Fingerprints, *, last: int) -> None:
        """Add the keys that came after `covered`, up to and with version `last`; more of them do no harm.

        Where the disk refuses, the index stays as it is: what it does not cover is read from the table.
        """
        with suppress(OSError):
            run = self._write(keys.ascending, first=self.covered + 1, last=last, range=keys.range)
            self._runs = self._merged([*self._runs, run])
            self._save()

    def find(self, keys: Fingerprints) -> Hits:
        """Say which keys may be there."""
        mask = np.zeros(len(keys), dtype=np.bool_)
        met = []
        for run in self._runs:
            if _apart(keys.range, run["range"]):
                continue
            # In order: a run is then walked through once, not jumped about in.
            found = _contained(keys.ascending, np.load(self._folder / run["file"], mmap_mode="r"))
            if found.any():
                mask |= _contained(keys.each, keys.ascending[found])
                met.append(run)
        return Hits(mask, min((r["first"] for r in met), default=0), max((r["last"] for r in met), default=0))

    def _merged(self, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Merge the newest runs where there are too many: with each run that is no larger than those after it."""
        if len(runs) <= _MOST_RUNS:
            return runs
        at, keys = len(runs) - 2, runs[-2]["keys"] + runs[-1]["keys"]
        while at and runs[at - 1]["keys"] <= keys:
            at -= 1
            keys += runs[at]["keys"]
        doomed = runs[at:]
        merged = np.concatenate([np.load(self._folder / run["file"]) for run in doomed])
        merged.sort(kind="stable")
        span = reduce(_both, (run["range"] for run in doomed))
        return [
            *runs[:at],
            self._write(merged, first=doomed[0]["first"], last=doomed[-1]["last"], range=span),
        ]

    def _write(self, run: Hashes, *, first: int, last: int, range: Range | None) -> dict[str, Any]:  # noqa: A002 - of keys
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{new_id()}.npy"
        with replacing(self._folder / name) as file:
            # Not `np.save`: a disk that refuses the end of a file goes unnoticed there.
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(run))
            file.write(run.data)
        return {"file": name, "first": first, "last": last, "keys": len(run), "range": range}

    def _save(self) -> None:
        state = {"identity": self._identity, "runs": self._runs}
        with replacing(self._folder / _STATE) as file:
            file.write(json.dumps(state).encode())
        kept = {_STATE, *(run["file"] for run in self._runs)}
        for stray in self._folder.iterdir():
            if stray.name not in kept:
                stray.unlink(missing_ok=True)

    def _load(self) -> list[dict[str, Any]]:
        try:
            state = json.loads((self._folder / _STATE).read_bytes())
            runs: list[dict[str, Any]] = state["runs"]
            whole = all((self._folder / run["file"]).stat().st_size > 8 * run["keys"] for run in runs)
        except (OSError, ValueError, KeyError, TypeError):
            return []
        if state["identity"] == self._identity and whole:
            return runs
        shutil.rmtree(self._folder, ignore_errors=True)
        return []


def hashes(keys: pl.DataFrame) -> pl.Series:
    """Return the hash of each row; the same on one machine and release of Polars, which is all that a cache needs."""
    return keys.select(pl.struct(pl.all()).hash()).to_series()


def look_up(
    keys: pl.DataFrame,
    *,
    prints: Fingerprints,
    index: KeyIndex,
    newest: int,
    count: int,
    read_keys: Callable[[int], pl.DataFrame],
    read_rows: Callable[[pl.DataFrame, int, int], pl.DataFrame],
) -> pl.DataFrame | None:
    """Return the stored rows that have one of these keys, None where there are none.

    `prints` are the fingerprints of the keys, `newest` is the newest dataset version and `count` about how many keys there are. `read_keys(after)` returns the keys
    that came after a dataset version; `read_rows(keys, first, last)` the rows of some keys that came in a range of versions.
    What came since the index was written is read from the table, until it is enough to be worth writing.
    """
    if count - index.size >= WORTH_WRITING:
        index.extend(Fingerprints(read_keys(index.covered)), last=newest)
    found = []
    hits = index.find(prints)
    if hits.mask.any():
        found.append(read_rows(keys.filter(pl.Series(hits.mask)), hits.first, hits.last))
    if index.covered < newest:
        found.append(read_rows(keys, index.covered + 1, newest))
    return pl.concat(found) if found else None


def bounds(keys: pl.DataFrame, columns: Sequence[str]) -> pl.Expr:
    """Return a test that every row with one of these keys passes: files whose statistics fail it are not read."""
    tests = []
    for name in columns:
        low, high = keys[name].min(), keys[name].max()
        if low is not None and keys.schema[name] != pl.Boolean:
            tests.append(pl.col(name).is_between(pl.lit(low), pl.lit(high)))
    return pl.all_horizontal(tests) if tests else pl.lit(value=True)


def _apart(one: Range | None, other: Range | None) -> bool:
    return one is not None and other is not None and (one[1] < other[0] or other[1] < one[0])


def _both(one: Range | None, other: Range | None) -> Range | None:
    return None if one is None or other is None else (min(one[0], other[0]), max(one[1], other[1]))


def _contained(wanted: Hashes, run: Hashes) -> npt.NDArray[np.bool_]:
    """Return which of the wanted hashes are in a run, which is sorted."""
    if not len(run) or not len(wanted):
        return np.zeros(len(wanted), dtype=np.bool_)
    at = np.searchsorted(run, wanted)
    at[at == len(run)] = 0
    found: npt.NDArray[np.bool_] = run[at] == wanted
    return found
