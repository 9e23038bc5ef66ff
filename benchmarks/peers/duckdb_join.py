"""The wide join of `wide_join` with DuckDB's ASOF joins: prints the CPU seconds, or the GB, of the whole process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb


def peak() -> float:
    """Return the most memory that this process had, in GB. What `getrusage` says includes the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e6


def main() -> None:
    """Join view by view from the files, into a table in the order of the rows, and say what it took."""
    folder = Path(sys.argv[1])
    connection = duckdb.connect()
    connection.execute(
        f"CREATE TABLE joined0 AS SELECT * FROM read_parquet('{folder}/spine.parquet', file_row_number = true)"
    )
    for number in range(5):
        columns = ", ".join(
            f"CASE WHEN j.at - v.observed_at <= INTERVAL 30 DAY THEN v.v{number}_{name} END AS v{number}_{name}"
            for name in "abc"
        )
        connection.execute(
            f"CREATE TABLE joined{number + 1} AS SELECT j.*, {columns} FROM joined{number} j "
            f"ASOF LEFT JOIN read_parquet('{folder}/v{number}.parquet') v "
            "ON j.entity = v.entity AND j.at >= v.observed_at"
        )
        connection.execute(f"DROP TABLE joined{number}")
    connection.execute("CREATE TABLE joined AS SELECT * FROM joined5 ORDER BY file_row_number")
    (height,) = connection.execute("SELECT count(*) FROM joined").fetchone()
    assert height > 0
    print(time.process_time() if sys.argv[2] == "cpu" else peak())


if __name__ == "__main__":
    main()
