"""Trainings are asked for over HTTP by whose token allows it, with a reason, once for each key."""

from __future__ import annotations

import asyncio
import json

import pytest

from treadle.core.errors import AuthRequired, Forbidden, InvalidInput
from treadle.core.records import Record
from treadle.serving.access import Access
from treadle.serving.tokens import Tokens
from treadle.serving.trainings import MOST, TrainingRoutes
from treadle.serving.web import Request


class Wish(Record, frozen=True, kw_only=True):
    model: str
    actor: str
    reason: str
    key: str
    most: int
    run: str = ""


@pytest.fixture
def served():
    """Routes that give back what they were asked; a wish with the key `done` has its run."""
    routes = TrainingRoutes(
        lambda model, **said: Wish(model=model, run="run_1" if said["key"] == "done" else "", **said)
    )
    yield routes
    routes.close()


def ask(served, access, body, *, token="", **headers):
    (route,) = served.routes(access)
    sent = {"authorization": f"Bearer {token}", **headers}
    request = Request("POST", "/", sent, 0.0, json.dumps(body).encode(), {"model": "delay"})
    response = asyncio.run(route.handler(request))
    return response.status, json.loads(response.body)


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "tokens.json")


@pytest.fixture
def ci(tokens, clock):
    return tokens.create("ci", scopes=["train"], at=clock.now())


def test_who_asks_is_the_token_and_the_reason_is_theirs(served, tokens, ci, clock):
    status, told = ask(served, Access("", tokens, clock=clock), {"reason": "deploy 17", "id": "17"}, token=ci)

    assert status == 202
    assert told | {"parents": None} == {
        "model": "delay",
        "actor": "token ci",
        "reason": "deploy 17",
        "key": "17",
        "most": MOST,
        "run": "",
        "parents": None,
    }


def test_the_key_may_stand_in_the_usual_header_and_what_was_served_is_told_so(served, tokens, ci, clock):
    access = Access("", tokens, clock=clock)

    status, told = ask(served, access, {"reason": "deploy"}, token=ci, **{"idempotency-key": "done"})

    assert (status, told["key"], told["run"]) == (200, "done", "run_1")


def test_without_a_token_that_allows_it_nothing_is_asked_for(served, tokens, ci, clock, tmp_path):
    asker = tokens.create("asker", scopes=["predict"], at=clock.now())
    guarded = Access("", tokens, clock=clock)

    with pytest.raises(Forbidden, match="Expected one that allows train"):
        ask(served, guarded, {"reason": "deploy"}, token=asker)
    with pytest.raises(AuthRequired, match="missing, wrong or has ended"):
        ask(served, guarded, {"reason": "deploy"}, token="tdl_guessed")
    with pytest.raises(AuthRequired, match="treadle tokens create ci --scope train"):
        ask(served, Access("", Tokens(tmp_path / "none.json"), clock=clock), {"reason": "deploy"})


@pytest.mark.parametrize("body", [{}, {"reason": 3}, {"reason": "x", "model": "other"}, []])
def test_a_body_of_another_shape_is_refused(served, tokens, ci, clock, body):
    with pytest.raises(InvalidInput):
        ask(served, Access("", tokens, clock=clock), body, token=ci)
