"""The point-in-time join of `features/join` with pandas: prints the CPU seconds of one join."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pandas as pd


def main() -> None:
    """Read the files, join once to warm up, join again and say what it took."""
    folder = Path(sys.argv[1])
    spine = pd.read_parquet(folder / "spine.parquet")
    views = [pd.read_parquet(folder / f"{name}.parquet") for name in ("first", "second")]
    for _ in range(2):
        began = time.process_time()
        joined = spine.sort_values("at", kind="stable")
        for view in views:
            joined = pd.merge_asof(
                joined.reset_index(names="index") if "index" not in joined else joined,
                view.rename(columns={"observed_at": "at"}),
                on="at",
                by="entity",
                tolerance=pd.Timedelta(days=7),
            )
        assert len(joined.sort_values("index")) == len(spine)
        took = time.process_time() - began
    print(json.dumps(took))


if __name__ == "__main__":
    main()
