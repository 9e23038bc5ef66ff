"""Packages that nobody needs go, what anybody refers to stays, and every record does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput, NotFound, PackageRefused, StoreUnavailable
from treadle.core.records import Lookup, ModelVersion, Run, Window
from treadle.core.signature import Field, Signature
from treadle.registry import packages
from treadle.registry.models import Models
from treadle.registry.packages import Package
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects

SIGNATURE = Signature(
    inputs=(Field(name="carrier", kind="string"),),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)
START = datetime(2013, 2, 1, tzinfo=UTC)


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects.open("objects", root=tmp_path, options={})


@pytest.fixture
def models(ledger: Ledger, objects: Objects, clock: ManualClock, tmp_path: Path) -> Models:
    return Models(ledger=ledger, objects=objects, clock=clock, root=tmp_path)


def package(objects: Objects, share: float) -> Package:
    return packages.pack(
        Lookup(name="prior", default=share),
        task="classification",
        signature=SIGNATURE,
        golden=pl.DataFrame({"carrier": ["UA", "AA"]}),
        expected=np.array([share, share]),
        objects=objects,
    )


def register(models: Models, made: Package, number: int, *, model: str = "delay") -> ModelVersion:
    run = Run(
        id=f"run_{model}_{number}",
        model=model,
        status="running",
        started_at=START,
        reason="test",
        data={"flights": 4},
        window=Window(start=None, end=START),
    )
    return models.register(model=model, package=made, run=run, dataset="flights")


@pytest.fixture
def five(models: Models, objects: Objects) -> list[ModelVersion]:
    """Five versions, each with a package of its own; the first is the champion."""
    made = [register(models, package(objects, number / 10), number) for number in range(1, 6)]
    models.alias("delay", "champion", 1, actor="anna", reason="first")
    return made


def test_a_dry_run_says_why_and_removes_nothing(models: Models, objects: Objects, five: list[ModelVersion]):
    before = sorted(objects.list())

    fates, _ = models.collect(last=2, held=lambda _: {("delay", 3): "waits for approval"}, dry_run=True)

    assert [(fate.version, fate.kept) for fate in fates] == [
        (1, "alias champion"),
        (2, ""),
        (3, "waits for approval"),
        (4, "one of the last 2"),
        (5, "one of the last 2"),
    ]
    assert sorted(objects.list()) == before
    assert models.versions("delay") == five


def test_what_goes_leaves_its_record_and_what_stays_still_loads(
    models: Models, objects: Objects, five: list[ModelVersion], tmp_path: Path
):
    for version in five:
        models.load(version)
    before = len(list(objects.list()))

    models.collect(last=1, dry_run=False)

    # A package of a lookup is three objects: manifest, table, golden rows.
    assert len(list(objects.list())) == before - 9
    assert len(list((tmp_path / ".treadle/cache/packages").iterdir())) == 2
    for version in models.versions("delay"):
        if version.version in (1, 5):
            assert models.load(version).signature == SIGNATURE
            continue
        assert version.collected_at is not None
        assert version.metrics == five[version.version - 1].metrics
        with pytest.raises(
            PackageRefused, match=rf"delay/{version.version} was collected at .*treadle run delay"
        ):
            models.load(version)
        with pytest.raises(PackageRefused, match="was collected"):
            models.alias("delay", "challenger", version.version, actor="anna", reason="again")
    assert [move.version for move in models.history("delay")] == [1]
    assert [fate.version for fate in models.collect(last=1, dry_run=False)[0]] == [1, 5]


def test_a_file_that_another_package_needs_stays(models: Models, objects: Objects):
    shared = package(objects, 0.3)
    register(models, shared, 1)
    register(models, shared, 2)
    other = register(models, shared, 1, model="other")

    models.collect(["delay"], last=0, dry_run=False)

    assert models.load(other).signature == SIGNATURE
    models.collect(last=0, dry_run=False)
    assert list(objects.list()) == []


def test_a_collection_that_was_interrupted_is_ended_by_the_next(
    models: Models, objects: Objects, five: list[ModelVersion], monkeypatch: pytest.MonkeyPatch
):
    removed: list[str] = []

    def away(digest: str) -> None:
        if len(removed) == 4:
            msg = "The objects store is away."
            raise StoreUnavailable(msg)
        removed.append(digest)
        real(digest)

    real = objects.delete
    monkeypatch.setattr(objects, "delete", away)
    with pytest.raises(StoreUnavailable):
        models.collect(last=1, dry_run=False)
    monkeypatch.undo()
    assert [v.version for v in models.versions("delay") if v.collected_at] == [2, 3, 4]

    models.collect(last=1, dry_run=False)

    kept = [v for v in models.versions("delay") if not v.collected_at]
    assert len(list(objects.list())) == 6
    assert [models.load(version).signature for version in kept] == [SIGNATURE] * 2


def test_a_version_that_is_registered_meanwhile_is_whole_or_refused(models: Models, objects: Objects):
    for number in range(8):
        register(models, package(objects, 0.5), 2 * number)
        again = package(objects, 0.5)
        with ThreadPoolExecutor(2) as pool:
            collected = pool.submit(models.collect, last=0, dry_run=False)
            registered = pool.submit(register, models, again, 2 * number + 1)
        collected.result()
        failed = registered.exception()
        if failed is not None:
            assert isinstance(failed, PackageRefused)
            assert "is not there" in str(failed)
            continue
        version = models.get(f"delay/{registered.result().version}")
        assert version.collected_at is not None or models.load(version).signature == SIGNATURE


def test_what_is_not_there_or_cannot_hold_is_said(models: Models, five: list[ModelVersion]):
    with pytest.raises(NotFound, match="Did you mean 'delay'"):
        models.collect(["dely"], last=1, dry_run=True)
    with pytest.raises(InvalidInput, match="Expected 0 or more"):
        models.collect(last=-1, dry_run=True)
