from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from serving_wiring import FakeLoader, FakeModel

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, ModelFailed, NotFound, NotLoaded
from treadle.core.records import Variant
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.together import Together

ROW = {"distance": 1400, "temp": None, "carrier": "UA"}


def call(*rows, **more):
    return Call(read=lambda reader: reader.objects(rows or [ROW]), received=monotonic(), **more)


@pytest.fixture
def plane(endpoints, clock, tmp_path):
    return Dataplane(endpoints.current, FakeLoader(tmp_path), clock=clock)


def damage(tmp_path, version, how):
    (tmp_path / "models").mkdir(exist_ok=True)
    (tmp_path / "models" / f"delay-{version}.json").write_text(json.dumps({"broken": how}))


def repair(tmp_path, version):
    (tmp_path / "models" / f"delay-{version}.json").unlink()


def test_an_answer_says_where_it_comes_from(plane, revise, clock):
    revise(("champion", 4, 1.0))
    plane.refresh()

    answer = plane.predict("delay", call(ROW, ROW, id="r1", subject="p7", keys=["a", "b"]))

    assert (answer.id, answer.endpoint, answer.revision, answer.variant.version) == ("r1", "delay", 1, 4)
    assert (answer.assignment, answer.subject, answer.at) == ("only variant", "p7", clock.now())
    assert answer.outputs["probability"].tolist() == [0.004, 0.004]
    assert answer.entry().predictions == [1.0, 1.0]


def test_a_refresh_swaps_and_a_second_changes_nothing(plane, revise):
    revise(("champion", 1, 1.0))
    plane.refresh()
    revise(("champion", 2, 1.0))

    changed = [plane.refresh(), plane.refresh()]

    assert changed == [["delay"], []]
    assert plane.predict("delay", call()).variant.version == 2


@pytest.mark.parametrize("how", ["truncated", "digest", "raises", "warm"])
def test_s2_a_broken_version_is_refused_and_the_old_goes_on(plane, revise, tmp_path, how):
    revise(("champion", 1, 1.0))
    plane.refresh()
    damage(tmp_path, 2, how)
    revise(("champion", 2, 1.0))

    plane.refresh()

    assert plane.predict("delay", call()).variant.version == 1
    assert plane.refused["delay"].revision == 2
    assert "Revision 2 of endpoint delay was refused" in plane.refused["delay"].error
    assert plane.unanswered == []


def test_a_refused_revision_is_not_tried_in_a_hot_loop(plane, revise, tmp_path):
    damage(tmp_path, 1, "raises")
    revise(("champion", 1, 1.0))
    plane.refresh()

    changed = plane.refresh()

    assert (changed, plane.refused["delay"].tries) == ([], 1)


def test_a_refused_revision_is_tried_again_when_it_is_asked_for(plane, revise, tmp_path):
    damage(tmp_path, 1, "raises")
    revise(("champion", 1, 1.0))
    plane.refresh()
    repair(tmp_path, 1)

    plane.refresh(force=True)

    assert (plane.predict("delay", call()).variant.version, plane.refused) == (1, {})


def test_a_refused_revision_is_passed_over_by_the_next(plane, revise, tmp_path):
    damage(tmp_path, 1, "raises")
    revise(("champion", 1, 1.0))
    plane.refresh()
    revise(("champion", 2, 1.0))

    plane.refresh()

    assert plane.predict("delay", call()).revision == 2


def test_an_endpoint_that_never_loaded_says_why(plane, revise, tmp_path):
    damage(tmp_path, 1, "raises")
    revise(("champion", 1, 1.0))

    with pytest.raises(NotLoaded, match="still being loaded"):
        plane.predict("delay", call())
    plane.refresh()

    with pytest.raises(NotLoaded, match="no such operator"):
        plane.predict("delay", call())
    assert plane.unanswered == ["delay"]


def test_an_unknown_endpoint_is_not_found(plane, revise):
    revise(("champion", 1, 1.0))
    plane.refresh()

    with pytest.raises(NotFound, match="Did you mean 'delay'"):
        plane.predict("delays", call())


def test_a_version_that_stays_is_not_loaded_again(endpoints, clock, revise):
    loads = []

    def loader(variant):
        loads.append(variant.version)
        return FakeModel(variant.version)

    plane = Dataplane(endpoints.current, loader, clock=clock)
    revise(("champion", 1, 1.0))
    plane.refresh()
    revise(("champion", 1, 0.9), ("challenger", 2, 0.1))

    plane.refresh()

    assert loads == [1, 2]


def test_a_subject_keeps_its_variant_and_the_reason_is_told(plane, revise):
    revise(("champion", 1, 0.5), ("challenger", 2, 0.5))
    plane.refresh()

    answers = [plane.predict("delay", call(subject="passenger-1")) for _ in range(20)]

    assert len({answer.variant.name for answer in answers}) == 1
    assert answers[0].assignment.startswith("subject: bucket ")


