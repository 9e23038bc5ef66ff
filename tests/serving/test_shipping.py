from __future__ import annotations

import shutil
import threading

import msgspec
import polars as pl
import pytest

from treadle.core.clock import monotonic
from treadle.core.errors import TreadleError
from treadle.serving import wal
from treadle.serving.courier import Courier
from treadle.serving.entries import OutcomeEntry, PredictionEntry, pack
from treadle.serving.frames import tables_of
from treadle.serving.log import LOGS
from treadle.serving.predictions import Outcomes, Predictions
from treadle.serving.shipping import Shipper, unshipped


def prediction(name, rows=1, endpoint="delay"):
    return PredictionEntry(
        request_id=name,
        endpoint=endpoint,
        revision=2,
        model="delay",
        version=3,
        variant="champion",
        assignment="only variant",
        subject=None,
        at=1_000_000,
        latency=0.002,
        inputs={"distance": list(range(rows)), "temp": [None] * rows},
        keys=[f'{{"flight_id":"{name}-{row}"}}' for row in range(rows)],
        predictions=[1.0] * rows,
        probabilities=[0.25] * rows,
    )


def outcome(name):
    return OutcomeEntry(
        request_id=name,
        endpoint="delay",
        at=2_000_000,
        predictions=["r1-0", None],
        keys=[None, "{}"],
        values=[1.0, 0.0],
    )


def spool(logs, server, number, *entries, seal=True):
    """Leave a segment, as a server does."""
    folder = logs / server
    folder.mkdir(parents=True, exist_ok=True)
    segment = wal.Segment(folder, number)
    segment.append([b"\xc0", *(pack(entry) for entry in entries)])
    return segment.seal() if seal else (segment.close(), segment.path)[1]


@pytest.fixture
def logs(tmp_path):
    return tmp_path / LOGS


@pytest.fixture
def predictions(tables, logs, tmp_path):
    return Predictions(tables, root=tmp_path)


def ids(predictions, endpoint="delay"):
    return sorted(predictions.scan(endpoint).collect()["prediction_id"])


def test_rows_are_read_with_all_they_came_with(predictions, logs):
    spool(logs, "s1", 1, prediction("r1", rows=2), seal=False)

    row = predictions.scan("delay").sort("row").collect().row(1, named=True)

    assert row["prediction_id"] == "r1-1"
    assert (row["inputs"], row["key"]) == ('{"distance":1,"temp":null}', '{"flight_id":"r1-1"}')
    assert (row["prediction"], row["probability"], row["confidence"], row["version"]) == (1.0, 0.25, 0.75, 3)
    assert row["at"].isoformat() == "1970-01-01T00:00:01+00:00"


def test_shipping_changes_nothing_for_readers(predictions, tables, logs, tmp_path):
    spool(logs, "s1", 1, prediction("r1"), prediction("r2"))
    before = predictions.scan("delay").sort("prediction_id").collect()

    rows = Shipper(tmp_path, tables).ship("s1")

    assert rows == 2
    assert wal.segments(logs / "s1") == []
    assert predictions.scan("delay").sort("prediction_id").collect().equals(before)


def test_a_segment_is_shipped_once_though_the_shipper_dies_before_it_can_remove_it(
    predictions, tables, logs, tmp_path
):
    path = spool(logs, "s1", 1, prediction("r1"))
    kept = path.read_bytes()
    Shipper(tmp_path, tables).ship("s1")
    path.write_bytes(kept)
    spool(logs, "s1", 2, prediction("r2"))

    rows = Shipper(tmp_path, tables).ship("s1")

    assert rows == 1
    assert tables.scan("predictions/delay").collect().height == 2
    assert ids(predictions) == ["r1-0", "r2-0"]


def test_what_a_dead_server_left_is_shipped_and_its_folder_removed(predictions, tables, logs, tmp_path):
    spool(logs, "dead", 1, prediction("r1"))
    spool(logs, "dead", 2, prediction("r2"), outcome("o1"), seal=False)

    rows = Shipper(tmp_path, tables).ship_leftovers()

    assert rows == 4
    assert list(logs.iterdir()) == []
    assert ids(predictions) == ["r1-0", "r2-0"]


