"""The benchmarks of the wide join: what it costs and what it takes of the memory, by whoever is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness import Benchmark, Peer
from wide_join import measured, prepare

#: What a program of the join prints, in this order.
WHAT = ("cpu", "memory")


def wide(title: str, *, what: Literal["cpu", "memory"], unit: str) -> Benchmark:
    """Return the benchmark of a wide join from files, against the better of bare Polars and pandas."""
    pandas = _peer("pandas_join.py", what, packages=("pandas==3.*", "pyarrow"))

    def bare(who: str, folder: Path) -> float:
        return measured(who, folder)[WHAT.index(what)]

    def floor(folder: Path) -> float:
        polars = bare("polars", folder)
        return min(polars, pandas.measure(folder)) if pandas.ready else polars

    return Benchmark(
        title=title,
        unit=unit,
        prepare=prepare,
        ours=lambda folder: bare("ours", folder),
        floor=floor,
        peers={
            "ours, views kept by entity and time": _own("stored", what),
            "polars join_asof": _own("polars", what),
            "pandas merge_asof": pandas,
            "duckdb asof": _peer("duckdb_join.py", what, packages=("duckdb==2.*",)),
            "merely decoding": _own("decode", what),
        },
        floors=1.3,
        rounds=3,
    )


def _own(who: str, what: str) -> Peer:
    """Return a program of ours or of bare Polars, shown beside the peers."""
    return Peer(script="own_join.py", arguments=lambda folder: [who, str(folder), what])


def _peer(script: str, what: str, *, packages: tuple[str, ...]) -> Peer:
    return Peer(script=script, packages=packages, arguments=lambda folder: [str(folder), what])
