"""The wide join of `wide_join` with pandas `merge_asof`: prints the CPU seconds, or the GB, of the whole process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd


def peak() -> float:
    """Return the most memory that this process had, in GB. What `getrusage` says includes the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


def main() -> None:
    """Read the files, join view by view, bring the rows back into their order and say what it took."""
    folder = Path(sys.argv[1])
    joined = pd.read_parquet(folder / "spine.parquet").reset_index(names="index")
    height = len(joined)
    joined = joined.sort_values("at", kind="stable")
    for number in range(5):
        view = pd.read_parquet(folder / f"v{number}.parquet").rename(columns={"observed_at": "at"})
        joined = pd.merge_asof(joined, view, on="at", by="entity", tolerance=pd.Timedelta(days=30))
    assert len(joined.sort_values("index")) == height
    print(time.process_time() if sys.argv[2] == "cpu" else peak())


if __name__ == "__main__":
    main()
