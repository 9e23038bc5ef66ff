"""What is still to be sent, on each ledger: what is new, what changed, what was refused, what may be there twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from treadle.core.records import ModelVersion, Window, to_json
from treadle.core.signature import Signature
from treadle.loop.unsent import DOUBTED_FOR, REFUSED_FOR, Unsent, unsent
from treadle.registry.sent import Sent, SentRows
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HERE, ELSEWHERE = "http://here", "http://elsewhere"
VERSION = ModelVersion(
    model="m",
    version=1,
    created_at=NOW,
    task="regression",
    format="onnx",
    digest="sha256:1",
    size=1,
    signature=Signature(inputs=()),
    run="run_1",
    dataset="d",
    dataset_version=1,
    window=Window(start=None, end=NOW),
    notes=('somebody wrote "collected_at":"today"',),
)


@pytest.fixture
def held(ledger: Ledger) -> Ledger:
    """A ledger with two runs, two versions and an alias."""
    with ledger.write() as connection:
        for number in (1, 2):
            row = {"id": f"run_{number}", "model": "m", "status": "succeeded", "started_at": 0, "body": "{}"}
            connection.execute(t.runs.insert().values(**row))
            _put_version(connection, msgspec.structs.replace(VERSION, version=number, run=f"run_{number}"))
        t.put(connection, t.aliases, model="m", alias="champion", version=2, body="{}")
    return ledger


def _put_version(connection: Any, version: ModelVersion) -> None:
    row = {"model": "m", "version": version.version, "digest": version.digest, "run": version.run}
    t.put(connection, t.model_versions, **row, created_at=version.version, body=to_json(version))


def say(ledger: Ledger, subject: str, state: Any, *, ago: timedelta = timedelta(0), **more: Any) -> None:
    with ledger.write() as connection:
        sent = Sent(mirror=HERE, subject=subject, state=state, at=NOW - ago, **more)
        SentRows(ledger, HERE).put(sent, connection)


def left(ledger: Ledger, **more: Any) -> Unsent:
    return unsent(ledger, HERE, now=NOW, **more)


def test_at_first_all_is_missing(held: Ledger) -> None:
    expected = Unsent(
        runs=("run_1", "run_2"), versions=("m/1", "m/2"), aliases=(("m@champion", 2),), cards=("m/2", "m/1")
    )

    assert left(held) == expected
    assert len(expected) == 7


def test_what_one_mirror_was_told_another_was_not(held: Ledger) -> None:
    say(held, "run:run_1", "done")

    assert left(held).runs == ("run_2",)
    assert unsent(held, ELSEWHERE, now=NOW).runs == ("run_1", "run_2")


@pytest.mark.parametrize(
    ("state", "ago", "is_due"),
    [
        ("begun", timedelta(0), True),
        ("open", timedelta(0), True),
        ("done", REFUSED_FOR, False),
        ("doubtful", timedelta(0), False),
        ("doubtful", DOUBTED_FOR, True),
        ("refused", timedelta(0), False),
        ("refused", REFUSED_FOR, True),
    ],
)
def test_a_state_says_whether_it_is_sent_again(
    held: Ledger, state: str, ago: timedelta, is_due: bool
) -> None:
    say(held, "run:run_1", state, ago=ago)
    say(held, "run:run_2", "done")

    assert left(held).runs == (("run_1",) if is_due else ())


def test_what_was_refused_is_sent_when_somebody_asks(held: Ledger) -> None:
    say(held, "model_version:m/1", "refused")

    assert left(held).versions == ("m/2",)
    assert left(held, eager=True).versions == ("m/1", "m/2")


def test_a_collected_version_is_told_once_more(held: Ledger) -> None:
    for number in (1, 2):
        say(held, f"model_version:m/{number}", "done")
    with held.write() as connection:
        _put_version(connection, msgspec.structs.replace(VERSION, collected_at=NOW))
    before = left(held).versions

    say(held, "model_version:m/1", "retired")

    assert (before, left(held).versions) == (("m/1",), ())


def test_an_alias_that_moved_or_went_is_told(held: Ledger) -> None:
    say(held, "alias:m@champion", "done", told="2")
    say(held, "alias:m@previous", "done", told="1")
    gone = left(held).aliases
    say(held, "alias:m@champion", "done", told="1")

    moved = left(held).aliases

    assert gone == (("m@previous", None),)
    assert moved == (("m@champion", 2), ("m@previous", None))