def test_without_subject_the_request_decides(plane, revise):
    revise(("champion", 1, 0.5), ("challenger", 2, 0.5))
    plane.refresh()

    seen = {plane.predict("delay", call()).variant.name for _ in range(100)}

    assert seen == {"champion", "challenger"}


def test_a_version_may_be_asked_for(plane, revise):
    revise(("champion", 1, 1.0), ("challenger", 2, 0.0))
    plane.refresh()

    answer = plane.predict("delay", call(version=2))

    assert (answer.variant.name, answer.assignment) == ("challenger", "asked for by version")
    with pytest.raises(NotFound, match="Loaded: 1, 2"):
        plane.predict("delay", call(version=3))


@pytest.mark.parametrize("request_id", ["x" * 201, "a\nb"])
def test_an_id_that_cannot_be_kept_is_refused(plane, revise, request_id):
    revise(("champion", 1, 1.0))
    plane.refresh()

    with pytest.raises(InvalidInput) as refusal:
        plane.predict("delay", call(id=request_id))

    assert refusal.value.field == "id"


def test_keys_must_be_one_for_each_row(plane, revise):
    revise(("champion", 1, 1.0))
    plane.refresh()

    with pytest.raises(InvalidInput, match="1 keys for 2 rows"):
        plane.predict("delay", call(ROW, ROW, keys=["a"]))


@pytest.mark.parametrize(
    "outputs",
    [
        {"prediction": np.array([np.nan])},
        {"prediction": np.array([1.0, 2.0])},
        {"prediction": np.array([[1.0]])},
        {"probability": np.array([0.5])},
    ],
)
def test_an_answer_that_is_none_is_the_models_failure(endpoints, clock, revise, outputs):
    class Odd(FakeModel):
        def predict(self, columns):
            return outputs if columns["distance"][0] else super().predict(columns)

    plane = Dataplane(endpoints.current, lambda variant: Odd(variant.version), clock=clock)
    revise(("champion", 1, 1.0))
    plane.refresh()

    with pytest.raises(ModelFailed, match="delay/1"):
        plane.predict("delay", call())


def test_no_request_is_answered_half_by_each_revision(plane, revise):
    revise(("champion", 1, 1.0))
    plane.refresh()
    stop, mixed = threading.Event(), []

    def ask():
        while not stop.is_set():
            answer = plane.predict("delay", call(ROW, ROW))
            if set(answer.outputs["probability"].tolist()) != {answer.variant.version / 1000}:
                mixed.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 30):
        revise(("champion", version, 1.0))
        plane.refresh()
    stop.set()
    for thread in threads:
        thread.join()

    assert mixed == []


def test_requests_of_several_variants_are_each_answered_by_their_own(plane, revise):
    revise(("champion", 1, 0.5), ("challenger", 2, 0.5))
    plane.refresh()
    prepared = [plane.prepare("delay", call(subject=f"user-{i}")) for i in range(40)]

    answers = plane.run_all(prepared)

    assert {answer.variant.version for answer in answers} == {1, 2}
    assert all(a.outputs["probability"].tolist() == [a.variant.version / 1000] for a in answers)
    assert [answer.subject for answer in answers] == [f"user-{i}" for i in range(40)]


def test_a_version_is_loaded_once_for_all_endpoints_and_evicted_when_no_revision_uses_it(endpoints, clock):
    kept = weakref.WeakSet()

    def load(variant):
        model = FakeModel(variant.version)
        kept.add(model)
        return model

    plane = Dataplane(endpoints.current, load, clock=clock)
    for name in ("delay", "arrival"):
        champion = Variant(name="champion", model="delay", version=1)
        endpoints.revise(name, [champion], actor="test", reason="test", expected=None)
    plane.refresh()
    with ThreadPoolExecutor(1) as pool:
        together = Together(plane, pool, threads=1)
        asyncio.run(together.run(plane.prepare("delay", call())))
    before = len(kept)
    for name in ("delay", "arrival"):
        champion = Variant(name="champion", model="delay", version=2)
        endpoints.revise(name, [champion], actor="test", reason="test", expected=None)
    plane.refresh()
    gc.collect()

    assert before == 1
    assert [plane.predict("delay", call()).variant.version, len(kept)] == [2, 1]
    assert not together._lines


def test_a_version_that_two_models_of_an_endpoint_have_is_no_name(plane, endpoints):
    both = [
        Variant(name="champion", model="delay", version=3, weight=0.5),
        Variant(name="other", model="fares", version=3, weight=0.25),
        Variant(name="third", model="fares", version=4, weight=0.25),
    ]
    endpoints.revise("delay", both, actor="test", reason="asked for", expected=None)
    plane.refresh()

    with pytest.raises(
        InvalidInput, match="has delay/3 and fares/3, so version 3 names no one of them"
    ) as refused:
        plane.predict("delay", call(version=3))

    assert refused.value.field == "version"
    assert plane.predict("delay", call(version=4)).variant.model == "fares"
