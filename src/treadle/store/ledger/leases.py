"""Leases: the right to work on something, for one process at a time.

A lease has a token that grows each time it changes hands. A holder that was taken for dead and is not finds its
token out of date in the transaction that would commit its work, and commits nothing (a fencing token).

Whether a holder is alive is decided without trusting wall clocks where that is possible: on the same machine by
its process and by the monotonic clock, elsewhere by the clock of the ledger itself.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, select, update

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import Busy, LeaseLost, StoreUnavailable
from treadle.core.ids import new_id
from treadle.store.ledger import processes
from treadle.store.ledger.processes import Process
from treadle.store.ledger.tables import leases, put

if TYPE_CHECKING:
    from treadle.store.ledger.ledger import Ledger

_RENEWALS_PER_TTL = 3
_PAUSE_SECONDS = 0.05


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease, as stored with it."""

    #: What the holder calls itself.
    name: str
    process: Process
    #: Moment at which it took the lease, on its own clock.
    since: str
    #: Seconds on the machine's monotonic clock at which the lease ends unless renewed.
    deadline: float
    #: Tells this holding from every other one; empty in leases of releases that had none.
    id: str = ""


class Lease:
    """A lease that this process holds, or held."""

    def __init__(self, ledger: Ledger, name: str, *, token: int, holder: Holder, ttl: float) -> None:
        self.name = name
        #: Grows each time the lease changes hands.
        self.token = token
        self._ledger = ledger
        self._holder = holder
        self._ttl = ttl
        self._ended = threading.Event()
        self._lost = threading.Event()

    @property
    def is_lost(self) -> bool:
        """Whether it is known already that another process took over."""
        return self._lost.is_set()

    def check(self, connection: Connection) -> None:
        """Make sure, in a write transaction, that the lease is still this one's.

        Raises:
            LeaseLost: another process took over; nothing of this transaction may be committed.
        """
        row = connection.execute(
            select(leases.c.token, leases.c.holder).where(leases.c.name == self.name)
        ).first()
        if row is None or row.token != self.token:
            self._lost.set()
            by = f" by {_shown(row.holder)}" if row and row.holder else ""
            msg = (
                f"The lease {self.name!r} was taken over{by} while this process was away for over {self._ttl:g} s. "
                "Nothing was committed here; the other one does the work."
            )
            raise LeaseLost(msg)

    def renew(self) -> None:
        """Put the end of the lease another `ttl` seconds off.

        Raises:
            LeaseLost: another process took over.
        """
        with self._ledger.write() as connection:
            self.check(connection)
            _store(self._ledger, connection, self.name, token=self.token, holder=self._holder, ttl=self._ttl)

    def release(self) -> None:
        """Give the lease back; nothing happens where it is lost already."""
        ours = (leases.c.name == self.name) & (leases.c.token == self.token)
        with self._ledger.write() as connection:
            connection.execute(update(leases).where(ours).values(holder="", expires_at=0))

    def keep(self) -> None:
        """Renew until the lease has ended or is lost; runs in a thread of its own."""
        while not self._ended.wait(self._ttl / _RENEWALS_PER_TTL):
            try:
                self.renew()
            except StoreUnavailable:
                continue  # the ledger may come back before anybody takes over
            except LeaseLost:
                return

    def end(self) -> None:
        """Tell the renewing thread to stop."""
        self._ended.set()


@contextmanager
def hold(
    ledger: Ledger, name: str, *, holder: str, ttl: float, clock: Clock, patience: float
) -> Iterator[Lease]:
    """Take a lease for the length of a block; see `Ledger.lease` and `Ledger.turn`.

    Where the ledger goes away while a lease is taken or given back, nobody can tell what it has stored. It may then
    hold on to a lease that this process, which lives, does not: so this process remembers that it gave it up.
    """
    me = Holder(
        name=holder, process=processes.this(), since=clock.now().isoformat(), deadline=0.0, id=new_id("lease")
    )
    try:
        lease = _wait(ledger, name, me=me, ttl=ttl, patience=patience)
    except StoreUnavailable:
        ledger.given_up.add(me.id)
        raise
    thread = threading.Thread(target=lease.keep, name=f"lease-{name}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        lease.end()
        thread.join(timeout=ttl)
        try:
            lease.release()
        except StoreUnavailable:
            ledger.given_up.add(me.id)  # for other processes it ends by itself after `ttl`


def _wait(ledger: Ledger, name: str, *, me: Holder, ttl: float, patience: float) -> Lease:
    deadline = monotonic() + patience
    while True:
        try:
            return _take(ledger, name, me=me, ttl=ttl)
        except Busy:
            if monotonic() + _PAUSE_SECONDS > deadline:
                raise
        threading.Event().wait(_PAUSE_SECONDS)


def _take(ledger: Ledger, name: str, *, me: Holder, ttl: float) -> Lease:
    with ledger.write() as connection:
        row = connection.execute(select(leases).where(leases.c.name == name)).first()
        now = ledger.store_time(connection)
        if row and row.holder and _is_held(row.holder, row.expires_at, now, given_up=ledger.given_up):
            msg = f"{name!r} is being worked on by {_shown(row.holder)}. Wait for it to end, and repeat the command."
            raise Busy(msg)
        token = row.token + 1 if row is not None else 1
        _store(ledger, connection, name, token=token, holder=me, ttl=ttl)
    return Lease(ledger, name, token=token, holder=me, ttl=ttl)


def _store(
    ledger: Ledger, connection: Connection, name: str, *, token: int, holder: Holder, ttl: float
) -> None:
    put(
        connection,
        leases,
        name=name,
        token=token,
        holder=msgspec.json.encode(msgspec.structs.replace(holder, deadline=monotonic() + ttl)).decode(),
        expires_at=ledger.store_time(connection) + int(ttl * 1e6),
    )


def _is_held(text: str, expires_at: int, now: int, *, given_up: Collection[str]) -> bool:
    holder = msgspec.json.decode(text, type=Holder)
    if holder.id in given_up:
        return False
    me = processes.this()
    if holder.process.boot != me.boot or not me.boot:
        return expires_at > now
    if processes.is_dead(holder.process):
        return False
    return holder.deadline > monotonic()


def _shown(text: str) -> str:
    holder = msgspec.json.decode(text, type=Holder)
    return f"{holder.name!r} (host {holder.process.host}, process {holder.process.pid}, since {holder.since})"
