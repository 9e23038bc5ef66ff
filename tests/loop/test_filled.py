"""Callers send entities, and the features that the model takes are read from the online store."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import pytest
import tiny
from test_online import count, declared

import services
from pace import within
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput, StoreUnavailable
from treadle.serving.dataplane import Dataplane
from treadle.serving.protocols import rows as plain
from treadle.serving.protocols import v2
from treadle.serving.web import Request

VISIT = {"pages": 1.0, "minutes": 0.5}


@pytest.fixture
def shop(root: Path, clock: ManualClock) -> Path:
    """A project whose model takes how many people were in a shop, of the last two days."""
    clock.set(tiny.BEGIN + timedelta(days=7))
    declared(root)
    file = root / "project.py"
    text = file.read_text().replace('fields=["people"]', 'fields=["people"], ttl="9d"')
    file.write_text(text.replace('inputs=["pages", "minutes"]', 'inputs=["pages", "minutes", "people"]'))
    taking = "from sklearn.impute import SimpleImputer\n    from sklearn.pipeline import make_pipeline\n"
    text = file.read_text().replace(
        "    from sklearn.linear_model", f"    {taking}    from sklearn.linear_model"
    )
    fitted = "make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True), LogisticRegression(random_state=run.seed))"
    file.write_text(text.replace("LogisticRegression(random_state=run.seed)", fitted))
    return root


def opened(shop: Path, clock: ManualClock, **overrides: object) -> Workspace:
    settings = {"compute.engine": "inline", "online.timeout": 10.0}
    more = {key.replace("__", "."): value for key, value in overrides.items()}
    return open_workspace(shop, clock=clock, overrides=settings | more)


@pytest.fixture
def trained(shop: Path, clock: ManualClock, online_url: str) -> Iterator[Workspace]:
    """The project's workspace with a version that reads its view online, on each online store."""
    with opened(shop, clock, **{"online.url": online_url}) as workspace:
        workspace.ingest("crowds")
        workspace.online.materialise("crowds")
        workspace.run("buys")
        yield workspace


def test_an_entity_is_answered_as_its_features_are(trained: Workspace, shop: Path) -> None:
    with trained.predictor("buys") as predictor:
        by_entity = predictor.predict([{**VISIT, "shop": shop} for shop in ("north", "south")])
        by_value = predictor.predict([{**VISIT, "people": people} for people in (1.0, 2.0)])

    assert [one["probability"] for one in by_entity] == [one["probability"] for one in by_value]
    assert by_entity[0]["probability"] != by_entity[1]["probability"]
    assert "features" not in by_entity[0]
    logged = [
        msgspec.json.decode(text) for text in trained.predictions.scan("buys").sort("row").collect()["inputs"]
    ]
    assert [one for one in logged if "shop" in one] == [
        {**VISIT, "people": 1.0, "shop": "north"},
        {**VISIT, "people": 2.0, "shop": "south"},
    ]


def test_what_was_served_is_what_the_offline_join_gives_for_that_moment(
    trained: Workspace, shop: Path, clock: ManualClock
) -> None:
    with trained.predictor("buys") as predictor:
        for hour in range(4):
            count(shop, 24 * 7 + hour, north=10 * hour, south=20 * hour)
            trained.ingest("crowds")
            trained.online.materialise("crowds")
            predictor.predict([{**VISIT, "shop": shop} for shop in ("north", "south", "nowhere")])
            clock.advance("1h")
        clock.advance("10d")
        predictor.predict({**VISIT, "shop": "north"})

    (skew,) = trained.skew("buys")
    assert (skew.column, skew.rows, skew.differing) == ("people", 13, 0)


def test_a_value_that_is_sent_wins_and_null_is_one(trained: Workspace) -> None:
    with trained.predictor("buys") as predictor:
        predictor.predict(
            [
                {**VISIT, "shop": "north", "people": 7.0},
                {**VISIT, "shop": "north", "people": None},
                {**VISIT, "shop": "north"},
            ]
        )

    logged = trained.predictions.scan("buys").sort("row").collect()
    assert [msgspec.json.decode(text)["people"] for text in logged["inputs"]] == [7.0, None, 1.0]


def test_an_answer_says_which_view_had_nothing_or_only_what_is_too_old(
    trained: Workspace, clock: ManualClock
) -> None:
    with trained.predictor("buys") as predictor:
        strange = predictor.predict([{**VISIT, "shop": "nowhere"}, {**VISIT, "shop": "north"}])
        clock.advance("10d")
        late = predictor.predict({**VISIT, "shop": "north"})
        unknown = predictor.predict({**VISIT, "people": None})

    assert [one["features"] for one in strange] == [{"crowds": "missing"}, None]
    assert late["features"] == {"crowds": "stale"}
    assert late["probability"] == strange[0]["probability"] == unknown["probability"]


