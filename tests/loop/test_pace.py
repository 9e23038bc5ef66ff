"""What costs something to read is read so seldom that all of it together takes a small share of the time."""

from __future__ import annotations

import pytest

from treadle.loop import pace
from treadle.loop.pace import Pace


class Watch:
    """A stopwatch that stands still until it is told to go on."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    made = Watch()
    monkeypatch.setattr(pace, "monotonic", made)
    return made


def read(watch: Watch, done: list[str], name: str, *, takes: float) -> str:
    watch.now += takes
    done.append(name)
    return f"{name} {len(done)}"


def test_one_thing_is_read_again_after_a_time_in_proportion(watch: Watch) -> None:
    kept, done = Pace[str](share=0.1), []

    found = [kept.of("a", lambda: read(watch, done, "a", takes=1.0))]
    watch.now += 9.9
    found.append(kept.of("a", lambda: read(watch, done, "a", takes=1.0)))
    watch.now += 0.2
    found.append(kept.of("a", lambda: read(watch, done, "a", takes=1.0)))

    assert found == ["a 1", "a 1", "a 2"]


def test_many_things_together_take_no_more_than_the_share(watch: Watch) -> None:
    kept, done = Pace[str](share=0.1), []
    names = [f"model {place}" for place in range(50)]
    begun = watch.now

    while watch.now < begun + 10_000:
        for name in names:
            kept.of(name, lambda name=name: read(watch, done, name, takes=0.5))
        watch.now += 10

    assert 0.08 <= len(done) * 0.5 / (watch.now - begun) <= 0.11
    assert {done.count(name) for name in names} <= {
        *range(done.count(names[0]) - 2, done.count(names[0]) + 3)
    }


def test_what_was_dropped_is_read_at_once(watch: Watch) -> None:
    kept, done = Pace[str](share=0.1), []
    kept.of("a", lambda: read(watch, done, "a", takes=1.0))

    kept.drop("a")
    kept.drop("never read")

    assert kept.of("a", lambda: read(watch, done, "a", takes=1.0)) == "a 2"
