"""Bad input and faults, end to end: said in one sentence, counted in `status`, nothing lost, and a later run goes on."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import services
import treadle as td
from treadle.app.cli.main import main

HEADER = "visit,seen,pages,bought"
PROJECT = '''
import os
import signal
import time
from datetime import datetime
from pathlib import Path

import treadle as td

HERE = Path(__file__).parent


class Visit(td.Contract):
    """A visit to the shop."""

    visit: str
    seen: datetime
    pages: int
    bought: bool


visits = td.Dataset(
    "visits", source=td.Files("landing/*"), contract=Visit, key="visit", time="seen", outcome="bought",
    split=td.HashSplit(),
)


@td.model(data=visits, target="bought", inputs=["pages"], task=td.Classification(),
          policy=td.Policy(triggers=[td.NewRows(1)], cooldown="0s"))
def buys(data, params, run):
    from sklearn.linear_model import LogisticRegression

    print("training begins", flush=True)
    mood = (HERE / "mood").read_text() if (HERE / "mood").is_file() else ""
    if mood == "raises":
        raise ZeroDivisionError("the moon is \\x1b[31mred")
    if mood == "exits":
        os._exit(0)
    if mood == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mood == "hangs":
        time.sleep(600)
    return LogisticRegression().fit(data.train.X, data.train.y)
'''


def visits(first: int, count: int) -> list[str]:
    """Rows of visits: the more pages, the likelier something is bought."""
    dice = random.Random(first)
    rows = []
    for number in range(first, first + count):
        pages = dice.randint(0, 30)
        bought = str(pages + dice.gauss(0, 5) > 15).lower()
        rows.append(f"v{number},2024-01-{1 + number % 28:02}T10:00:00Z,{pages},{bought}")
    return rows


def land(root: Path, name: str, *lines: str) -> None:
    (root / "landing").mkdir(exist_ok=True)
    (root / "landing" / name).write_text("\n".join([HEADER, *lines]) + "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion."""
    root = tmp_path_factory.mktemp("made")
    (root / "treadle.toml").write_text('[project]\nname = "shop"\n[ledger]\ntimeout = 1\n')
    (root / "project.py").write_text(PROJECT)
    land(root, "a.csv", *visits(0, 400))
    with td.open(root, overrides={"compute.engine": "inline"}) as workspace:
        workspace.run("buys")
    return root


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, where the commands are typed; trainings run in this process."""
    root = tmp_path / "shop"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    return root


class Typed:
    """What a command printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        self.code, self.out, self.err = end.value.code, said.out, said.err

    @property
    def sentence(self) -> str:
        """The error, which stands alone at the end of what was told."""
        assert "Traceback" not in self.err
        last = self.err.strip().splitlines()[-1]
        assert last.startswith("error: "), self.err
        return last.removeprefix("error: ")


Type = Callable[..., Typed]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    return lambda *arguments: Typed(capsys, *arguments)


def status(typed: Type) -> Any:
    return json.loads(typed("status", "--json").out)


def goes_on(typed: Type, root: Path) -> None:
    """The next run takes in what has landed meanwhile, and loses nothing."""
    again = typed("run")
    versions = json.loads(typed("datasets", "show", "visits", "--json").out)["versions"]
    assert again.code == 0, again.err
    assert status(typed)["models"][0]["last_run"]["status"] in {"succeeded", "rejected"}
    assert [v["version"] for v in versions] == list(range(1, len(versions) + 1))
    assert versions[-1]["rows"] == sum(v["accepted"] for v in versions) == 400 + 50


# Data


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


# The project's own code


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


# Stores


@pytest.fixture
def disk(shop: Path) -> Iterator[Path]:
    """The project's state on a small file system of its own, with 50 new rows that wait."""
    state = shop / ".treadle"
    state.rename(shop / "kept")
    with services.small_disk(state, size="8m") as folder:
        shutil.copytree(shop / "kept", folder, dirs_exist_ok=True)
        land(shop, "b.csv", *visits(400, 50))
        yield folder


def test_a_full_disk_is_said_and_the_next_run_goes_on(disk: Path, shop: Path, typed: Type) -> None:
    ballast = services.fill(disk)

    refused = [typed("ingest"), typed("run"), typed("watch", "--once")]
    ballast.unlink()

    assert [each.code for each in refused] == [5, 5, 5]
    assert all("no space is left. Free some space" in each.sentence for each in refused)
    goes_on(typed, shop)


