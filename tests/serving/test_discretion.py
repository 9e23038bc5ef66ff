"""What the log leaves out, looked for on every byte of the disk; and which requests are in its sample."""

from __future__ import annotations

import json

import duckdb
import msgspec
import polars as pl
import pytest
from deltalake import DeltaTable

from treadle.core.errors import SettingsError
from treadle.core.settings import ServingSettings
from treadle.serving.discretion import Discretion, discretion
from treadle.serving.entries import OutcomeEntry, PredictionEntry
from treadle.serving.predictions import Outcomes, Predictions

#: One that no id, moment or size contains by chance.
_DISTANCE = 918_273_645
_MARKS = ("jane.roe@example.org", "subject-4711", str(_DISTANCE))
#: As JSON and CSV have a number, as MessagePack does, and as Parquet does.
_TRACES = (*(mark.encode() for mark in _MARKS), _DISTANCE.to_bytes(4, "big"), _DISTANCE.to_bytes(8, "little"))
_REDACTED = {"redact_drop": "distance", "redact_hash": "email, subject", "redact_key": "s3cret"}


def prediction(name="r1", **changes):
    usual = PredictionEntry(
        request_id=name,
        endpoint="delay",
        revision=1,
        model="delay",
        version=7,
        variant="champion",
        assignment="only variant",
        subject="subject-4711",
        at=0,
        latency=0.001,
        inputs={"distance": [1, 2], "email": ["a", None]},
        keys=['{"email":"a","id":1}', '{"email":null,"id":2}'],
        predictions=[1.0, 0.0],
        probabilities=None,
    )
    return msgspec.structs.replace(usual, **changes)


def asked(server, number):
    """Ask for one prediction of a person, and report its outcome by key."""
    key = {"email": "jane.roe@example.org", "flight": number}
    rows = [{"distance": _DISTANCE, "temp": None, "carrier": "UA"}]
    body = {"rows": rows, "key": key, "subject": "subject-4711", "id": f"r{number}"}
    status, answer = server.call("/v1/endpoints/delay/predict", body)[:2]
    assert status == 200, answer
    told = {"id": f"o{number}", "outcomes": [{"key": key, "value": True}]}
    assert server.call("/v1/endpoints/delay/outcomes", told)[0] in (200, 202)


def found_on_disk(root):
    """Return which traces are in a file, or in a cell of a table once it is decoded."""
    contents = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    for path in root.rglob("*.parquet"):
        cells = pl.read_parquet(path)
        contents.append(json.dumps(cells.to_dicts(), default=str).encode())
    return {trace for trace in _TRACES if any(trace in content for content in contents)}


@pytest.mark.parametrize("settings", [{}, _REDACTED], ids=["as it is", "redacted"])
def test_a_redacted_value_is_on_no_byte_of_the_disk(revise, launch, tables, tmp_path, settings):
    revise(("champion", 7, 1.0))
    server = launch(durability="sync", **settings)
    for number in range(20):
        asked(server, number)
    server.kill()
    spooled = found_on_disk(tmp_path)

    server.start()
    server.stop()

    # Without redaction they are found, so this test would see them.
    expected = set(_TRACES[:3]) if not settings else set()
    assert expected <= spooled | found_on_disk(tmp_path)
    if settings:
        assert spooled | found_on_disk(tmp_path) == set()
    assert tables.scan("predictions/delay").collect().height == 20


def test_what_is_hashed_still_joins_outcomes_to_predictions(revise, launch, tables, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(durability="sync", **_REDACTED)
    for number in range(5):
        asked(server, number)
    server.stop()

    rows = Predictions(tables, root=tmp_path).scan("delay").collect()
    outcomes = Outcomes(tables, root=tmp_path).scan("delay").collect()

    assert rows.join(outcomes, on="key").height == 5
    assert rows["subject"].n_unique() == 1
    assert {*json.loads(rows["inputs"][0])} == {"temp", "carrier"}


def test_other_tools_read_the_tables(revise, launch, tables, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(durability="sync")
    for number in range(7):
        asked(server, number)
    server.stop()
    tables.tidy("predictions/delay")

    files = DeltaTable(tmp_path / "tables" / "predictions" / "delay").file_uris()

    count = "select count(*), count(distinct prediction_id), min(version) from read_parquet(?)"
    assert duckdb.execute(count, [files]).fetchall() == [(7, 7, 7)]
    assert pl.scan_delta(str(tmp_path / "tables" / "predictions" / "delay")).collect().height == 7


def test_the_sample_is_the_same_for_every_worker_and_says_its_fraction():
    one, other = Discretion(fraction=0.2), Discretion(fraction=0.2)

    kept = [name for name in map(str, range(20_000)) if one.of(prediction(name)) is not None]

    assert kept == [name for name in map(str, range(20_000)) if other.of(prediction(name)) is not None]
    assert abs(len(kept) / 20_000 - 0.2) < 0.012
    assert one.of(prediction(kept[0])).sampled == 0.2


def test_a_larger_fraction_keeps_what_a_smaller_one_kept():
    small, large = Discretion(fraction=0.1), Discretion(fraction=0.3)
    names = [str(n) for n in range(2_000)]

    assert all(large.of(prediction(n)) for n in names if small.of(prediction(n)))


def test_what_a_person_must_look_at_and_outcomes_are_kept_whatever_the_fraction():
    sparse = Discretion(fraction=0.0001)
    told = OutcomeEntry(request_id="o", endpoint="delay", at=0, predictions=["p"], keys=[None], values=[1.0])

    kept = [sparse.of(prediction(str(n), decisions=["answer", "review"])) for n in range(100)]

    assert [entry.sampled for entry in kept] == [1.0] * 100
    assert sparse.of(told) == told


def test_a_server_logs_its_sample_and_counts_the_rest(revise, launch, tables, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(durability="sync", sample=0.5)
    for number in range(60):
        asked(server, number)
    metrics = server.call("/metrics")[1]["text"]
    server.stop()

    rows = Predictions(tables, root=tmp_path).scan("delay").collect()
    left_out = next(
        line for line in metrics.splitlines() if line.startswith("treadle_log_left_out_total")
    ).split()[-1]

    assert rows.height + float(left_out) == 60
    assert 0 < rows.height < 60
    assert set(rows["sampled"]) == {0.5}
    assert Outcomes(tables, root=tmp_path).scan("delay").collect().height == 60


def test_nulls_stay_and_a_key_of_which_nothing_is_left_is_none():
    discreet = Discretion(dropped=frozenset({"id"}), hashed=frozenset({"email"}), secret=b"x")

    kept = discreet.of(prediction())
    bare = Discretion(dropped=frozenset({"id", "email"})).of(prediction())

    assert kept.inputs["email"] == [discreet.hash("a"), None]
    assert json.loads(kept.keys[0]) == {"email": discreet.hash("a")}
    assert bare.keys is None
    assert bare.inputs == {"distance": [1, 2]}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sample": 0.0}, r"serving\.sample is 0"),
        ({"sample": 1.5}, "at most 1"),
        ({"sample": float("nan")}, r"serving\.sample is nan"),
        ({"redact_drop": "a", "redact_hash": "a, b", "redact_key": "k"}, "'a' is in"),
        ({"redact_hash": "b"}, r"serving\.redact_key"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, says):
    with pytest.raises(SettingsError, match=says):
        discretion(ServingSettings(**settings))
