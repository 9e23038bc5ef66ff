"""A wish for a training that is sent again is the same wish, whatever became of it; too many in a minute are refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import Conflict, InvalidInput, TooManyRequests


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(tiny.BEGIN + timedelta(days=7))


@pytest.fixture
def shop(opened: tiny.Opener, root: Path, clock: ManualClock) -> Workspace:
    return opened(clock=clock, compute__engine="inline")


def test_a_wish_with_a_key_is_made_once_also_after_it_was_served(shop: Workspace, clock: ManualClock) -> None:
    first = shop.request("buys", reason="deploy 17", actor="token ci", key="17")
    again = shop.request("buys", reason="deploy 17", actor="token ci", key="17")
    (look,) = shop.tick()
    clock.advance("1d")
    replayed = shop.request("buys", reason="deploy 17", actor="token ci", key="17")
    (later,) = shop.tick()

    assert first == again
    assert look.turn is not None
    assert (replayed.id, replayed.run) == (first.id, look.turn.run.id)
    assert later.turn is None
    assert len(shop.requests.list("buys")) == 1


def test_another_key_is_another_wish_and_the_oldest_is_told_first(
    shop: Workspace, clock: ManualClock
) -> None:
    for key in ("b", "a", "c"):
        shop.request("buys", reason="deploy", actor="token ci", key=key)
        clock.advance("1s")

    waiting = shop.requests.waiting("buys")

    assert len({one.id for one in waiting}) == 3
    assert [one.at for one in waiting] == sorted(one.at for one in waiting)
    assert list(shop.requests.list("buys")) == list(waiting)[::-1]


@pytest.mark.parametrize(("reason", "actor"), [("deploy 18", "token ci"), ("deploy 17", "token else")])
def test_a_key_that_was_used_otherwise_is_refused(shop: Workspace, reason: str, actor: str) -> None:
    shop.request("buys", reason="deploy 17", actor="token ci", key="17")

    with pytest.raises(Conflict, match=r"belongs to the request req_\w+ of token ci"):
        shop.request("buys", reason=reason, actor=actor, key="17")


def test_a_key_that_cannot_be_one_is_refused(shop: Workspace) -> None:
    for key in ("x" * 201, "a\nb"):
        with pytest.raises(InvalidInput, match="at most 200 printable characters"):
            shop.request("buys", reason="deploy", key=key)


def test_more_in_a_minute_than_accepted_are_refused_and_known_ones_are_not(
    shop: Workspace, clock: ManualClock
) -> None:
    for number in range(3):
        shop.request("buys", reason="deploy", actor="token ci", key=str(number), most=3)

    with pytest.raises(TooManyRequests, match="3 trainings of 'buys'"):
        shop.request("buys", reason="deploy", actor="token ci", key="3", most=3)
    shop.request("buys", reason="deploy", actor="token ci", key="0", most=3)
    clock.advance("61s")
    shop.request("buys", reason="deploy", actor="token ci", key="3", most=3)

    assert len(shop.requests.waiting("buys")) == 4
