"""Plays the year 2013: files land, a server answers, outcomes arrive later, and the policy keeps the model fresh.

    python examples/flights/demo.py                 the whole year, into examples/flights/out
    python examples/flights/demo.py --until 2013-03-31 --root /some/folder

Each day is played in this order. The day's files land and are ingested. Every flight of the day is asked about with
the features that had arrived by its own scheduled departure (a point-in-time join), hour by hour, at two endpoints of
one server process: `delay`, which the policy keeps fresh, and `frozen`, which stays at the January model. Then the
outcomes of the flights that landed are reported to both. At midnight the watcher looks whether the model is due. At the end the policy
is replayed over the year, and has to do at each of these moments what it did in life.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import replayed

import report
import treadle as td
from land import Landing
from treadle.app.cli.main import main as treadle
from treadle.core.clock import FileClock

HERE = Path(__file__).parent
MODEL, FROZEN = "delay", "frozen"
# Days are UTC: the last flights of 2013 leave New York on the first of January.
FIRST, LAST = date(2013, 2, 1), date(2014, 1, 1)
#: When after midnight a day's files land: the watcher has looked by then.
LANDING = timedelta(minutes=1)
#: Seconds that the server may take to start, and to take up a new revision.
PATIENCE = 60


class Client:
    """Talks to the prediction server over one connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def post(self, path: str, body: dict) -> dict:
        """Send JSON and return the answer; anything but 200 ends the demo.

        A connection that was idle while a model trained may have been closed. Sending again is safe: a request with
        the same `id` is logged once.
        """
        try:
            status, said = self._send(path, body)
        except ConnectionError:
            self._connection.close()
            status, said = self._send(path, body)
        if status != http.client.OK:
            msg = f"POST {path} was answered {status}: {said.decode()}"
            raise RuntimeError(msg)
        return json.loads(said)

    def _send(self, path: str, body: dict) -> tuple[int, bytes]:
        self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        return response.status, response.read()


def main() -> None:
    parser = argparse.ArgumentParser(description="Play the year 2013 of the New York flights.")
    parser.add_argument(
        "--root", type=Path, default=HERE, help="the project's folder; state and report go there"
    )
    parser.add_argument("--until", type=date.fromisoformat, default=LAST, help="the last day to play")
    chosen = parser.parse_args()
    begun = time.monotonic()
    root = prepare(chosen.root.resolve())
    play(root, until=chosen.until)
    treadle_status(root)
    print(f"\nplayed in {time.monotonic() - begun:.0f} s; report: {root / 'out' / 'report.html'}")


def prepare(root: Path) -> Path:
    """Make the folder a fresh copy of the project; what an earlier demo left there is removed."""
    for name in (".treadle", "landing", "out"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "out").mkdir(parents=True)
    for name in ("treadle.toml", "flights.py"):
        if root != HERE:
            shutil.copy(HERE / name, root / name)
    return root


def play(root: Path, *, until: date) -> None:
    """Play January at once, then every day up to `until`, and write the report."""
    clock = FileClock(root / "out" / "now")
    clock.set(midnight(FIRST))
    landing = Landing(root / "landing")
    days = landing.days()
    for day in days:
        if day < FIRST:
            landing.land(day)
    with td.open(root) as workspace:
        print("January has landed; training the first model", flush=True)
        looks = [look for look in workspace.tick() if look.model == MODEL]
        print(f"  {looks[0].turn.outcome}", flush=True)
        workspace.point(FROZEN, f"{MODEL}/1", reason="the January model, kept as it is")
        with server(root) as port:
            client = Client(port)
            looks += walk(workspace, landing, client, clock, [day for day in days if FIRST <= day <= until])
        report.write(workspace, root / "out", model=MODEL, frozen=FROZEN)
        lived = [replayed.told(look, workspace) for look in looks]
        (root / "out" / "looks.json").write_text(json.dumps(lived, indent=1))
        print(replayed.check(workspace, lived), flush=True)


def walk(workspace, landing: Landing, client: Client, clock: FileClock, days: list[date]) -> list:
    """Play days one after the other; return every look of the watcher."""
    looks = []
    revision = workspace.endpoints.get(MODEL).revision
    for number, day in enumerate(days, start=1):
        clock.set(midnight(day) + LANDING)
        landing.land(day)
        workspace.ingest()
        ask(workspace, client, clock, day)
        tell(landing, client, day)
        clock.set(midnight(day + timedelta(days=1)))
        for look in workspace.tick():
            looks.append(look)
            if look.turn is not None:
                print(f"{day}  {look.decision.reason}", flush=True)
                print(f"            {look.turn.outcome}", flush=True)
        now = workspace.endpoints.get(MODEL).revision
        if now != revision:
            workspace.endpoints.wait(MODEL, now, timeout=PATIENCE)
            revision = now
        progress(number, len(days), day)
    return looks


def ask(workspace, client: Client, clock: FileClock, day: date) -> None:
    """Ask about every flight of a day, hour by hour, with what was known at each one's scheduled departure."""
    start = midnight(day)
    window = td.Last("1d").at(start + timedelta(days=1))
    columns = list(workspace.models.get(f"{MODEL}/1").signature.names)
    known = workspace.project.dataset("flights").contract.spec().names
    schedule = workspace.datasets.read("flights", window=window, columns=known)
    rows = workspace.features(MODEL, schedule).sort("scheduled_departure")
    for (hour,), part in rows.group_by(pl.col("scheduled_departure").dt.truncate("1h"), maintain_order=True):
        clock.set(hour)
        keys = part.select("flight_id").to_dicts()
        body = {"columns": part.select(columns).to_dict(as_series=False), "keys": keys}
        for endpoint in (MODEL, FROZEN):
            client.post(f"/v1/endpoints/{endpoint}/predict", {**body, "id": f"{endpoint}-{hour:%Y%m%dT%H}"})


def tell(landing: Landing, client: Client, day: date) -> None:
    """Report the outcomes of the flights that landed on a day."""
    path = landing.folder / "arrivals" / f"{day}.csv"
    if not path.is_file():
        return
    landed = pl.read_csv(path, columns=["flight_id", "late"])
    outcomes = [{"key": {"flight_id": flight}, "value": late} for flight, late in landed.iter_rows()]
    for endpoint in (MODEL, FROZEN):
        client.post(f"/v1/endpoints/{endpoint}/outcomes", {"outcomes": outcomes, "id": f"{endpoint}-{day}"})


@contextmanager
def server(root: Path) -> Iterator[int]:
    """Run `treadle serve` as a process of its own, ready to answer; it is stopped at the end."""
    port = free_port()
    log = (root / "out" / "server.log").open("wb")
    command = [
        sys.executable,
        "-m",
        "treadle.app.cli.main",
        "serve",
        "--project",
        str(root),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_ready(process, port, log=root / "out" / "server.log")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)
        log.close()


def wait_until_ready(process: subprocess.Popen, port: int, *, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    msg = f"The server did not get ready. Its log:\n{log.read_text()}"
    raise RuntimeError(msg)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def progress(done: int, total: int, day: date) -> None:
    if sys.stderr.isatty():
        filled = 40 * done // total
        print(
            f"\r{day} [{'#' * filled}{'.' * (40 - filled)}] {done}/{total} ",
            end="",
            file=sys.stderr,
            flush=True,
        )
    elif day.day == 1:
        print(f"{day}  day {done} of {total}", flush=True)


def treadle_status(root: Path) -> None:
    print("\n$ treadle status")
    try:
        treadle(["status", "--project", str(root)])
    except SystemExit as ended:
        if ended.code:
            raise


if __name__ == "__main__":
    main()
