"""Fault 5: bad deployments. Versions that pass their gates fail, are slow, or are worse in traffic, and guards take them back.

    python examples/faults/deployment.py       about three minutes; writes examples/faults/out/deployment.png and .json

A real server answers real traffic all the time, a real watcher trains and moves rollouts on, and each deployment asks for
its training by an HTTP call, as a pipeline would.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import story
from world import FLIGHTS, HERE, SECRET, Plan, Receiver, days, flights, land

import treadle as td

sys.path.insert(0, str(FLIGHTS))
from demo import free_port, wait_until_ready

FIRST, LAST = date(2013, 6, 1), date(2013, 6, 20)
#: Requests a second at most, from so many connections.
RATE, CONNECTIONS = 80, 4
#: Seconds whose answers are one point of the picture.
BIN = 10
#: Seconds that a training and a rollout may take together.
PATIENCE = 400
#: recipe → what is wrong with it, and the guards that may say so first.
BAD = {
    "strict": ("it refuses a code that three airlines share since yesterday", {"errors", "latency"}),
    "slow": ("it answers in Python, a thousand times slower", {"latency"}),
    "boards": ("it uses values that callers do not send", {"outcome"}),
}
GOOD = "more"


@dataclass
class Traffic:
    """Flights that are asked about all the time, and what became of each request."""

    port: int
    token: str
    rows: list[dict[str, Any]]
    seen: list[tuple[float, int, int, float, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask as long as the block lasts."""
        numbers = itertools.count()
        threads = [threading.Thread(target=self._ask, args=(numbers,)) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, numbers: Iterator[int]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self._stop.wait(CONNECTIONS / RATE):
            number = next(numbers)
            row = self.rows[number % len(self.rows)]
            body = {"rows": [row["sent"]], "id": f"r{number}", "subject": f"s{number}"}
            begun = time.time()
            try:
                status, told = post(connection, "/v1/endpoints/delay/predict", body, token=self.token)
                if status != http.client.OK:
                    self.failed.append(f"{status}: {told}")
                    continue
                sure = min(max(told["predictions"][0]["probability"], 1e-9), 1 - 1e-9)
                loss = -pl.select(pl.lit(sure if row["late"] else 1 - sure).log()).item()
                took = time.time() - begun
                self.seen.append((begun, told["version"], told["predictions"][0]["prediction"], took, loss))
                outcome = {"prediction_id": told["predictions"][0]["prediction_id"], "value": row["late"]}
                post(connection, "/v1/endpoints/delay/outcomes", {"outcomes": [outcome]}, token=self.token)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()


def post(
    connection: http.client.HTTPConnection, path: str, body: dict[str, Any], *, token: str
) -> tuple[int, Any]:
    """Send JSON and return status and answer."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read() or b"{}")


def prepare(root: Path) -> None:
    """Make the project, with its flights landed and the first recipe."""
    shutil.copy(HERE / "projects" / "deployment.py", root / "project.py")
    shutil.copy(FLIGHTS / "flights.py", root / "flights.py")
    (root / "treadle.toml").write_text('[project]\nname = "faults"\n')
    (root / "recipe.txt").write_text("plain")
    plan = Plan(project="deployment", model="delay", history=FIRST, first=FIRST, last=LAST, broken=FIRST)
    for day in days(FIRST, LAST):
        land(root, flights(), day, plan)


def questions(workspace: Any) -> list[dict[str, Any]]:
    """Return test rows, which no version has learnt from, as callers send them: three airlines share a new code, and boards are not connected."""
    rows = workspace.datasets.read("flights", split="test").drop_nulls("late")
    rows = workspace.features("delay", rows).sort("flight_id").sample(fraction=1, shuffle=True, seed=7)
    names = list(workspace.models.get("delay/1").signature.names)
    told = rows.with_columns(
        carrier=pl.when(pl.col("carrier").is_in(["B6", "EV", "UA"]))
        .then(pl.lit("JB"))
        .otherwise(pl.col("carrier")),
        landed=pl.lit(None, pl.Int64),
        mean_delay=pl.lit(None, pl.Float64),
        late_share=pl.lit(None, pl.Float64),
    )
    sent = told.select(names).to_dicts()
    return [{"sent": one, "late": late} for one, late in zip(sent, rows["late"], strict=True)]


@contextmanager
def process(root: Path, *command: str, name: str) -> Iterator[subprocess.Popen]:
    """Run a command of Treadle as a process of its own; it is ended after the block."""
    log = (root / f"{name}.log").open("wb")
    words = [sys.executable, "-m", "treadle.app.cli.main", *command, "--project", str(root)]
    found = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield found
    finally:
        found.terminate()
        found.wait(timeout=60)
        log.close()


def deploy(workspace: Any, root: Path, recipe: str, *, port: int, token: str) -> dict[str, Any]:
    """Change the recipe, ask for a training over HTTP, and wait until its rollout has ended."""
    begun = datetime.now(UTC)
    (root / "recipe.txt").write_text(recipe)
    asked = {"reason": f"deploy {recipe}", "id": f"deploy-{recipe}"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = [post(connection, "/v1/models/delay/requests", asked, token=token) for _ in range(2)]
    before = {state.id for state in workspace.rollouts.list()}
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        fresh = [one for one in workspace.rollouts.list() if one.id not in before]
        if fresh and fresh[0].status not in {"running", "paused"}:
            run = workspace.runs.list(model="delay", limit=1)[0]
            verdicts = [verdict.reason for verdict in workspace.verdicts.list(run=run.id)]
            return {
                "recipe": recipe,
                "begun": begun,
                "sent": sent,
                "state": fresh[0],
                "run": run,
                "verdicts": verdicts,
            }
        time.sleep(0.2)
    msg = f"The rollout of {recipe!r} did not end within {PATIENCE} s:\n{(root / 'watch.log').read_text()[-2000:]}"
    raise story.Unexpected(msg)


def tell(chosen: argparse.Namespace, work: Path) -> None:
    """Play it, make sure of each stage, and write the report."""
    prepare(work)
    recipes = ["strict", GOOD] if chosen.short else [*BAD, GOOD]
    with ExitStack() as opened:
        receiver = opened.enter_context(Receiver())
        os.environ |= {"TREADLE_ALERTS__WEBHOOK": receiver.url, "TREADLE_ALERTS__SECRET": SECRET}
        workspace = opened.enter_context(td.open(work))
        print(workspace.run("delay", reason="the first model").outcome, flush=True)
        made = {
            name: token(work, name, *scopes)
            for name, scopes in (("ci", ["train"]), ("callers", ["predict", "outcome"]))
        }
        port = free_port()
        server = opened.enter_context(process(work, "serve", "--port", str(port), name="serve"))
        wait_until_ready(server, port, log=work / "serve.log")
        opened.enter_context(process(work, "watch", "--interval", "1s", name="watch"))
        traffic = Traffic(port, made["callers"], questions(workspace))
        opened.enter_context(traffic.running())
        time.sleep(3)
        done = []
        for recipe in recipes:
            done.append(deploy(workspace, work, recipe, port=port, token=made["ci"]))
            last = done[-1]["state"].history[-1]
            print(f"{recipe}: {last.what} by {last.actor}: {last.reason}", flush=True)
            time.sleep(4)
        told = judge(workspace, done, receiver, traffic)
    write(told, done, receiver, traffic, chosen.out)


def token(root: Path, name: str, *scopes: str) -> str:
    """Make a token by the command line."""
    words = [sys.executable, "-m", "treadle.app.cli.main", "tokens", "create", name, "--project", str(root)]
    words += [word for scope in scopes for word in ("--scope", scope)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]


def judge(workspace: Any, done: list[dict[str, Any]], receiver: Receiver, traffic: Traffic) -> story.Story:
    """Make sure of each stage."""
    told = story.Story(
        "deployment",
        "Deployments that pass their gates and are bad in traffic are taken back by guards",
        done[0]["begun"],
    )
    for one in done:
        recipe, state, last = one["recipe"], one["state"], one["state"].history[-1]
        rollout = (state.history[-1].at - state.started_at).total_seconds()
        what, guards = BAD.get(recipe, ("nothing is wrong with it", set()))
        told.stage(f"cause ({recipe})", one["begun"], f"{what}; asked for over HTTP: {one['sent'][0]}")
        (status, first), (_, again) = one["sent"]
        told.expect(status in {200, 202} and first["id"] == again["id"], "the call sent twice is one request")
        told.expect(one["run"].status == "succeeded", f"its gates let it pass: {' '.join(one['verdicts'])}")
        shown = [tale for tale in receiver.of("rollout") if f"delay/{state.challenger.version} " in tale.text]
        took = {"rollout_seconds": round(rollout, 1), "ended_by": last.actor, "reason": last.reason}
        told.numbers[recipe] = took
        if recipe != GOOD:
            told.stage(
                f"action ({recipe})",
                last.at,
                f"{last.what} by {last.actor} after {rollout:.0f} s: {last.reason}",
            )
            told.expect(
                last.actor.removeprefix("guard ") in guards,
                f"one of the guards {sorted(guards)} took it back",
            )
            told.expect(len(shown) == 1, "a person was paged, once")
            told.stage(f"alert ({recipe})", shown[0].at, shown[0].text)
        else:
            told.stage("recovery", last.at, f"{last.what} by {last.actor}: {last.reason}")
            told.expect(
                state.status == "promoted" and not shown,
                "a good version is promoted, and raises no alert (the control)",
            )
    open_now = [alert.rule for alert in workspace.alerts.open()]
    told.expect("rollout" not in open_now, "the page has ended by itself")
    told.numbers["requests"], told.numbers["failed"] = len(traffic.seen), len(traffic.failed)
    told.expect(
        len(traffic.seen) > 200 and not traffic.failed,
        f"of {len(traffic.seen):,} requests none failed {traffic.failed[:2]}",
    )
    return told


def write(
    told: story.Story, done: list[dict[str, Any]], receiver: Receiver, traffic: Traffic, out: Path
) -> None:
    """Write the picture and the report."""
    figure = picture(told, done, receiver, traffic)
    for kind in ("svg", "png"):
        figure.savefig(out / f"{told.name}.{kind}", dpi=120)
    found = {"name": told.name, "title": told.title, "stages": told.stages, "numbers": told.numbers}
    (out / f"{told.name}.json").write_text(json.dumps(found, indent=2, default=str))
    print(f"\nreport: {out / told.name}.json, picture: {out / told.name}.png", flush=True)


def picture(told: story.Story, done: list[dict[str, Any]], receiver: Receiver, traffic: Traffic) -> Any:
    """Draw who answered, how long it took, how good it was, and the rollouts with their ends."""
    plt = story.plt
    names = ["at", "version", "prediction", "took", "loss"]
    rows = pl.DataFrame(sorted(traffic.seen), schema=names, orient="row").with_columns(
        pl.col("at") - traffic.seen[0][0]
    )
    start = traffic.seen[0][0]
    figure, axes = plt.subplots(
        4, 1, figsize=(11, 8.5), height_ratios=[2, 2, 2, 1.6], sharex=True, layout="constrained"
    )
    colours = dict(
        zip(
            sorted(set(rows["version"])),
            ["#1a6b8f", "#b3432b", "#c9a227", "#7b4ea3", "#2c7a4b"],
            strict=False,
        )
    )
    ended = {one["state"].challenger.version: one["recipe"] for one in done} | {1: "plain"}
    for version, part in rows.group_by("version", maintain_order=True):
        colour, name = colours[version[0]], f"version {version[0]} ({ended.get(version[0], '')})"
        by = (
            part.with_columns(pl.col("at") // BIN * BIN)
            .group_by("at")
            .agg(
                pl.len() / BIN,
                took=pl.col("took").median() * 1000,
                loss=pl.col("loss").mean(),
                half=1.96 * pl.col("loss").std() / pl.len().sqrt(),
            )
            .sort("at")
        )
        axes[0].plot(by["at"] + BIN / 2, by["len"], ".-", color=colour, label=name)
        axes[1].plot(by["at"] + BIN / 2, by["took"], ".-", color=colour)
        axes[2].errorbar(
            by["at"] + BIN / 2, by["loss"], yerr=by["half"], fmt=".-", color=colour, alpha=0.8, linewidth=1
        )
    axes[0].set_title(told.title, loc="left", fontsize=12, pad=22)
    axes[0].set_ylabel("answers\na second")
    axes[0].legend(frameon=False, fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 0.98))
    axes[1].set_ylabel("median time,\nms")
    axes[1].set_yscale("log")
    axes[2].set_ylabel(f"log loss by {BIN} s,\n95 % interval")
    axes[2].set_ylim(0, 1.2)
    labels = []
    for one in done:
        state = one["state"]
        labels.append(f"rollout of {state.challenger.version} ({one['recipe']})")
        left, right = state.started_at.timestamp() - start, state.history[-1].at.timestamp() - start
        axes[3].barh(
            len(labels) - 1,
            max(right - left, 0.5),
            left=left,
            height=0.5,
            color=colours.get(state.challenger.version, "#888"),
        )
        axes[3].text(
            right + 1,
            len(labels) - 1,
            f" {state.history[-1].what} by {state.history[-1].actor}",
            va="center",
            fontsize=8,
        )
    labels.append("alert rollout (page)")
    for one in receiver.of("rollout"):
        until = one.resolved_at.timestamp() - start if one.resolved_at else rows["at"].max()
        axes[3].barh(
            len(labels) - 1,
            until - (one.at.timestamp() - start),
            left=one.at.timestamp() - start,
            height=0.5,
            color="#b3261e",
        )
    axes[3].set_yticks(range(len(labels)), labels, fontsize=9)
    axes[3].invert_yaxis()
    axes[3].set_xlabel("seconds")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    story.run(__doc__.partition("\n")[0], tell)
