"""Long lists of every kind come part by part, in the order of the whole, and by an index."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import treadle as td
from treadle.app.workspace import Workspace
from treadle.core.errors import InvalidInput
from treadle.core.paging import Paged

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
Read = Callable[[Workspace, str], Paged[Any]]
#: What can be read part by part.
LISTS: dict[str, Read] = {
    "runs": lambda ws, after: ws.runs.page(after=after),
    "runs of a model": lambda ws, after: ws.runs.page(model="late", after=after),
    "failed runs": lambda ws, after: ws.runs.page(status="failed", after=after),
    "failed runs of a model": lambda ws, after: ws.runs.page(model="late", status="failed", after=after),
    "runs by a metric": lambda ws, after: ws.runs.page(
        sort="metrics.test.candidate.log_loss", descending=True, after=after
    ),
    "versions": lambda ws, after: ws.models.page("late", after=after),
    "decisions": lambda ws, after: ws.decisions.page(after=after),
    "decisions that a model was due": lambda ws, after: ws.decisions.page("late", due=True, after=after),
    "alerts": lambda ws, after: ws.alerts.page(after=after),
    "alerts of a model": lambda ws, after: ws.alerts.page(subject="model:late", after=after),
    "rollouts": lambda ws, after: ws.rollouts.page(after=after),
    "rollouts of an endpoint": lambda ws, after: ws.rollouts.page("late", after=after),
    "dataset versions": lambda ws, after: ws.datasets.page("flights", after=after),
    "changes": lambda ws, after: ws.audit_page(after=after),
    "changes of a model": lambda ws, after: ws.audit_page(subject="late", after=after),
    "moves of aliases": lambda ws, after: ws.audit_page(kind="alias", after=after),
}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A project of which there is a five-hundredth of everything that the largest one has."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import seeded

        root = seeded.make(tmp_path_factory.mktemp("seeded"), share=0.002)
    finally:
        sys.path.remove(str(BENCHMARKS))
    with td.open(root) as workspace:
        yield workspace


def whole(read: Callable[[str], Paged[Any]]) -> list[Any]:
    """Return all rows, part by part."""
    found, after = [], ""
    while True:
        part = read(after)
        found += part.rows
        after = part.after
        if not after:
            return found


@pytest.mark.parametrize("name", LISTS)
def test_a_list_comes_part_by_part(seeded: Workspace, name: str) -> None:
    found = whole(lambda after: LISTS[name](seeded, after))

    assert found
    assert len({repr(one) for one in found}) == len(found)


def test_the_parts_are_what_the_whole_list_is(seeded: Workspace) -> None:
    ws = seeded

    assert whole(lambda after: ws.runs.page(after=after)) == ws.runs.list(limit=1000)
    assert whole(lambda after: ws.models.page("late", after=after)) == ws.models.versions("late")[::-1]
    assert (
        whole(lambda after: ws.datasets.page("flights", after=after)) == ws.datasets.versions("flights")[::-1]
    )
    assert whole(lambda after: ws.audit_page(after=after)) == ws.audit(limit=10_000)
    by = {"sort": "metrics.test.candidate.log_loss", "where": ["params.depth<10"]}
    assert whole(lambda after: ws.runs.page(**by, after=after)) == ws.runs.find(**by, limit=1000)


def test_every_change_is_there_once_however_small_the_parts(seeded: Workspace) -> None:
    ws = seeded

    found = whole(lambda after: ws.audit_page(subject="model_001", after=after, limit=7))

    assert found == ws.audit(subject="model_001", limit=10_000)
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)


@pytest.mark.parametrize("name", [name for name in LISTS if "changes" not in name])
def test_a_list_is_read_by_an_index(seeded: Workspace, name: str) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    engine = seeded.ledger._backend.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        LISTS[name](seeded, LISTS[name](seeded, "").after)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    last = [one for one in asked if one[0].startswith("SELECT")][-1]
    with seeded.ledger.read() as connection:
        plan = " ".join(
            str(row) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {last[0]}", last[1])
        )

    # Read in its order from one end of an index, or from a place in it; never all of it, and never sorted.
    assert not re.search(r"SCAN \w+(?! USING)\b", plan)
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


def test_a_change_of_no_kind_is_refused(seeded: Workspace) -> None:
    with pytest.raises(InvalidInput, match="No kind of change is 'alia'"):
        seeded.audit_page(kind="alia")
