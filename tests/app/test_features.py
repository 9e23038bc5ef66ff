"""Feature views from the command line and the workspace: materialised, read online, and compared with what was served."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from online_world import at, values
from treadle.app.cli.main import main
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.records import Variant
from treadle.serving.frames import PREDICTIONS

_PROJECT = """
import polars as pl
import treadle as td

flights = td.Dataset("flights", source=td.Files("landing/flights/*.parquet"), key="flight", time="departs_at", outcome="late")
weather = td.FeatureView(
    "weather", source=td.Files("landing/weather/*.parquet"), entity="origin", time="observed_at", ttl="1h",
    fields={"temp": "temp", "seen_at": "seen_at"},
)


warm = td.OnDemand("warm", inputs={"temp": float, "hour": int}, compute={"warmth": pl.col("temp") * pl.col("hour")})


@td.model(data=flights, features=[weather, warm], target="late", task=td.Classification())
def delay(data, params, run):
    return None
"""
Command = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[Workspace]:
    """A project with flights and the weather at their origins."""
    (tmp_path / "treadle.toml").write_text('[clock]\nfile = "now"\n')
    (tmp_path / "now").write_text(at(30).isoformat())
    (tmp_path / "project.py").write_text(_PROJECT)
    flights = values(
        ("f1", "JFK", 20), ("f2", "EWR", 25), ("f3", "JFK", 90), names=("flight", "origin", "departs_at")
    )
    weather = values(("JFK", 0, 1.0), ("JFK", 21, 2.0), ("EWR", 10, 3.0)).with_columns(
        (pl.col("observed_at") + pl.duration(minutes=1)).alias("seen_at")
    )
    for name, rows in {"flights": flights.with_columns(late=pl.lit(value=True)), "weather": weather}.items():
        folder = tmp_path / "landing" / name
        folder.mkdir(parents=True)
        rows.write_parquet(folder / "1.parquet")
    with open_workspace(tmp_path) as opened:
        opened.ingest()
        yield opened


@pytest.fixture
def run(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in the project, and return what it printed; as JSON where that was asked for."""

    def command(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--project", str(workspace.root)])
        printed = capsys.readouterr()
        assert not end.value.code, printed.err
        return json.loads(printed.out) if "--json" in arguments else printed.out

    return command


def log(workspace: Workspace, *rows: dict[str, Any]) -> None:
    """Write predictions to the log of the endpoint `delay`."""
    workspace.endpoints.revise(
        "delay",
        [Variant(name="champion", model="delay", version=1)],
        actor="test",
        reason="test",
        expected=None,
    )
    common = {"endpoint": "delay", "revision": 1, "model": "delay", "version": 1, "variant": "champion"}
    frame = pl.DataFrame(
        [
            {**common, "prediction_id": f"{n}", "key": None, **row, "inputs": json.dumps(row["inputs"])}
            for n, row in enumerate(rows)
        ],
        schema=PREDICTIONS,
    )
    workspace.tables.append("predictions/delay", frame, base=None)


def test_views_are_listed_materialised_and_read(run: Command) -> None:
    before = run("features", "--json")
    done = run("features", "materialise", "--json")
    after = run("features", "--json")
    read = run("features", "read", "weather", "origin=JFK", "--json")

    assert [(one["view"], one["version"], one["behind"]) for one in before] == [("weather", None, 1)]
    assert [(one["view"], one["written"], one["entities"]) for one in done] == [("weather", 2, 2)]
    assert [(one["version"], one["behind"], one["age"]) for one in after] == [(1, 0, 540.0)]
    assert read["features"] == {"temp": 2.0, "seen_at": "2013-01-01T00:22:00Z"}
    assert read["freshness"][0]["newest"] == 540.0
    assert read["problem"] == ""


def test_people_get_tables(run: Command) -> None:
    done = run("features", "materialise", "weather", "--until", "2013-01-01T00:20:00")
    listed = run("features")
    read = run("features", "read", "weather", "origin=EWR")

    assert "weather" in done
    assert "  20m  " in listed
    assert "3.0000" in read
    assert "weather: 20m old" in read


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("materialise", "wether"), 3, "Did you mean 'weather'"),
        (("read", "weather", "orign=JFK"), 2, "Did you mean 'orign'"),
        (("read", "weather", "JFK"), 2, "names no column"),
    ],
)
def test_mistakes_are_told_in_one_line(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["features", *arguments, "--project", str(workspace.root)])

    assert end.value.code == code
    assert said in capsys.readouterr().err


