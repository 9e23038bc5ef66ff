"""Taking turns: waiting for a lease that somebody else holds, instead of giving up at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import Busy
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger

#: Name of the lease under which versions of trees are committed, and garbage is told from what versions need.
COMMIT = "trees/commit"
_LEASE_SECONDS = 60.0
_PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = 0.05


@contextmanager
def taking_turns(ledger: Ledger, name: str, *, clock: Clock) -> Iterator[Lease]:
    """Hold a lease for the length of a block, after whoever holds it now.

    Raises:
        Busy: somebody has held it for ten minutes.
    """
    deadline = monotonic() + _PATIENCE_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                lease = stack.enter_context(
                    ledger.lease(name, holder="treadle trees", ttl=_LEASE_SECONDS, clock=clock)
                )
                break
            except Busy:
                if monotonic() > deadline:
                    raise
            threading.Event().wait(_PAUSE_SECONDS)
        yield lease
