"""A table is read in constant memory, whatever its size: tried in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import services
from treadle.data.sources.table import Table

SMALL, LARGE = 40_000, 400_000


def peak(url: str, rows: int) -> int:
    """Read so many rows and return the most memory that this process ever held, in KiB."""
    table = Table(
        "flights",
        connection=url,
        watermark="id",
        query=f"SELECT * FROM flights WHERE id <= {rows}",
        batch_rows=20_000,
    )
    with table.batches(Path(), after=None, key=("id",)) as batches:
        assert sum(batch.raw.frame.height for batch in batches) == rows
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


@pytest.mark.slow
def test_ten_times_the_rows_take_the_same_memory(postgresql_server):
    with services.fresh_database(postgresql_server) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                f"CREATE TABLE flights AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, {LARGE}) i"
            )
            connection.execute("CREATE UNIQUE INDEX ON flights (id)")
        environment = {**os.environ, "PYTHONPATH": str(Path(services.__file__).parent)}
        small, large = (
            int(subprocess.check_output([sys.executable, __file__, url, str(rows)], env=environment))
            for rows in (SMALL, LARGE)
        )

    # The rows alone are 30 MiB.
    assert large - small < 15 * 1024


if __name__ == "__main__":
    sys.stdout.write(str(peak(sys.argv[1], int(sys.argv[2]))))
