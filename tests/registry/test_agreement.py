"""What is served in process is what the library itself answers, for every library and task that the docs list."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agreement_cases import CASES, available, table
from treadle.core.clock import SystemClock
from treadle.core.records import Revision, Variant
from treadle.registry import packages
from treadle.registry.format import TOLERANCE, differences
from treadle.serving.dataplane import Dataplane
from treadle.serving.predictor import Predictor
from treadle.store.objects.objects import Objects

PAGE = Path(__file__).parents[2] / "docs" / "rooms" / "registry.md"
GOLDEN, ASKED = 200, 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_served_model_answers_as_the_library_itself_does(case, tmp_path):
    if not available(case):
        pytest.skip(f"{case.needs} is not installed: make deep")
    data, unseen = case.data(rows=1000), case.data(rows=ASKED, start=10_000)
    model, native = case.train(data, data.target(case.task))
    objects = Objects.open("objects", root=tmp_path, options={})
    allowed = case.stored == "pickle"
    asked = packages.asked(model, signature=data.signature, allow_pickle=allowed)
    golden = data.X[:GOLDEN]

    package = packages.pack(
        model,
        task=case.task,
        signature=data.signature,
        golden=golden,
        expected=asked.predict_proba(golden)[:, 1]
        if case.task == "classification"
        else asked.predict(golden),
        objects=objects,
        allow_pickle=allowed,
    )
    served = packages.load(package.digest, objects=objects, cache=tmp_path / "cache", allow_pickle=allowed)
    plane = Dataplane(lambda: {"delay": _revision()}, lambda variant: served, clock=SystemClock())
    with Predictor("delay", plane, log=None, follower=None) as predictor:
        answers = predictor.predict(_rows(unseen.X))

    name = "probability" if case.task == "classification" else "prediction"
    given = np.array([answer[name] for answer in answers])
    expected = np.asarray(native(unseen.X), dtype=np.float64)
    assert package.format == case.stored
    assert differences(given, expected).max() <= TOLERANCE
    assert np.ptp(expected) > 0.01


def test_the_table_of_the_docs_is_the_one_of_these_tests():
    assert table() in PAGE.read_text(encoding="utf-8"), f"Put this into {PAGE.name}:\n{table()}"


def _rows(frame):
    """Return rows as a caller sends them: what is missing is None."""
    return [
        {name: None if value != value else value for name, value in row.items()}
        for row in frame.iter_rows(named=True)
    ]


def _revision():
    variant = Variant(name="champion", model="delay", version=1)
    at = datetime(2013, 1, 1, tzinfo=UTC)
    return Revision(endpoint="delay", revision=1, variants=(variant,), created_at=at, actor="test", reason="")
