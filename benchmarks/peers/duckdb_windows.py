"""The windows of `features/windows` with DuckDB: prints the CPU seconds of one query."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import duckdb


def main() -> None:
    """Load the files, compute nine windows over rows and events together, and say what it took."""
    folder = Path(sys.argv[1])
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE both_kinds AS "
        f"SELECT card, t AS moment, NULL::DOUBLE AS amount, file_row_number AS place FROM read_parquet('{folder}/rows.parquet', file_row_number = true) "
        f'UNION ALL SELECT card, "at", amount, NULL '
        f"FROM read_parquet('{folder}/events.parquet')"
    )
    columns, windows = [], []
    for name, span in {"1h": "1 HOUR", "1d": "1 DAY", "7d": "7 DAY"}.items():
        windows.append(
            f"w_{name} AS (PARTITION BY card ORDER BY moment RANGE BETWEEN INTERVAL {span} PRECEDING AND CURRENT ROW)"
        )
        columns += [f"{kind}(amount) OVER w_{name} AS {kind}_{name}" for kind in ("count", "sum", "max")]
    began = time.process_time()
    connection.execute(
        f"CREATE TABLE found AS SELECT place, {', '.join(columns)} FROM both_kinds WINDOW {', '.join(windows)}"
    )
    connection.execute("CREATE TABLE asked AS SELECT * FROM found WHERE place IS NOT NULL ORDER BY place")
    print(time.process_time() - began)


if __name__ == "__main__":
    main()
