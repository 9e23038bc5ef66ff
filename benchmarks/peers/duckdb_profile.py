"""The counts of `data/profile` with DuckDB's SUMMARIZE: prints the CPU seconds of one summary."""

from __future__ import annotations

import json
import sys
import time

import duckdb


def main() -> None:
    """Open the file, summarise a part to warm up, summarise all of it and say what that took."""
    connection = duckdb.connect()
    file = sys.argv[1]
    connection.execute(f"SUMMARIZE SELECT * FROM read_parquet('{file}') LIMIT 10000").fetchall()
    began = time.process_time()
    columns = connection.execute(f"SUMMARIZE SELECT * FROM read_parquet('{file}')").fetchall()
    took = time.process_time() - began
    assert len(columns) == 20
    print(json.dumps(took))


if __name__ == "__main__":
    main()
