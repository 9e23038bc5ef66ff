"""Versions are numbered once and aliases move in one transaction, on every ledger."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
import numpy as np
import polars as pl
import pytest

from treadle.core.errors import AlreadyExists, InvalidInput, NotFound, PackageRefused
from treadle.core.records import Lookup, Run, Window
from treadle.core.signature import Field, Signature
from treadle.registry import packages
from treadle.registry.models import Models
from treadle.store.ledger.tables import model_versions
from treadle.store.objects.objects import Objects

WINDOW = Window(start=None, end=datetime(2013, 2, 1, tzinfo=UTC))
SIGNATURE = Signature(
    inputs=(Field(name="carrier", kind="string"),),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)


@pytest.fixture
def objects(tmp_path):
    return Objects.open("objects", root=tmp_path, options={})


@pytest.fixture
def models(ledger, objects, clock, tmp_path):
    return Models(ledger=ledger, objects=objects, clock=clock, root=tmp_path)


def package(objects, *, share=0.3):
    return packages.pack(
        Lookup(name="prior", default=share),
        task="classification",
        signature=SIGNATURE,
        golden=pl.DataFrame({"carrier": ["UA", "AA"]}),
        expected=np.array([share, share]),
        objects=objects,
    )


def run(number):
    started = datetime(2013, 2, 1, tzinfo=UTC)
    return Run(
        id=f"run_{number}",
        model="delay",
        status="running",
        started_at=started,
        reason="test",
        data={"flights": 4},
        window=WINDOW,
        parents=("dataset_version:flights/4",),
    )


def register(models, made, number=1, **changed):
    given = {"model": "delay", "package": made, "run": run(number), "dataset": "flights"} | changed
    return models.register(**given)


def test_a_version_is_found_by_all_its_names(models, objects):
    made = register(models, package(objects))
    models.alias("delay", "champion", 1, actor="anna", reason="first")

    found = [
        models.get(name)
        for name in ("delay", "delay/1", "delay@champion", "models:/delay/1", "models:/delay@champion")
    ]

    assert found == [made] * 5
    assert made.parents == ("run:run_1", "dataset_version:flights/4")
    assert made.ref == "model_version:delay/1"


def test_registering_again_changes_nothing(models, objects):
    made = package(objects)

    first, second = register(models, made), register(models, made)

    assert first == second
    assert models.versions("delay") == [first]


def test_a_run_makes_one_version(models, objects):
    register(models, package(objects))

    with pytest.raises(AlreadyExists, match="registered delay/1 already"):
        register(models, package(objects, share=0.4))


def test_numbers_have_no_gaps_when_several_register_at_once(models, objects):
    made = package(objects)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: register(models, made, number), range(8)))

    assert [version.version for version in models.versions("delay")] == list(range(1, 9))


def test_a_package_whose_objects_are_gone_is_not_registered(models, objects):
    made = package(objects)
    objects.delete(made.files["lookup.json"])

    with pytest.raises(PackageRefused, match="is not there"):
        register(models, made)


@pytest.mark.parametrize("changed", [{"dataset": "other"}, {"task": "regression"}, {"model": "a/b"}])
def test_what_does_not_fit_is_not_registered(models, objects, changed):
    with pytest.raises(InvalidInput):
        register(models, package(objects), **changed)


def test_an_alias_moves_and_leaves_history(models, objects, clock):
    made = package(objects)
    register(models, made, 1), register(models, made, 2)

    models.alias("delay", "champion", 1, actor="anna", reason="first")
    clock.advance("1d")
    models.alias("delay", "champion", 2, actor="watcher", reason="gates passed")
    models.alias("delay", "champion", 2, actor="watcher", reason="again")

    assert models.aliases("delay") == {"champion": 2}
    assert [(a.version, a.previous, a.actor, a.reason) for a in models.history("delay", "champion")] == [
        (1, None, "anna", "first"),
        (2, 1, "watcher", "gates passed"),
    ]


def test_an_alias_takes_part_in_the_callers_transaction(models, objects, ledger):
    register(models, package(objects))

    def move_and_fail():
        with ledger.write() as connection:
            models.alias("delay", "champion", 1, actor="anna", reason="x", connection=connection)
            assert models.aliases("delay", connection=connection) == {"champion": 1}
            raise KeyError

    with pytest.raises(KeyError):
        move_and_fail()

    assert models.aliases("delay") == {}
    assert models.history("delay") == []


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("dela/1", "No model named 'dela'. Available: delay. Did you mean 'delay'?"),
        ("delay/9", "delay has no version 9. Versions: 1 to 2."),
        (
            "delay@champion",
            "delay has no alias 'champion'. Aliases: delay@challenger. Versions: 1 to 2; name one with delay/2.",
        ),
        ("other", "No model named 'other'. Available: delay."),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(models, objects, reference, said):
    made = package(objects)
    register(models, made, 1), register(models, made, 2)
    models.alias("delay", "challenger", 2, actor="anna", reason="x")

    with pytest.raises(NotFound) as raised:
        models.get(reference)

    assert str(raised.value) == said


def test_an_alias_needs_a_version_that_exists(models, objects):
    register(models, package(objects))

    with pytest.raises(NotFound, match="Versions: 1"):
        models.alias("delay", "champion", 2, actor="anna", reason="x")


def test_names_of_models(models, objects):
    made = package(objects)
    register(models, made, 1, model="delay"), register(models, made, 2, model="cancel")

    assert models.names() == ["cancel", "delay"]
    with pytest.raises(NotFound, match="Available: cancel, delay"):
        models.versions("x")


def test_a_loaded_version_answers(models, objects):
    version = register(models, package(objects))

    loaded = models.load(version)

    assert loaded.predict({"carrier": np.array(["UA"], dtype=object)})["probability"].tolist() == [0.3]


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (lambda row: row.update(digest="sha256:" + "0" * 64), "contradicts itself"),
        (lambda row: row.update(version=2), "contradicts itself"),
        (lambda row: row.update(model="other"), "contradicts itself"),
        (lambda row: row.update(format="pickle"), "another format"),
        (lambda row: row.update(task="regression"), "another task"),
        (lambda row: row.update(notes=["all is well"]), "another notes"),
        (lambda row: row["signature"]["inputs"].pop(), "another signature"),
        (lambda row: row["signature"]["inputs"][0].update(name="origin"), "another signature"),
        (lambda row: row.pop("digest"), "cannot be read"),
        (lambda row: row.update(format=1), "cannot be read"),
    ],
    ids=[
        "digest",
        "number",
        "model",
        "format",
        "task",
        "notes",
        "fewer inputs",
        "input",
        "no digest",
        "type",
    ],
)
def test_a17_an_altered_row_of_the_ledger_is_refused(models, objects, ledger, edit, why):
    register(models, package(objects))
    with ledger.write() as connection:
        row = msgspec.json.decode(connection.execute(model_versions.select()).one().body)
        edit(row)
        connection.execute(model_versions.update().values(body=msgspec.json.encode(row).decode()))

    with pytest.raises(PackageRefused, match=why):
        models.load(models.get("delay/1"))


def test_a17_a_row_that_points_at_another_package_of_the_same_signature_is_refused(models, objects, ledger):
    register(models, package(objects))
    other = package(objects, share=0.9)
    with ledger.write() as connection:
        row = msgspec.json.decode(connection.execute(model_versions.select()).one().body)
        row["digest"] = other.digest
        connection.execute(model_versions.update().values(body=msgspec.json.encode(row).decode()))

    with pytest.raises(PackageRefused, match="contradicts itself: it was altered"):
        models.get("delay/1")
