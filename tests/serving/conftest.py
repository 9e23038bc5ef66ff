"""What the tests of serving share: a ledger, tables, and a real server process over fake models."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from treadle.core.clock import ManualClock, SystemClock
from treadle.core.records import Variant
from treadle.serving.endpoints import Endpoints
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

sys.path.insert(0, str(Path(__file__).parent))

from serving_process import launching


@pytest.fixture
def clock():
    return ManualClock(datetime(2013, 2, 1, 12, tzinfo=UTC))


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger.open("sqlite:///ledger.db", root=tmp_path)
    yield ledger
    ledger.close()


@pytest.fixture
def endpoints(ledger, clock):
    return Endpoints(ledger, clock)


@pytest.fixture
def tables(tmp_path):
    return Tables.open("tables", root=tmp_path, options={})


@pytest.fixture
def revise(endpoints):
    """Make a revision of the endpoint `delay` from (name, version, weight)."""

    def make(*variants, name="delay"):
        made = [Variant(name=n, model="delay", version=v, weight=w) for n, v, w in variants]
        return endpoints.revise(name, made, actor="test", reason="asked for", expected=None)

    return make


@pytest.fixture
def launch(tmp_path):
    """Start servers that end with the test."""
    with launching(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server of two variants that the tests of a file share; they leave it as it was."""
    root = tmp_path_factory.mktemp("shared")
    ledger = Ledger.open("sqlite:///ledger.db", root=root)
    variants = [
        Variant(name=n, model="delay", version=v, weight=0.5) for n, v in (("champion", 7), ("challenger", 8))
    ]
    endpoints = Endpoints(ledger, SystemClock())
    endpoints.revise("delay", variants, actor="test", reason="asked for", expected=0)
    alone = [Variant(name="champion", model="delay", version=7)]
    endpoints.revise("fares", alone, actor="test", reason="asked for", expected=0)
    with launching(root) as start:
        server = start(durability="sync", max_body=100_000, max_rows=1_000)
        server.endpoints = endpoints
        server.tables = Tables.open("tables", root=root, options={})
        yield server
    ledger.close()
