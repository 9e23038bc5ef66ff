"""What the benchmarks of profiles do: a profile with its page, and the counts that nobody can do without.

python benchmarks/profiles.py profile FILE      # prints the peak memory of the process, in MiB
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

import treadle as td
from treadle.data.profiles.profile import profile
from treadle.data.profiles.subject import Subject

SUBJECT = Subject(dataset="departures", key=("id",), time="at", outcomes=("late",))


def profiled(file: Path) -> None:
    """Profile the rows of a file, leaks and associations included, and make the page."""
    page = td.profile_page(profile(pl.scan_parquet(file), SUBJECT))
    assert page.endswith("</html>\n")


def described(file: Path) -> None:
    """Count, in one pass, the missing values of each column, its bounds, mean and deviation."""
    rows = pl.scan_parquet(file)
    wanted = []
    for name, dtype in rows.collect_schema().items():
        column = pl.col(name)
        counted = {"missing": column.null_count(), "min": column.min(), "max": column.max()}
        if dtype.is_numeric():
            counted |= {"mean": column.mean(), "std": column.std()}
        wanted += [expression.alias(f"{name} {what}") for what, expression in counted.items()]
    assert rows.select(wanted).collect(engine="streaming").height == 1


if __name__ == "__main__":
    {"profile": profiled, "describe": described}[sys.argv[1]](Path(sys.argv[2]))
    # Not `getrusage`: that also counts what the process that started this one had at that moment.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(float(status["VmHWM"].split()[0]) / 1024)
