from __future__ import annotations

import threading

from serving_wiring import FakeLoader

from treadle.core.clock import monotonic
from treadle.serving.dataplane import Dataplane
from treadle.serving.follower import Follower


def test_it_goes_on_after_what_nobody_foresaw(tmp_path, endpoints, clock, revise):
    """A record that a later release wrote cannot be read: new revisions are looked for nevertheless."""
    revise(("champion", 1, 1.0))
    failures = iter([ValueError("of a later release")])

    def current():
        for failure in failures:
            raise failure
        return endpoints.current()

    plane = Dataplane(current, FakeLoader(tmp_path), clock=clock)
    follower = Follower(plane, endpoints, server="s1", clock=clock, poll_interval=0.001)
    follower.start()
    end = monotonic() + 60
    while not plane.loaded and monotonic() < end:
        threading.Event().wait(0.005)
    follower.stop()

    assert plane.loaded["delay"].revision.revision == 1
