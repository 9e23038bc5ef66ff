"""Leases when their holders die, stop or come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import Busy, LeaseLost, StoreUnavailable
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import datasets, leases

_HOLD = """
import sys
from pathlib import Path
from treadle.core.clock import SystemClock
from treadle.core.errors import LeaseLost
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import datasets, put

lost = 0
with Ledger.open(sys.argv[1], root=Path(".")) as ledger:
    for number in range(int(sys.argv[3])):
        try:
            with ledger.lease(f"work-{number}", holder="child", ttl=float(sys.argv[2]), clock=SystemClock()) as lease:
                print("held", flush=True)
                sys.stdin.readline()
                with ledger.write() as connection:
                    put(connection, datasets, name="from the child", body="")
                    lease.check(connection)
        except LeaseLost:
            lost += 1
            print("lost", flush=True)
sys.exit(7 if lost else 0)
"""
#: Times that a holder is stopped past its lease, on each ledger: 30 in all in CI, 300 in full.
STOPS = 150 if os.environ.get("TREADLE_FULL") else 15


def test_a_killed_holder_is_taken_over_at_once(ledger: Ledger, ledger_url: str, clock: Clock) -> None:
    child = _holder(ledger_url, ttl=600)
    with pytest.raises(Busy, match="child"), ledger.lease("work-0", holder="me", ttl=600, clock=clock):
        pass

    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    with ledger.lease("work-0", holder="me", ttl=600, clock=clock) as lease:
        assert lease.token == 2
    child.communicate()


def test_r6_a_stopped_holder_is_taken_over_and_commits_nothing(
    ledger: Ledger, ledger_url: str, clock: Clock
) -> None:
    child = _holder(ledger_url, ttl=0.3, times=STOPS)
    assert child.stdin is not None
    assert child.stdout is not None
    for number in range(STOPS):
        child.send_signal(signal.SIGSTOP)
        with _when_free(ledger, clock, name=f"work-{number}", stopped=child) as lease:
            child.send_signal(signal.SIGCONT)
            child.stdin.write("go\n")
            child.stdin.flush()

            assert child.stdout.readline() == "lost\n"
            with ledger.write() as connection:
                lease.check(connection)
                assert connection.execute(select(datasets)).all() == []
        assert number == STOPS - 1 or child.stdout.readline() == "held\n"
    child.communicate(timeout=30)
    assert child.returncode == 7


def test_a_lease_outlives_its_ttl_while_its_holder_works(ledger: Ledger, clock: Clock) -> None:
    with ledger.lease("work", holder="me", ttl=0.2, clock=clock):
        ends = {_ends_at(ledger)}
        end = monotonic() + 20
        while len(ends) < 8 and monotonic() < end:
            ends.add(_ends_at(ledger))

        with pytest.raises(Busy), ledger.lease("work", holder="other", ttl=0.2, clock=clock):
            pass
    assert len(ends) == 8


def test_a_holder_learns_that_its_lease_is_lost(ledger: Ledger, clock: Clock) -> None:
    with ledger.lease("work", holder="me", ttl=0.2, clock=clock) as lease:
        with ledger.write() as connection:
            connection.execute(leases.update().values(token=99))

        assert lease._lost.wait(20)
        assert lease.is_lost
        with pytest.raises(LeaseLost, match="'work' was taken over"), ledger.write() as connection:
            lease.check(connection)

    with ledger.read() as connection:
        assert connection.execute(select(leases.c.token, leases.c.holder != "")).one() == (99, True)


def test_of_many_that_want_a_lease_one_gets_it(ledger: Ledger, clock: Clock) -> None:
    start, done, got = threading.Barrier(6), threading.Barrier(6), []

    def want() -> None:
        start.wait()
        try:
            with ledger.lease("work", holder="me", ttl=30, clock=clock) as lease:
                got.append(lease.token)
                done.wait()
        except Busy:
            got.append(None)
            done.wait()

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(got, key=str) == [1, None, None, None, None, None]


@pytest.mark.parametrize("verb", ["take", "give back"])
def test_a_lease_that_the_ledger_may_hold_on_to_does_not_shut_out_its_own_process(
    ledger: Ledger, ledger_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    write = ledger.write

    @contextmanager
    def unanswered() -> Iterator[Connection]:
        if verb == "take":
            with write() as connection:
                yield connection
        msg = "the ledger went away"
        raise StoreUnavailable(msg)

    with suppress(StoreUnavailable), monkeypatch.context() as patch, ExitStack() as stack:
        if verb == "give back":
            stack.enter_context(ledger.lease("work", holder="me", ttl=600, clock=clock))
        patch.setattr(ledger, "write", unanswered)
        if verb == "take":
            stack.enter_context(ledger.lease("work", holder="me", ttl=600, clock=clock))

    with (
        Ledger.open(ledger_url, root=tmp_path) as other,
        pytest.raises(Busy),
        other.lease("work", holder="other", ttl=600, clock=clock),
    ):
        pass
    with ledger.lease("work", holder="me", ttl=600, clock=clock) as lease:
        assert lease.token == 2


def _holder(url: str, *, ttl: float, times: int = 1) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", _HOLD, url, str(ttl), str(times)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def _when_free(
    ledger: Ledger, clock: Clock, *, name: str, stopped: subprocess.Popen[str] | None = None
) -> Any:
    class Waiting:
        def __enter__(self) -> Any:
            end = monotonic() + 60
            while True:
                self.lease = ledger.lease(name, holder="me", ttl=30, clock=clock)
                try:
                    return self.lease.__enter__()
                except Busy:
                    assert monotonic() < end
                except StoreUnavailable:
                    # It was stopped in the middle of a renewal, and its open transaction keeps all others out.
                    assert stopped is not None
                    assert monotonic() < end
                    stopped.send_signal(signal.SIGCONT)
                    threading.Event().wait(0.1)
                    stopped.send_signal(signal.SIGSTOP)

        def __exit__(self, *error: object) -> None:
            self.lease.__exit__(*error)

    return Waiting()


def _ends_at(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return connection.execute(select(leases.c.expires_at)).scalar_one()


def test_a_turn_comes_when_the_one_before_ends(ledger: Ledger, clock: Clock) -> None:
    order: list[str] = []

    def second() -> None:
        with ledger.turn("work", holder="second", clock=clock):
            order.append("second")

    with ledger.turn("work", holder="first", clock=clock):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(timeout=0.2)
        order.append("first")
    waiting.join(timeout=30)

    assert order == ["first", "second"]


def test_a_turn_that_does_not_come_is_given_up(ledger: Ledger, clock: Clock) -> None:
    with (
        ledger.turn("work", holder="first", clock=clock),
        pytest.raises(Busy, match="'first'"),
        ledger.turn("work", holder="second", clock=clock, patience=0.1),
    ):
        pass