@pytest.mark.slow
@pytest.mark.parametrize("free", [128, 256], ids="{}k".format)
def test_a_disk_that_fills_up_on_the_way_is_said(disk: Path, shop: Path, typed: Type, free: int) -> None:
    typed("status")  # the ledger's side files are there
    ballast = services.fill(disk)
    with ballast.open("r+b") as file:
        file.truncate(ballast.stat().st_size - free * 1024)

    with begun(
        shop, "run"
    ) as process:  # a process of its own, so that its end frees what it could not give back
        code = process.wait(timeout=60)
    ballast.unlink()

    assert code in {0, 5}
    assert code == 0 or "no space is left" in (shop / "said.txt").read_text()
    goes_on(typed, shop)


def test_a_read_only_folder_is_said_and_the_next_run_goes_on(disk: Path, shop: Path, typed: Type) -> None:
    services.make_read_only(disk)

    refused = [typed("ingest"), typed("run"), typed("serve", "--port", "0")]
    services.make_read_only(disk, yes=False)

    assert [each.code for each in refused] == [5, 5, 5]
    assert all("may not be written to" in each.sentence for each in refused)
    goes_on(typed, shop)


def test_a_locked_ledger_is_said_and_the_next_run_goes_on(shop: Path, typed: Type) -> None:
    land(shop, "b.csv", *visits(400, 50))
    with closing(sqlite3.connect(shop / ".treadle" / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        refused = [typed("ingest"), typed("run"), typed("watch", "--once")]
        shown = typed("status")

    assert [each.code for each in refused] == [5, 5, 5]
    assert all("was locked by another process for 1 s" in each.err for each in refused)
    assert shown.code == 0
    goes_on(typed, shop)


@pytest.mark.parametrize("left", [None, b"", b"no ledger at all"], ids=["gone", "empty", "damaged"])
def test_a_lost_ledger_is_not_begun_anew(shop: Path, typed: Type, left: bytes | None) -> None:
    land(shop, "b.csv", *visits(400, 50))
    ledger = shop / ".treadle" / "ledger.db"
    backup = ledger.read_bytes()
    ledger.unlink()
    if left is not None:
        ledger.write_bytes(left)

    refused = [typed("status"), typed("ingest"), typed("run"), typed("serve", "--port", "0")]
    for file in ledger.parent.glob("ledger.db*"):
        file.unlink()
    ledger.write_bytes(backup)

    assert [each.code for each in refused] == [5, 5, 5, 5]
    assert all("backup" in each.sentence for each in refused)
    goes_on(typed, shop)


def test_cut_table_files_are_said(shop: Path, typed: Type) -> None:
    for file in (shop / ".treadle" / "tables").rglob("*.parquet"):
        os.truncate(file, 100)

    refused = typed("datasets", "quarantine", "visits"), typed("run", "--force")

    assert [each.code for each in refused][1] in {4, 5}
    assert "put it back from a backup" in refused[1].err
    assert "Traceback" not in refused[1].err


def test_a_model_that_another_process_works_on_is_left_to_it(shop: Path, typed: Type) -> None:
    land(shop, "b.csv", *visits(400, 50))
    with td.open(shop) as other, other.ledger.lease("model/buys", holder="other", ttl=60, clock=other.clock):
        busy, watched = typed("run"), typed("watch", "--once")

    assert (busy.code, watched.code) == (6, 0)
    assert "is being worked on by 'other'" in busy.sentence
    goes_on(typed, shop)


# Signals


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


@contextmanager
def begun(root: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process of its own, as a terminal would; what it says goes to `said.txt`."""
    whole = [sys.executable, "-m", "treadle.app.cli.main", *command, "-C", str(root)]
    with (root / "said.txt").open("wb") as said:
        process = subprocess.Popen(whole, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


# Requests

ROWS, V2 = "/v1/endpoints/buys/predict", "/v2/models/buys/infer"
DEEP = b"[" * 100_000 + b"]" * 100_000


def tensor(**over: Any) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "pages", "shape": [1], "datatype": "INT64", "data": [3], **over}]}
    ).encode()


BAD = [
    (ROWS, b"", 400, ""),
    (ROWS, b"{", 400, ""),
    (ROWS, b"[]", 400, ""),
    (ROWS, b'{"rows": []}', 400, "rows"),
    (ROWS, b'{"rows": [{}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": 1, "x": 1}]}', 400, "rows[0].x"),
    (ROWS, b'{"row": [{"pages": 1}]}', 400, "row"),
    (ROWS, b'{"rows": [{"pages": "1"}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": NaN}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": -Infinity}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": 1e999}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": %d}]}' % 10**30, 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": %s}]}' % (b"9" * 100_000), 400, "rows[0].pages"),
    (ROWS, b'{"rows": %s}' % DEEP, 400, ""),
    (ROWS, b'{"rows": [{"pages": %s}]}' % DEEP, 400, ""),
    (ROWS, b'{"columns": {"pages": [%s1]}}' % (b"1," * 1_000_000), 413, "columns"),
    (ROWS, b'{"rows": [%s{}]}' % (b"{}," * 1_000_000), 400, "rows[0].pages"),
    (ROWS, b" " * 100_000_000, 413, ""),
    (V2, b"{", 400, ""),
    (V2, b"{}", 400, "inputs"),
    (V2, b'{"inputs": []}', 400, "pages"),
    (V2, tensor(data=["x"]), 400, "pages[0]"),
    (V2, tensor(data=[None]), 400, "pages[0]"),
    (V2, tensor(data=[10**30]), 400, "pages[0]"),
    (V2, tensor(datatype="FP64"), 400, "pages"),
    (V2, tensor(shape=[2]), 400, "pages"),
    (V2, tensor(shape=[0], data=[]), 400, "pages"),
    (V2, tensor(shape=[10**18]), 413, "pages"),
    (V2, tensor(name="page"), 400, "page"),
    (V2, tensor().replace(b"[3]", b"[NaN]"), 400, "inputs[0].data[0]"),
    (V2, tensor().replace(b"[3]", DEEP), 400, ""),
    ("/v1/endpoints/sells/predict", b'{"rows": [{"pages": 1}]}', 404, ""),
    ("/v1/nothing", b"{}", 404, ""),
    ("/livez", b"{}", 405, ""),
]


@pytest.fixture(scope="module")
def port(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    root = tmp_path_factory.mktemp("served") / "shop"
    shutil.copytree(made, root)
    (number,) = services.free_ports(1)
    with begun(root, "serve", "--port", str(number)) as process:
        wait_for(lambda: process.poll() is not None or ask(number, "/readyz")[0] == 200)
        assert process.poll() is None, (root / "said.txt").read_text()
        yield number
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert (root / "said.txt").read_text().splitlines()[1:] == []  # no request left a trace in the log


def ask(port: int, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> tuple[int, str]:
    """Ask the server; a body of pieces is sent in chunks, without saying how long it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("GET" if body is None else "POST", path, body, named)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    BAD,
    ids=[f"{n}-{path.split('/')[1]}" for n, (path, *_) in enumerate(BAD)],
)
def test_a_bad_request_is_the_callers_and_names_the_field(
    port: int, path: str, body: bytes, code: int, field: str
) -> None:
    found, said = ask(port, path, body)

    error = json.loads(said)["error"]
    assert found == code
    assert field in (error if isinstance(error, str) else error.get("field", ""))
    assert len(said) < 500
    assert ask(port, ROWS, b'{"rows": [{"pages": 3}]}')[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ((b" " * 2**20 for _ in range(100)), {}, 413),
        (gzip.compress(b" " * 2**28), {"content_encoding": "gzip"}, 413),
        (b"not gzip", {"content_encoding": "gzip"}, 400),
        (b"{}", {"content_encoding": "br"}, 400),
        (b'{"rows": [{"pages": 3}]}', {"content_type": "text/plain"}, 415),
        (b'{"rows": [{"pages": 3}]}', {"content_type": "multipart/form-data; boundary=x"}, 415),
        (b'{"rows": [{"pages": 3}]}', {"content_type": "application/json; charset=utf-8"}, 200),
        (b'{"rows": [{"pages": 3}]}', {}, 200),
    ],
    ids=["chunks", "bomb", "no-gzip", "brotli", "text", "form", "json", "nothing-said"],
)
def test_a_body_is_taken_only_as_what_it_can_be(
    port: int, body: bytes | Iterator[bytes], headers: dict[str, str], code: int
) -> None:
    assert ask(port, ROWS, body, **headers)[0] == code
    assert ask(port, "/readyz")[0] == 200
