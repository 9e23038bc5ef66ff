"""What a server counts of requests is in the ledger, minute by minute, whatever happens to ledger and server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from serving_cases import PREDICT, ROW

from treadle.core.counts import BOUNDS, Counts
from treadle.core.errors import StoreUnavailable
from treadle.core.records import from_json
from treadle.monitoring.served import Served
from treadle.serving.counting import Counting
from treadle.store.ledger import tables as t


def rows(ledger):
    with ledger.read() as connection:
        return [
            (row.server, t.moment(row.at), from_json(row.body, Counts))
            for row in connection.execute(t.served_counts.select().order_by(t.served_counts.c.at))
        ]


def counts(answered, failed=0):
    return Counts(answered, failed, (0.0,) * 3 + (answered,) + (0.0,) * (len(BOUNDS) - 3))


@pytest.fixture
def counting(ledger, clock):
    made = Counting(ledger, server="s", clock=clock, every=0.0)
    made.told = {}
    made.source = lambda: dict(made.told)
    return made


def test_each_minute_has_a_row_and_writing_it_again_changes_nothing(counting, ledger, clock):
    counting.look()
    for answered, failed in ((3, 0), (5, 1), (5, 1)):
        counting.told["delay"] = counts(answered, failed)
        counting.look()
        clock.advance("10s")
    clock.advance("1m")
    counting.told["delay"] = counts(15, 1)
    counting.look()

    (_, first, before), (_, second, after) = rows(ledger)

    assert second - first == timedelta(minutes=1)
    assert (before.answered, before.failed, before.within(0.005)) == (5, 1, 5)
    assert (after.answered, after.failed) == (10, 0)


def test_where_nothing_was_asked_nothing_is_written(counting, ledger):
    counting.told["delay"] = Counts()

    counting.look()

    assert rows(ledger) == []


def test_while_the_ledger_is_away_minutes_are_kept_apart(counting, ledger, clock, monkeypatch):
    def gone():
        raise StoreUnavailable("gone")

    with monkeypatch.context() as away:
        away.setattr(ledger, "write", gone)
        for answered in (2, 6):
            counting.told["delay"] = counts(answered)
            with pytest.raises(StoreUnavailable):
                counting.look()
            clock.advance("1m")

    counting.look()

    assert [one.answered for _, _, one in rows(ledger)] == [2, 4]


def test_a_real_server_writes_down_what_it_answers_and_fails(revise, launch, ledger, clock):
    revise(("champion", 7, 1.0))
    server = launch(workers=2)
    for number in range(20):
        server.call(PREDICT, {"rows": [ROW], "subject": f"s{number}"})
    for _ in range(3):
        server.call(PREDICT, {"rows": []})

    server.stop()

    found = rows(ledger)
    assert sum(one.answered for _, _, one in found) == 20
    assert sum(one.failed for _, _, one in found) == 0
    served = Served(ledger, clock)
    served.refresh()
    assert served.endpoints() == ["delay"]
