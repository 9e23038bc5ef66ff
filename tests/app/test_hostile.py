"""Bad input and faults, end to end: said in one sentence, counted in `status`, nothing lost, and a later run goes on."""

from __future__ import annotations

import gzip
import json
import signal
from pathlib import Path

import pytest

from hostile_shop import PROJECT, begun, land, visits, wait_for
from hostile_typed import Type, goes_on, status


def test_bad_rows_and_files_are_counted_and_do_not_stop_the_good_ones(shop: Path, typed: Type) -> None:
    land(shop, "b.csv", "w1,2024-02-01T10:00:00Z,3,true", "w2,2024-02-01T10:00:00Z,three,true")
    land(shop, "c.csv", ",2024-02-01T10:00:00Z,3,true", "w3,yesterday,3,true", "w4,2024-02-01T10:00:00Z,3")
    land(shop, "d.csv", "v0,2024-02-01T10:00:00Z,31,true")  # the key is there, with other values
    (shop / "landing" / "empty.csv").touch()
    (shop / "landing" / "cut.parquet").write_bytes(b"PAR1" + bytes(400))
    (shop / "landing" / "short.csv").write_text("visit,seen,bought\nw5,2024-02-01T10:00:00Z,true\n")
    (shop / "landing" / "cut.csv.gz").write_bytes(gzip.compress(b"x" * 9999)[:20])

    first, second = typed("ingest"), typed("ingest")

    found = status(typed)["datasets"][0]
    assert (first.code, second.code) == (0, 0)
    assert "version 2: 1 accepted, 5 quarantined" in first.out
    assert "nothing new" in second.out
    assert (found["version"], found["rows"], found["quarantined"]) == (2, 401, 5)
    assert [problem.split(" ")[0].rstrip(":") for problem in sorted(found["problems"])] == [
        f"landing/{name}" for name in ("cut.csv.gz", "cut.parquet", "empty.csv", "short.csv")
    ]
    assert "Missing column 'pages'" in found["problems"][3]
    assert "visits: landing/short.csv: Missing column" in typed("status").out
    assert "  landing/short.csv: Missing column" in typed("run").err


def test_a_file_that_is_replaced_keeps_the_rows_that_were_there(shop: Path, typed: Type) -> None:
    rows = visits(0, 300)
    land(shop, "a.csv", *[row.replace("true", "false") for row in rows], *visits(1000, 10))

    typed("ingest")

    found = status(typed)["datasets"][0]
    assert found["rows"] == 410
    assert found["quarantined"] == sum("true" in row for row in rows)


def test_a_contract_that_stored_rows_break_is_refused_and_told_by_status(shop: Path, typed: Type) -> None:
    (shop / "project.py").write_text(PROJECT.replace("pages: int", "pages: int = td.Column(le=20)"))
    land(shop, "b.csv", *visits(400, 50))

    refused = [typed("ingest"), typed("run"), typed("watch", "--once")]

    found = status(typed)
    assert [each.code for each in refused] == [1, 1, 1]
    assert "'pages' is above 20 in" in refused[0].err
    assert found["datasets"][0]["version"] == 1
    assert "'pages' is above 20 in" in found["datasets"][0]["problems"][0]
    assert [alert["rule"] for alert in found["alerts"]] == ["stuck"]
    (shop / "project.py").write_text(PROJECT)
    goes_on(typed, shop)