def test_neither_entity_nor_feature_is_refused_by_name(trained: Workspace) -> None:
    with trained.predictor("buys") as predictor:
        with pytest.raises(
            InvalidInput, match="'people' is missing, and so is 'shop', whose crowds"
        ) as refused:
            predictor.predict([{**VISIT, "people": 1.0}, VISIT])
        with pytest.raises(InvalidInput, match="Did you mean 'shop'"):
            predictor.predict({**VISIT, "shopp": "north"})

    assert refused.value.field == "rows[1].people"


def asked(plane: Dataplane, protocol, body, path: str = ""):
    request = Request(
        method="POST",
        path=path,
        headers={},
        body=msgspec.json.encode(body),
        names={"endpoint": "buys"},
        received=0.0,
    )
    call = protocol.parse(request)
    return msgspec.json.decode(protocol.render(plane.predict("buys", call), call).body)


def tensor(name, values, kind="FP32"):
    return {"name": name, "shape": [len(values)], "datatype": kind, "data": values}


def test_columns_and_tensors_name_entities_too(trained: Workspace) -> None:
    with trained.predictor("buys") as predictor:
        plane = predictor._plane
        columns = asked(plane, plain, {"columns": {"pages": [1.0], "minutes": [0.5], "shop": ["south"]}})
        visit = [tensor("pages", [1.0, 1.0]), tensor("minutes", [0.5, 0.5])]
        tensors = asked(plane, v2, {"inputs": [*visit, tensor("shop", ["south", "nowhere"], "BYTES")]})
        described = msgspec.json.decode(
            v2.pages()["/v2/models/{endpoint}"](
                plane, Request(method="GET", path="", headers={}, names={"endpoint": "buys"}, received=0.0)
            ).body
        )

    expected = columns["predictions"][0]["probability"]
    outputs = {one["name"]: one["data"] for one in tensors["outputs"]}
    assert outputs["probability"][0] == expected
    assert [msgspec.json.decode(text) for text in outputs["features"]] == [None, {"crowds": "missing"}]
    assert [(one["name"], one.get("parameters")) for one in described["inputs"]] == [
        ("pages", None),
        ("minutes", None),
        ("shop", {"optional": True}),
        ("people", {"optional": True}),
    ]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[services.PrivateRedis]:
    """A Redis of this test, which it may kill."""
    with services.PrivateRedis(tmp_path / "redis") as server:
        yield server


def answered_with_features(predictor: Any) -> dict[str, Any]:
    """Ask until the store answers within its 40 ms, which a busy machine may not manage at once."""
    end = perf_counter() + 60
    while "features" in (found := predictor.predict({**VISIT, "shop": "north"})):
        assert perf_counter() < end, found
    return found


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_r14_a_store_that_is_gone_or_hangs_degrades_answers_and_delays_none(
    shop: Path, clock: ManualClock, mortal: services.PrivateRedis, how: signal.Signals
) -> None:
    with opened(shop, clock, **{"online.url": mortal.url, "online.timeout": 0.04}) as workspace:
        workspace.ingest("crowds")
        workspace.online.materialise("crowds")
        workspace.run("buys")
        with workspace.predictor("buys") as predictor:
            before = answered_with_features(predictor)
            mortal.signal(how)

            took, given = [], []
            for _ in range(20):
                begun = perf_counter()
                given.append(predictor.predict({**VISIT, "shop": "north"}))
                took.append(perf_counter() - begun)
            sent = predictor.predict({**VISIT, "people": 1.0})

    assert "features" not in before
    assert {one["features"]["crowds"] for one in given} == {"unavailable"}
    assert np.median(took) < within(0.02, busy=5)  # a store that fails is not waited for by each
    assert sorted(took)[-2] < within(0.05)
    assert sent["probability"] == before["probability"]


def test_with_the_policy_error_a_store_that_is_gone_is_an_error(
    shop: Path, clock: ManualClock, mortal: services.PrivateRedis
) -> None:
    gone = {"online.url": mortal.url, "online.timeout": 0.04, "online.on_failure": "error"}
    with opened(shop, clock, **gone) as workspace:
        workspace.ingest("crowds")
        workspace.online.materialise("crowds")
        workspace.run("buys")
        with workspace.predictor("buys") as predictor:
            mortal.kill()

            with pytest.raises(StoreUnavailable, match="does not answer"):
                predictor.predict({**VISIT, "shop": "north"})
            assert predictor.predict({**VISIT, "people": 1.0})["prediction"] in (True, False)


def test_a_version_of_a_view_that_is_no_longer_declared_says_so(
    trained: Workspace, shop: Path, clock: ManualClock
) -> None:
    file = shop / "project.py"
    text = file.read_text().replace('"crowds", source', '"people_counted", source')
    file.write_text(text)

    with opened(shop, clock) as workspace, workspace.predictor("buys") as predictor:
        with pytest.raises(
            StoreUnavailable, match="people cannot be read online: .*Send them with the request"
        ):
            predictor.predict({**VISIT, "shop": "north"})
        assert predictor.predict({**VISIT, "people": 1.0})["prediction"] in (True, False)