def test_the_check_says_whether_the_online_store_answers(run: Command) -> None:
    run("features", "materialise")

    checks = {one["what"]: one for one in run("check", "--json")}

    assert checks["online"] == {
        "parents": [],
        "what": "online",
        "ok": True,
        "said": ".treadle/online answers, 1 of 1 feature views are materialised",
    }


def test_a_caller_gets_online_what_training_got_offline(workspace: Workspace) -> None:
    workspace.online.materialise("weather")
    rows = pl.DataFrame({"origin": ["EWR", "JFK", "LGA", None], "hour": [1, 2, 3, 4]})
    now = workspace.clock.now()

    online = workspace.features_now("delay", rows)

    offline = workspace.features("delay", rows.with_columns(pl.lit(now).alias("departs_at"))).drop(
        "departs_at"
    )
    assert_frame_equal(online, offline)
    assert online["warmth"].to_list() == [3.0, 4.0, None, None]


def test_what_was_served_is_compared_with_the_offline_join(workspace: Workspace) -> None:
    log(
        workspace,
        {
            "at": at(20),
            "inputs": {"origin": "JFK", "temp": 1.0, "seen_at": "2013-01-01T00:01:00Z", "hour": 0},
        },
        {
            "at": at(25),
            "inputs": {"origin": "JFK", "temp": 1.0, "seen_at": "2013-01-01T00:22:00Z", "hour": 0},
        },
        {"at": at(26), "key": '{"flight":"f2"}', "inputs": {"temp": None, "seen_at": None, "hour": 0}},
        {"at": at(27), "key": '{"flight":"gone"}', "inputs": {"temp": 9.0, "seen_at": None, "hour": 0}},
        {"at": at(28), "inputs": {"temp": 9.0, "seen_at": None, "hour": 0}},
    )

    temp, seen = workspace.skew("delay")

    assert (temp.column, temp.rows, temp.differing, temp.not_served) == ("temp", 3, 2, 1)
    assert (seen.column, seen.differing, seen.not_served) == ("seen_at", 1, 1)
    assert temp.examples[0].row == {"origin": "JFK", "at": at(25)}
    assert (temp.examples[0].served, temp.examples[0].offline) == (1.0, 2.0)


def test_features_that_were_joined_as_of_the_row_s_time_are_compared_as_of_it(workspace: Workspace) -> None:
    log(
        workspace,
        {"at": at(85), "key": '{"flight":"f1"}', "inputs": {"origin": "JFK", "temp": 1.0}},
        {"at": at(85), "key": '{"flight":"f3"}', "inputs": {"origin": "JFK", "temp": None}},
    )

    (as_of_the_row,) = workspace.skew("delay", time="departs_at")
    (as_of_the_request,) = workspace.skew("delay")

    assert (as_of_the_row.rows, as_of_the_row.differing) == (2, 0)
    assert as_of_the_request.differing == 1


def test_only_what_was_served_lately_is_compared(workspace: Workspace) -> None:
    log(
        workspace,
        {"at": at(20), "inputs": {"origin": "JFK", "temp": -1.0}},
        {"at": at(25), "inputs": {"origin": "JFK", "temp": 2.0}},
    )

    assert workspace.skew("delay", since=at(21))[0].differing == 0
    assert workspace.skew("delay")[0].differing == 1


def test_an_endpoint_that_was_never_asked_has_no_skew(workspace: Workspace) -> None:
    log(workspace)

    assert workspace.skew("delay") == []