def test_a_clock_that_went_back_stops_nothing(
    shop: Path, typed: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TREADLE_CLOCK__FILE", "now.txt")
    (shop / "project.py").write_text(PROJECT.replace('cooldown="0s"', 'cooldown="1d"'))
    (shop / "now.txt").write_text("2040-01-01T00:00:00+00:00")
    land(shop, "b.csv", *visits(400, 20))
    typed("run")
    (shop / "now.txt").write_text("2030-01-01T00:00:00+00:00")
    land(shop, "c.csv", *visits(420, 20))

    ran = typed("watch", "--once")

    runs = json.loads(typed("runs", "--json").out)
    versions = json.loads(typed("datasets", "show", "visits", "--json").out)["versions"]
    assert ran.code == 0, ran.err
    assert [run["started_at"][:4] for run in runs[:2]] == ["2030", "2040"]
    assert [version["rows"] for version in versions] == [400, 420, 440]
    assert versions[1]["created_at"] <= versions[2]["created_at"]
    land(shop, "d.csv", *visits(440, 20))
    assert "cooling down until 2030-01-02" in typed("watch", "--once").err


@pytest.mark.parametrize(
    ("file", "text", "code", "said"),
    [
        ("project.py", "import (", 2, "is not valid Python"),
        ("project.py", "raise SystemExit(0)", 2, "raised SystemExit"),
        ("project.py", None, 3, "No project file"),
        ("treadle.toml", "[serving]\nprot = 1\n", 2, "Did you mean 'port'?"),
        ("treadle.toml", "[serving", 2, "is not valid TOML"),
    ],
)
def test_a_project_that_cannot_be_read_is_one_sentence(
    shop: Path, typed: Type, file: str, text: str | None, code: int, said: str
) -> None:
    (shop / file).unlink()
    if text is not None:
        (shop / file).write_text(text)

    for command in (["status"], ["run"], ["watch", "--once"]):
        refused = typed(*command)
        assert (refused.code, said in refused.sentence) == (code, True), refused.err


def test_a_project_without_models_says_so(shop: Path, typed: Type) -> None:
    (shop / "project.py").write_text("")

    assert "declares no model" in typed("run").err
    assert "declares no dataset" in typed("ingest").err
    assert typed("status").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mood", "limit", "said"),
    [
        ("raises", "10m", "raised ZeroDivisionError: the moon is \\x1b[31mred (project.py, line"),
        ("exits", "10m", "without a result, as if it had called exit()"),
        ("killed", "10m", "ended by SIGKILL"),
        ("hangs", "4s", "stopped after 4s, its time limit"),
    ],
)
def test_a_training_that_fails_is_recorded_and_the_champion_stays(
    shop: Path, typed: Type, monkeypatch: pytest.MonkeyPatch, mood: str, limit: str, said: str
) -> None:
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "process")
    monkeypatch.setenv("TREADLE_COMPUTE__TIMEOUT", limit)
    land(shop, "b.csv", *visits(400, 50))
    (shop / "mood").write_text(mood)

    failed = typed("run")

    (model,) = status(typed)["models"]
    run = model["last_run"]["id"]
    shown = typed("runs", "show", run).out
    assert failed.code == 4
    assert said in failed.err
    assert f"treadle runs log {run}" in failed.err
    assert (model["champion"], model["last_run"]["status"]) == (1, "failed")
    assert "failed" in shown
    assert said in shown
    if mood == "raises":
        assert "in buys" in shown
    if mood != "hangs":
        assert "training begins" in typed("runs", "log", run).out
    (shop / "mood").unlink()
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    goes_on(typed, shop)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number", "code"),
    [
        (["run"], signal.SIGINT, 130),
        (["watch"], signal.SIGTERM, 0),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_an_interrupted_training_is_gone_on_with(
    shop: Path,
    typed: Type,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    number: signal.Signals,
    code: int,
) -> None:
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "process")
    land(shop, "b.csv", *visits(400, 50))
    (shop / "mood").write_text("hangs")
    with begun(shop, *command) as process:
        wait_for(
            lambda: any("begins" in log.read_text() for log in (shop / ".treadle/runs").glob("*/log.txt"))
        )

        process.send_signal(number)
        ended = process.wait(timeout=60)

    (run, _) = json.loads(typed("runs", "--json").out)
    assert ended == code, (shop / "said.txt").read_text()
    assert "Traceback" not in (shop / "said.txt").read_text()
    assert run["status"] == "running"
    (shop / "mood").unlink()
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    goes_on(typed, shop)
    (same, _) = json.loads(typed("runs", "--json").out)
    assert (same["id"], same["attempts"]) == (run["id"], 2)