def test_several_shippers_at_once_ship_everything_once(tables, logs, tmp_path):
    for server in range(5):
        spool(logs, f"dead{server}", 1, *(prediction(f"r{server}-{n}") for n in range(20)))
    totals = []

    def ship():
        try:
            totals.append(Shipper(tmp_path, tables).ship_leftovers())
        except TreadleError:
            totals.append(0)

    threads = [threading.Thread(target=ship) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals.append(Shipper(tmp_path, tables).ship_leftovers())

    shipped = tables.scan("predictions/delay").collect()
    assert (shipped.height, shipped["prediction_id"].n_unique()) == (100, 100)


def test_endpoints_have_tables_of_their_own(predictions, tables, logs, tmp_path):
    spool(logs, "s1", 1, prediction("r1"), prediction("r2", endpoint="fares"))

    Shipper(tmp_path, tables).ship("s1")

    assert predictions.endpoints() == ["delay", "fares"]
    assert (ids(predictions), ids(predictions, "fares")) == (["r1-0"], ["r2-0"])


def test_a_request_that_was_sent_twice_is_there_once(predictions, tables, logs, tmp_path):
    spool(logs, "s1", 1, prediction("r1"))
    Shipper(tmp_path, tables).ship("s1")
    spool(logs, "s2", 1, prediction("r1"), prediction("r1"))

    assert ids(predictions) == ["r1-0"]


def test_outcomes_are_read_by_prediction_and_by_key(tables, logs, tmp_path):
    spool(logs, "s1", 1, outcome("o1"))

    rows = Outcomes(tables, root=tmp_path).scan("delay").sort("outcome_id").collect()

    assert rows.select("prediction_id", "key", "value").rows() == [("r1-0", None, 1.0), (None, "{}", 0.0)]


def test_a_table_and_segments_of_an_earlier_release_are_read_and_go_on(predictions, tables, logs, tmp_path):
    """Before answers of several numbers there was no column `outputs`, and entries were shorter."""
    spool(logs, "s1", 1, prediction("old"))
    added = ("outputs", "propensity", "shadow", "sampled", "decision")
    before = unshipped(tmp_path, "predictions/delay").drop(added)
    tables.deliver("predictions/delay", before, sender="s0", number=1)
    shutil.rmtree(logs / "s1")
    alone = predictions.scan("delay").collect()
    short = msgspec.msgpack.encode(msgspec.msgpack.decode(pack(prediction("short")))[:-6])
    folder = logs / "s2"
    folder.mkdir(parents=True)
    segment = wal.Segment(folder, 1)
    segment.append([b"\xc0", short, pack(prediction("new"))])
    segment.seal()

    Shipper(tmp_path, tables).ship("s2")

    assert alone["outputs"].to_list() == [None]
    assert ids(predictions) == ["new-0", "old-0", "short-0"]
    frame = predictions.scan("delay").collect()
    assert frame["confidence"].to_list() == [0.75] * 3
    assert frame.select("propensity", "shadow", "sampled", "decision").unique().rows() == [
        (1, False, 1, None)
    ]


def test_what_a_shadow_would_have_answered_is_beside_the_answers(predictions, tables, logs, tmp_path):
    beside = msgspec.structs.replace(prediction("r1"), variant="challenger", version=4, shadow=True)
    spool(logs, "s1", 1, prediction("r1"), beside)
    Shipper(tmp_path, tables).ship("s1")

    shadow = predictions.shadows("delay").collect().row(0, named=True)

    assert ids(predictions) == ["r1-0"]
    assert (shadow["prediction_id"], shadow["request_id"], shadow["row"]) == ("r1-0~challenger", "r1", 0)


def test_how_a_row_came_to_be_logged_is_kept(predictions, logs):
    entry = msgspec.structs.replace(
        prediction("r1"), propensity=0.05, sampled=0.1, decisions=["abstain"], variant="challenger"
    )
    spool(logs, "s1", 1, entry, seal=False)

    rows = predictions.scan("delay").select("propensity", "sampled", "decision").collect().rows()

    assert rows == [(0.05, 0.1, "abstain")]


def test_an_endpoint_without_predictions_is_an_empty_frame(predictions):
    frame = predictions.scan("delay").collect()

    assert (frame.height, frame.schema["at"]) == (0, pl.Datetime("us", "UTC"))


def test_segments_wait_where_the_tables_cannot_be_written(predictions, tables, logs, tmp_path):
    spool(logs, "s1", 1, prediction("r1"))
    (tmp_path / "tables").write_text("a file where the folder should be")

    with pytest.raises(TreadleError):
        Shipper(tmp_path, tables).ship("s1")
    (tmp_path / "tables").unlink()

    assert Shipper(tmp_path, tables).ship("s1") == 1


def test_many_deliveries_are_joined_into_few_files(predictions, tables, logs, tmp_path):
    for number in range(1, 70):
        spool(logs, "s1", number, prediction(f"r{number}"))
        Shipper(tmp_path, tables).ship("s1")

    fresh = pl.scan_delta(str(tmp_path / "tables/predictions/delay"))

    assert fresh.collect().height == len(ids(predictions)) == 69


def test_the_thread_ships_at_its_start_and_at_its_end(tables, logs, tmp_path):
    spool(logs, "dead", 1, prediction("r1"))
    thread = Courier(tmp_path, lambda: tables, interval=60.0)

    thread.start()
    thread.stop()
    shutil.rmtree(logs)

    assert tables.scan("predictions/delay").collect().height == 1


def test_a_table_of_an_earlier_release_gets_the_columns_that_it_lacks(tmp_path, logs, tables):
    known = tables_of([prediction("r0")])["predictions/delay"].drop(
        "propensity", "shadow", "sampled", "decision"
    )
    tables.deliver("predictions/delay", known, sender="earlier", number=1)
    spool(logs, "now", 1, prediction("r1"))

    shipped = [Shipper(tmp_path, tables).ship("now")]
    spool(logs, "later", 1, prediction("r2"))
    shipped.append(Shipper(tmp_path, tables).ship("later"))

    found = tables.scan("predictions/delay").sort("request_id").collect()
    assert shipped == [1, 1]
    assert found["request_id"].to_list() == ["r0", "r1", "r2"]
    assert found["propensity"].to_list() == [None, 1.0, 1.0]


def test_the_thread_outlives_what_nobody_foresaw(tables, logs, tmp_path):
    spool(logs, "s1", 1, prediction("r1"))
    failures = iter([PermissionError(13, "not yours"), ValueError("of a later release")])

    def opened():
        for failure in failures:
            raise failure
        return tables

    thread = Courier(tmp_path, opened, interval=0.001)
    thread.start()
    end = monotonic() + 60
    while wal.segments(logs / "s1") and monotonic() < end:
        threading.Event().wait(0.005)
    thread.stop()

    assert tables.scan("predictions/delay").collect()["request_id"].to_list() == ["r1"]
    assert thread.problem is None


def test_a_segment_that_is_completed_while_it_is_looked_for_is_read(tmp_path, monkeypatch):
    folder, read = tmp_path / LOGS / "s1", wal.entries
    folder.mkdir(parents=True)
    segment = wal.Segment(folder, 1)
    outcome = OutcomeEntry(
        request_id="r1", endpoint="delay", at=1, predictions=["p"], keys=[None], values=[1.0]
    )
    segment.append([pack(outcome)])
    segment.close()

    def late(path):
        if path == segment.path and path.exists():
            wal.sealed(path)
        return read(path)

    monkeypatch.setattr(wal, "entries", late)

    assert unshipped(tmp_path, "outcomes/delay")["outcome_id"].to_list() == ["r1-0"]
