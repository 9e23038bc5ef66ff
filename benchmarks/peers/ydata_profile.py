"""The profile of `data/profile` with ydata-profiling: prints the CPU seconds of one report, reading the file not counted.

Its default settings, but for pairwise scatter plots ("interactions"), which nobody else draws.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import warnings

import pandas as pd


def main() -> None:
    """Read the file, make a report of a part to warm up, make one of all rows and say what that took."""
    warnings.simplefilter("ignore")
    os.environ["TQDM_DISABLE"] = "1"
    from ydata_profiling import ProfileReport

    rows = pd.read_parquet(sys.argv[1])
    took = 0.0
    for part in (rows.head(2_000), rows):
        began = _cpu()
        page = ProfileReport(part, progress_bar=False, interactions=None).to_html()
        took = _cpu() - began
        assert "<html" in page
    print(json.dumps(took))


def _cpu() -> float:
    """Return the CPU seconds of this process and the pool that it starts."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
