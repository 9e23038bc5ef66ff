"""Steps are made once: kept under the hash of their inputs, and made again only when what they left is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.core.clock import Clock
from treadle.core.records import StepResult
from treadle.loop.steps import Left, Steps, key_of
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects


@pytest.fixture
def store(tmp_path: Path) -> Objects:
    return Objects.open("objects", root=tmp_path, options={})


@pytest.fixture
def steps(ledger: Ledger, store: Objects, clock: Clock) -> Steps:
    return Steps(ledger, store, clock)


class Work:
    """Leaves one object, and counts how often it was done."""

    def __init__(self, store: Objects) -> None:
        self.done = 0
        self._store = store

    def __call__(self) -> Left:
        self.done += 1
        return {"number": self.done}, (self._store.put(b"made"),)


def test_a_kept_result_is_not_made_again(steps: Steps, store: Objects) -> None:
    work = Work(store)

    first = steps.once("train", key="k1", run="run_1", work=work)
    second = steps.once("train", key="k1", run="run_2", work=work)

    assert work.done == 1
    assert second == first
    assert second.run == "run_1"
    assert steps.of_run("run_1") == [first]
    assert steps.of_run("run_2") == []


def test_another_key_is_another_result(steps: Steps, store: Objects) -> None:
    work = Work(store)

    steps.once("train", key="k1", run="run_1", work=work)
    steps.once("train", key="k2", run="run_1", work=work)

    assert work.done == 2


def test_a_hit_whose_artefact_is_gone_is_a_miss(steps: Steps, store: Objects) -> None:
    work = Work(store)
    first = steps.once("train", key="k1", run="run_1", work=work)

    store.delete(first.artefacts[0])

    assert steps.find("k1") is None
    again = steps.once("train", key="k1", run="run_2", work=work)
    assert (again.value, again.run) == ({"number": 2}, "run_2")
    assert steps.find("k1") == again


def test_work_that_fails_leaves_nothing(steps: Steps) -> None:
    def fails() -> Left:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        steps.once("train", key="k1", run="run_1", work=fails)

    assert steps.find("k1") is None


def test_a_result_is_saved_in_the_callers_transaction(steps: Steps, ledger: Ledger, clock: Clock) -> None:
    result = StepResult(
        key="k1", step="turn", run="run_1", started_at=clock.now(), finished_at=clock.now(), value={}
    )

    def undone() -> None:
        with ledger.write() as connection:
            steps.save(result, connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    lost = steps.find("k1")
    with ledger.write() as connection:
        steps.save(result, connection)

    assert lost is None
    assert steps.find("k1") == result


def test_a_key_depends_on_step_and_inputs_and_not_on_their_order() -> None:
    key = key_of("train", {"data": {"flights": 3}, "seed": 1})

    assert key == key_of("train", {"seed": 1, "data": {"flights": 3}})
    assert key != key_of("judge", {"data": {"flights": 3}, "seed": 1})
    assert key != key_of("train", {"data": {"flights": 4}, "seed": 1})
