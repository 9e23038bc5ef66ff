"""A picture of the ledger says of every model what the ledger says when it is asked, and is read in a few queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import tiny
from sqlalchemy import Engine, delete, event, select

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import RunFailed
from treadle.loop.known import LOOKED_BACK, Asked, Known
from treadle.loop.picture import Picture
from treadle.store.ledger import tables as t


@contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement of the block."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def told(known: Known, clock: ManualClock, model: str = "buys") -> list[object]:
    """All that is known of a model."""
    newest = known.dataset("visits")
    return [
        list(known.runs(model)),
        list(known.runs_since(model, clock.now() - timedelta(days=2))),
        known.champion(model),
        newest,
        known.dataset("visits", 0),
        known.dataset("visits", 1),
        list(known.between("visits", 0, newest.version if newest else 0)),
        list(known.requests(model)),
        list(known.approvals(model)),
        known.decision(model),
    ]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(tiny.BEGIN + timedelta(days=30))


@pytest.fixture
def watched(opened: tiny.Opener, clock: ManualClock) -> Workspace:
    return opened(clock=clock, compute__engine="inline")


def test_a_picture_says_what_the_ledger_says(watched: Workspace, root: Path, clock: ManualClock) -> None:
    picture, asked = Picture(watched.rooms), Asked(watched.rooms)

    def same() -> bool:
        picture.spoil()
        return told(picture, clock) == told(asked, clock)

    assert same()  # of nothing
    watched.tick()
    assert same()
    watched.tick()  # a decision not to train
    assert same()
    watched.request("buys", reason="a new shop")
    assert len(asked.requests("buys")) == 1
    assert same()
    tiny.land(root, 1, rows=600)
    tiny.feel(root, "raises")
    clock.advance("1d")
    with pytest.raises(RunFailed):
        watched.run("buys")
    assert same()
    tiny.feel(root, "well")
    clock.advance("1d")
    watched.tick()
    assert asked.requests("buys") == []
    assert same()


def test_a_run_that_goes_on_is_read_again(watched: Workspace, clock: ManualClock) -> None:
    picture = Picture(watched.rooms)
    run = watched.runs.start("buys", reason="by hand")
    going = picture.runs("buys")
    watched.runs.fail(run, error="no")
    unspoilt = picture.runs("buys")
    picture.spoil()

    assert [one.status for one in going] == ["running"]
    assert unspoilt == going
    assert [one.status for one in picture.runs("buys")] == ["failed"]


def test_more_runs_than_are_looked_back_at_are_found_where_a_budget_asks(
    watched: Workspace, clock: ManualClock
) -> None:
    picture, asked = Picture(watched.rooms), Asked(watched.rooms)
    for place in range(LOOKED_BACK + 3):
        if place % 20 == 0:
            picture.spoil()
            picture.runs("buys")
        watched.runs.fail(watched.runs.start("buys", reason="by hand"), error="no")
    picture.spoil()
    since = clock.now() - timedelta(days=1)

    assert picture.runs("buys") == asked.runs("buys")
    assert len(picture.runs("buys")) == LOOKED_BACK
    assert [run.id for run in picture.runs_since("buys", since)] == [
        run.id for run in asked.runs_since("buys", since)
    ]
    assert len(picture.runs_since("buys", since)) == LOOKED_BACK + 3


def test_a_ledger_that_became_an_older_one_is_read_anew(watched: Workspace, clock: ManualClock) -> None:
    picture = Picture(watched.rooms)
    watched.tick()
    clock.advance("1h")
    watched.tick()
    picture.runs("buys")
    first = watched.decisions.list("buys")[-1]
    with watched.ledger.write() as connection:  # as a backup would
        connection.execute(
            delete(t.decisions).where(
                t.decisions.c.id
                != select(t.decisions.c.id).order_by(t.decisions.c.id).limit(1).scalar_subquery()
            )
        )
        connection.execute(delete(t.runs))
    picture.spoil()

    assert picture.runs("buys") == []
    assert picture.decision("buys") == first


def fewest(workspace: Workspace) -> int:
    """Return how many statements a tick needs, of several: another thread may ask something meanwhile."""
    counts = []
    for _ in range(5):
        with statements() as made:
            workspace.tick()
        counts.append(len(made))
    return min(counts)


def test_a_tick_asks_the_ledger_as_often_for_many_models_as_for_one(
    opened: tiny.Opener, root: Path, clock: ManualClock
) -> None:
    with opened(clock=clock, compute__engine="inline") as one:
        for _ in range(3):
            one.tick()
        for_one = fewest(one)
    file = root / "project.py"
    more = "import dataclasses\nfor i in range(20):\n    globals()[f'b{i}'] = dataclasses.replace(buys, name=f'b{i}', policy=td.Policy(triggers=[td.NewRows(10**9)]))\n"
    file.write_text(f"{file.read_text()}\n{more}")
    many = opened(clock=clock, compute__engine="inline")
    for _ in range(3):
        looks = many.tick()
    for_many = fewest(many)

    assert len(looks) == 21
    assert [look.error for look in looks] == [""] * 21
    assert 0 < for_many == for_one


def test_what_cannot_be_read_keeps_every_model_that_learns_from_it_and_is_tried_once(
    watched: Workspace, root: Path, opened: tiny.Opener, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "project.py"
    file.write_text(
        f"{file.read_text()}\nimport dataclasses\nagain = dataclasses.replace(buys, name='again')\n"
    )
    workspace = opened(clock=clock, compute__engine="inline")
    workspace.tick()
    file.write_text(file.read_text().replace("    pages: float\n", "    pages: bool\n"))
    changed = opened(clock=clock, compute__engine="inline")
    tried = []
    ingest = changed.datasets.ingest
    monkeypatch.setattr(changed.datasets, "ingest", lambda dataset: (tried.append(1), ingest(dataset))[1])

    looks = changed.tick()

    assert len(tried) == 1
    assert [look.model for look in looks] == ["buys", "again"]
    assert all("pages" in look.error for look in looks)
    assert {alert.subject for alert in changed.alerts.open()} == {"model:buys", "model:again"}
