"""Fixtures for every room's tests: stores on each back end, and a clock that stands still."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import services
from treadle.core import plugins
from treadle.core.clock import ManualClock
from treadle.core.settings import aws_options
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.online.online import Online
from treadle.store.tables.tables import Tables

#: The only backend of Keras that a model can be stored from; read when Keras is imported.
os.environ.setdefault("KERAS_BACKEND", "torch")
#: Whose tracking server this names would not want the runs of tests.
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("OPENLINEAGE_URL", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a slow test twice, and say so in the summary: it watches real processes on a machine that others use too.

    A fault that is there shows both times. At full size nothing is tried again.
    """
    if not os.environ.get("TREADLE_FULL"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at the start of 2013."""
    return ManualClock(datetime(2013, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL whose user may make databases."""
    with services.postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Seaweed]:
    """A SeaweedFS of this test process."""
    with services.Seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="module")
def bucket(seaweed: services.Seaweed) -> str:
    """A fresh S3 bucket for the test module."""
    return seaweed.bucket()


@pytest.fixture
def s3(seaweed: services.Seaweed, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a bucket, with the `AWS_*` variables set to reach it."""
    for name, value in seaweed.options.items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/{uuid.uuid4().hex[:12]}"


@pytest.fixture(params=plugins.available("ledger"))
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty ledger, on each back end."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    elif request.param == "postgresql":
        with services.fresh_database(request.getfixturevalue("postgresql_server")) as url:
            yield url
    else:
        pytest.fail(f"Say in tests/conftest.py where a ledger on {request.param!r} can be tried")


@pytest.fixture
def ledger(ledger_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """An empty, open ledger, on each back end."""
    with Ledger.open(ledger_url, root=tmp_path, timeout=10) as opened:
        yield opened


@pytest.fixture(params=plugins.available("objects"))
def objects_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty object store, on each back end; `aws_options()` reaches it."""
    return _place(request, tmp_path / "objects")


@pytest.fixture
def objects(objects_url: str, tmp_path: Path) -> Objects:
    """An empty object store, on each back end."""
    return Objects.open(objects_url, root=tmp_path, options=aws_options())


@pytest.fixture(params=plugins.available("tables"))
def tables_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty table store, on each back end; `aws_options()` reaches it."""
    return _place(request, tmp_path / "tables")


@pytest.fixture
def tables(tables_url: str, tmp_path: Path) -> Tables:
    """An empty table store, on each back end."""
    return Tables.open(tables_url, root=tmp_path, options=aws_options())


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.PrivateRedis]:
    """A Redis of this test process."""
    with services.PrivateRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=plugins.available("online"))
def online_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty online store, on each back end."""
    if request.param == "embedded":
        return str(tmp_path / "online")
    if request.param == "redis":
        server: services.PrivateRedis = request.getfixturevalue("redis_server")
        server.flush()
        return server.url
    return pytest.fail(f"Say in tests/conftest.py where an online store on {request.param!r} can be tried")


@pytest.fixture
def online(online_url: str, tmp_path: Path) -> Iterator[Online]:
    """An empty online store, on each back end, whose reads may wait for a busy machine."""
    opened = Online.open(online_url, root=tmp_path, timeout=10)
    yield opened
    opened.close()


def _place(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "folder":
        return str(folder)
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/{folder.name}"
    return pytest.fail(f"Say in tests/conftest.py where {request.param!r} can be tried")
