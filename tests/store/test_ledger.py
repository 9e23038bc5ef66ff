"""The ledger under the things that happen to databases."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

import services
from pace import within
from treadle.core.clock import monotonic
from treadle.core.errors import (
    NotFound,
    SettingsError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from treadle.store.ledger import schema
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import datasets, put

_OPEN = """
import sys
from pathlib import Path
from treadle.store.ledger.ledger import Ledger
print("ready", flush=True)
sys.stdin.readline()
with Ledger.open(sys.argv[1], root=Path(".")) as ledger:
    print(ledger.revision(), "alembic" in sys.modules)
"""

_WRITE = """
import sys
from pathlib import Path
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import datasets, put
with Ledger.open(sys.argv[1], root=Path(".")) as ledger:
    print("ready", flush=True)
    for number in range(1_000_000):
        with ledger.write() as connection:
            put(connection, datasets, name=f"{sys.argv[2]}-{number}-a", body="")
            put(connection, datasets, name=f"{sys.argv[2]}-{number}-b", body="")
        print(f"{sys.argv[2]}-{number}-a", flush=True)
"""


def test_several_processes_may_open_a_fresh_ledger_at_once(ledger_url: str) -> None:
    children = [_child(_OPEN, ledger_url) for _ in range(4)]
    for child in children:
        assert child.stdout.readline() == "ready\n"

    outputs = [child.communicate("go\n", timeout=60)[0] for child in children]

    assert {output.split()[0] for output in outputs} == {schema.known()[-1]}
    assert [child.returncode for child in children] == [0] * 4


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_was_committed(ledger: Ledger, ledger_url: str) -> None:
    moments, acknowledged = random.Random(9), set()

    for number in range(10):
        child = _child(_WRITE, ledger_url, str(number))
        assert child.stdout.readline() == "ready\n"
        threading.Event().wait(moments.uniform(0, 0.1))
        child.kill()
        acknowledged |= set(child.communicate()[0].split("\n")[:-1])

        names = _names(ledger)
        assert acknowledged <= set(names)
        assert len(names) % 2 == 0
        assert ledger.integrity() == "ok"


def test_only_an_empty_ledger_is_asked_about_before_it_is_made(ledger_url: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def refuse(shown: str) -> None:
        asked.append(shown)
        msg = "not here"
        raise StoreUnavailable(msg)

    with pytest.raises(StoreUnavailable, match="not here"):
        Ledger.open(ledger_url, root=tmp_path, before_first=refuse)
    Ledger.open(ledger_url, root=tmp_path).close()
    Ledger.open(ledger_url, root=tmp_path, before_first=refuse).close()

    assert len(asked) == 1


def test_an_upgraded_ledger_opens_without_alembic(ledger: Ledger, ledger_url: str) -> None:
    child = _child(_OPEN, ledger_url)

    output = child.communicate("go\n", timeout=60)[0]

    assert output.split() == ["ready", schema.known()[-1], "False"]


def test_sqlite_survives_a_power_cut_by_its_settings(tmp_path: Path) -> None:
    with _sqlite(tmp_path) as ledger, ledger.read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_locked_ledger_says_so_in_time(tmp_path: Path) -> None:
    with _sqlite(tmp_path, timeout=0.2) as ledger, ledger.write():
        start = monotonic()

        with (
            pytest.raises(StoreUnavailable, match=r"locked by another process.*ledger\.timeout"),
            ledger.write(),
        ):
            pass

        assert monotonic() - start < within(5)


def test_a_locked_postgresql_says_so_in_time(postgresql_server: str, tmp_path: Path) -> None:
    with (
        services.fresh_database(postgresql_server) as url,
        Ledger.open(url, root=tmp_path, timeout=0.2) as ledger,
        ledger.write(),
        pytest.raises(StoreUnavailable, match="locked by another process"),
        ledger.write(),
    ):
        pass


def test_a_ledger_that_is_deleted_is_not_written_to_blindly(tmp_path: Path) -> None:
    with _sqlite(tmp_path) as ledger:
        for path in tmp_path.glob("ledger.db*"):
            path.unlink()

        with pytest.raises(StoreUnavailable, match="is gone"), ledger.write() as connection:
            put(connection, datasets, name="a", body="1")

        assert not (tmp_path / "ledger.db").exists()


def test_a_ledger_that_is_put_back_is_used_again(tmp_path: Path) -> None:
    with _sqlite(tmp_path) as ledger:
        with ledger.write() as connection:
            put(connection, datasets, name="old", body="1")
        with sqlite3.connect(tmp_path / "ledger.db") as live, sqlite3.connect(tmp_path / "backup") as backup:
            live.backup(backup)
        live.close()
        backup.close()
        for path in tmp_path.glob("ledger.db*"):
            path.unlink()
        (tmp_path / "backup").rename(tmp_path / "ledger.db")

        with ledger.write() as connection:
            put(connection, datasets, name="new", body="2")

        assert _names(ledger) == ["new", "old"]


def test_a_damaged_ledger_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, " * 1000)

    with pytest.raises(StoreUnavailable, match="damaged"):
        _sqlite(tmp_path)


def test_a_full_disk_loses_nothing_and_passes(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="2m") as disk, _sqlite(disk) as ledger:
        with ledger.write() as connection:
            put(connection, datasets, name="before", body="1")
        ballast = services.fill(disk)

        with pytest.raises(StoreFull, match="no space is left"), ledger.write() as connection:
            put(connection, datasets, name="during", body="x" * 500_000)
        ballast.unlink()
        with ledger.write() as connection:
            put(connection, datasets, name="after", body="2")

        assert _names(ledger) == ["after", "before"]
        assert ledger.integrity() == "ok"


def test_a_disk_that_is_full_at_the_start_says_so(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="64k") as disk:
        services.fill(disk)

        with pytest.raises(StoreFull, match="no space is left"):
            _sqlite(disk)


def test_a_read_only_folder_says_so(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="4m") as disk:
        services.make_read_only(disk)

        with pytest.raises(StoreReadOnly, match="may not be written to"):
            _sqlite(disk)


def test_a_ledger_that_becomes_read_only_says_so(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="4m") as disk:
        _sqlite(disk).close()
        services.make_read_only(disk)

        with pytest.raises(StoreReadOnly), _sqlite(disk) as ledger, ledger.write() as connection:
            put(connection, datasets, name="a", body="1")


@pytest.fixture(scope="module")
def server() -> Iterator[services.PrivatePostgres]:
    with services.PrivatePostgres() as private:
        yield private


def test_postgresql_that_is_killed_is_reached_again(server: services.PrivatePostgres, tmp_path: Path) -> None:
    with Ledger.open(server.url, root=tmp_path, timeout=20) as ledger, ThreadPoolExecutor(1) as pool:
        _write(ledger, "before")
        server.kill()

        waiting = pool.submit(_write, ledger, "after")
        server.start()
        waiting.result()

        assert _names(ledger) == ["after", "before"]


def test_a_transaction_cut_off_by_a_kill_is_not_repeated(
    server: services.PrivatePostgres, tmp_path: Path
) -> None:
    with Ledger.open(server.url, root=tmp_path, timeout=20) as ledger:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            _write_through_a_restart(ledger, server)

        assert "half" not in _names(ledger)


def test_postgresql_that_stays_away_is_given_up(server: services.PrivatePostgres, tmp_path: Path) -> None:
    with Ledger.open(server.url, root=tmp_path, timeout=1) as ledger:
        server.kill()
        start = monotonic()

        with pytest.raises(StoreUnavailable, match="does not answer"), ledger.read():
            pass

        assert monotonic() - start < within(5)
        server.start()


@pytest.mark.parametrize(
    "address",
    ["postgresql://nobody:hidden@127.0.0.1:1/x", "postgresql://nobody@127.0.0.1:1/x?password=hidden"],
)
def test_a_password_is_never_shown(address: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        Ledger.open(address, root=tmp_path, timeout=0.1)

    assert "hidden" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "error"),
    [("sqlite://", SettingsError), ("nonsense", SettingsError), ("sqlit:///x", NotFound)],
)
def test_what_is_no_ledger_url_is_refused(url: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        Ledger.open(url, root=tmp_path)


@pytest.mark.parametrize("schema", ["", "Treadle", 'x"; DROP TABLE runs; --', "a b"])
def test_a_schema_name_is_a_plain_word(schema: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ledger\.schema"):
        Ledger.open("sqlite:///x.db", root=tmp_path, schema=schema)


def test_projects_share_a_database_by_schema(postgresql_server: str, tmp_path: Path) -> None:
    with (
        services.fresh_database(postgresql_server) as url,
        Ledger.open(url, root=tmp_path, schema="one") as one,
        Ledger.open(url, root=tmp_path, schema="two") as two,
    ):
        with one.write() as connection:
            put(connection, datasets, name="a", body="1")

        assert (_names(one), _names(two)) == (["a"], [])


def _sqlite(folder: Path, *, timeout: float = 10) -> Ledger:
    return Ledger.open("sqlite:///ledger.db", root=folder, timeout=timeout)


def _names(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return sorted(connection.execute(select(datasets.c.name)).scalars())


def _write(ledger: Ledger, name: str) -> None:
    with ledger.write() as connection:
        put(connection, datasets, name=name, body="1")


def _write_through_a_restart(ledger: Ledger, server: services.PrivatePostgres) -> None:
    with ledger.write() as connection:
        put(connection, datasets, name="half", body="1")
        server.kill()
        server.start()


def _child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
