"""A wide join: a million rows and five views of five million rows each, in files, by whoever is asked.

Run as a program it reads the files, joins once, and prints a JSON list: the CPU seconds and the peak of the memory in GB of
its own process, imports included.

    python benchmarks/wide_join.py ours|stored|polars|decode FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

VIEWS = range(5)
#: The oldest value that is used.
DAYS = 30


def fields(number: int) -> list[str]:
    """Return the columns of a view that are joined: two floats and an integer."""
    return [f"v{number}_{name}" for name in "abc"]


def measured(who: str, folder: Path) -> tuple[float, float]:
    """Return the CPU seconds and the GB of one of the programs of this file, in a process of its own."""
    command = [sys.executable, __file__, who, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900)
    cpu, memory = json.loads(done.stdout.splitlines()[-1])
    return cpu, memory


def prepare(folder: Path, quick: bool) -> Path:
    """Write rows in any order, and views in order of time (as they land) and in order of entity and time (as kept)."""
    import numpy as np
    import polars as pl

    size = 10_000 if quick else 1_000_000
    chance = np.random.default_rng(0)

    def rows(count: int, name: str) -> pl.DataFrame:
        moments = pl.Series(np.sort(chance.integers(0, 31_536_000, count)) * 1_000_000)
        entities = chance.integers(0, size // 10, count)
        return pl.DataFrame({"entity": entities, name: moments.cast(pl.Datetime("us", "UTC"))})

    spine = rows(size, "at").with_columns(x=chance.random(size))
    spine.sample(fraction=1, shuffle=True, seed=1).write_parquet(folder / "spine.parquet")
    for number in VIEWS:
        view = rows(5 * size, "observed_at").unique(["entity", "observed_at"], maintain_order=True)
        first, second, third = fields(number)
        view = view.with_columns(
            pl.Series(first, chance.normal(size=view.height)),
            pl.Series(second, chance.normal(size=view.height)),
            pl.Series(third, chance.integers(0, 1000, view.height)),
        )
        view.write_parquet(folder / f"v{number}.parquet")
        view.sort("entity", "observed_at").write_parquet(folder / f"stored_v{number}.parquet")
    return folder


def _ours(folder: Path, prefix: str = "") -> int:
    import polars as pl

    import treadle as td
    from treadle.features.join import join

    views = [
        td.FeatureView(
            f"v{number}",
            source=td.Files("*.parquet"),
            entity="entity",
            time="observed_at",
            ttl=f"{DAYS}d",
            fields=fields(number),
        )
        for number in VIEWS
    ]
    files = [pl.scan_parquet(folder / f"{prefix}v{number}.parquet") for number in VIEWS]
    joined = join(pl.read_parquet(folder / "spine.parquet"), list(zip(views, files, strict=True)), time="at")
    return sum(int(joined[fields(number)[2]].sum()) for number in VIEWS)


def _ours_stored(folder: Path) -> int:
    return _ours(folder, "stored_")


def _polars(folder: Path) -> int:
    import polars as pl

    joined = pl.read_parquet(folder / "spine.parquet").with_row_index().sort("at")
    for number in VIEWS:
        view = pl.read_parquet(folder / f"v{number}.parquet")
        joined = joined.join_asof(
            view,
            left_on="at",
            right_on="observed_at",
            by="entity",
            tolerance=timedelta(days=DAYS),
            check_sortedness=False,
        )
        joined = joined.drop("observed_at", strict=False)
    joined = joined.sort("index")
    return sum(int(joined[fields(number)[2]].sum()) for number in VIEWS)


def _decode(folder: Path) -> int:
    import polars as pl

    height = pl.read_parquet(folder / "spine.parquet").height
    return height + sum(pl.read_parquet(folder / f"v{number}.parquet").height for number in VIEWS)


PROGRAMS: Mapping[str, Callable[[Path], int]] = {
    "ours": _ours,
    "stored": _ours_stored,
    "polars": _polars,
    "decode": _decode,
}


def peak() -> float:
    """Return the most memory that this process had, in GB. What `getrusage` says includes the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


def main() -> None:
    """Run one of the programs."""
    PROGRAMS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps([time.process_time(), peak()]))


if __name__ == "__main__":
    main()
