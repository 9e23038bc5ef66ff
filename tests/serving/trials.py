"""Planes with a rollout on them, whose challenger behaves as a test wants."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

from serving_wiring import FakeLoader

from treadle.core.clock import monotonic
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.rollouts import Rollouts

ROW = {"distance": 1400, "temp": None, "carrier": "UA"}
CHALLENGER = 2


def call(**more):
    return Call(read=lambda reader: reader.objects([ROW]), received=monotonic(), **more)


def behave(root, version=CHALLENGER, **how):
    (root / "models").mkdir(exist_ok=True)
    (root / "models" / f"delay-{version}.json").write_text(json.dumps(how))


def version(number=CHALLENGER):
    return SimpleNamespace(model="delay", version=number, ref=f"model_version:delay/{number}")


def rolling(root, endpoints, clock, plan, **how):
    """Start a rollout whose challenger behaves so; return the plane, loaded, and the rollout."""
    behave(root, **how)
    rollouts = Rollouts(endpoints.ledger, endpoints, clock)
    state = rollouts.start("delay", version(), plan, actor="test", reason="asked for")
    plane = Dataplane(endpoints.current, FakeLoader(root), clock=clock)
    plane.refresh()
    assert not plane.refused, plane.refused
    return plane, rollouts, state


def subject_of(plane, variant):
    """A subject that a variant answers."""
    router = plane.loaded["delay"].router
    return next(f"user-{i}" for i in range(10_000) if router.choose(f"user-{i}").variant.name == variant)


def until(holds, *, timeout=60.0):
    """Wait until something holds."""
    end = monotonic() + timeout
    while not holds():
        assert monotonic() < end, "it never held"
        threading.Event().wait(0.005)
