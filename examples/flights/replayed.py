"""Compares the year that was lived with its replay: every look of the watcher, whether or not it trained.

python examples/flights/replayed.py             after the demo: replays what examples/flights/out/looks.json tells
python examples/flights/replayed.py --grid      also twelve policies side by side, as a page beside the report
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime, timedelta
from pathlib import Path

import treadle as td
from treadle.app.replayed.page import page

HERE = Path(__file__).parent
MODEL = "delay"
#: Digits to which two numbers of a verdict agree: in life the packaged model answered, in the replay the estimator itself.
DIGITS = 6


def told(look, workspace) -> dict:
    """Return one look of the watcher as plain values."""
    said, turn = look.decision, look.turn
    found = {"at": said.at.isoformat(), "due": said.due, "reason": said.reason}
    if turn is not None:
        run = turn.run
        found |= {
            "data_version": run.data[workspace.project.model(MODEL).data.name],
            "window": edges(run.window),
            "passed": run.status == "succeeded",
            "verdicts": [verdict(one) for one in turn.verdicts],
        }
    return found


def replayed(workspace, *, since: datetime, until: datetime, plan=None) -> list[dict]:
    """Return the looks of a replay in the same shape."""
    found = workspace.replay(MODEL, plan, since=since - timedelta(days=1), until=until)
    trainings = {training.at: training for training in found.trainings}
    looks = []
    for said in found.decisions:
        look = {"at": said.at.isoformat(), "due": said.due, "reason": said.reason}
        if said.at in trainings:
            made = trainings[said.at]
            look |= {
                "data_version": made.data_version,
                "window": edges(made.window),
                "passed": made.passed,
                "verdicts": [verdict(one) for one in made.verdicts],
            }
        looks.append(look)
    return looks


def edges(window) -> list:
    return [window.start.isoformat() if window.start else None, window.end.isoformat(), window.half_life]


def verdict(one) -> dict:
    numbers = {
        "candidate": one.candidate_value,
        "reference": one.reference_value,
        "low": one.low,
        "high": one.high,
    }
    rounded = {name: None if value is None else round(value, DIGITS) for name, value in numbers.items()}
    return {"gate": one.gate, "metric": one.metric, "passed": one.passed, "n": one.n, **rounded}


def compare(lived: list[dict], again: list[dict]) -> tuple[int, list[str]]:
    """Return how many looks of both were compared, and what differs, as sentences."""
    there, wrong = {look["at"]: look for look in again}, []
    both = [look for look in lived if look["at"] in there]
    for look in both:
        other = there[look["at"]]
        wrong += [
            f"{look['at']} {name}: lived {look.get(name)}, replayed {other.get(name)}"
            for name in sorted({*look, *other})
            if look.get(name) != other.get(name)
        ]
    return len(both), wrong


def check(workspace, lived: list[dict]) -> str:
    """Replay the policy that was lived by, and return in one sentence that it did the same.

    Raises:
        SystemExit: it did not; the message says where.
    """
    first, last = (datetime.fromisoformat(look["at"]) for look in (lived[0], lived[-1]))
    begun = time.monotonic()
    count, wrong = compare(lived, replayed(workspace, since=first, until=last))
    # What came after the last row that has an outcome is no part of the history.
    if wrong or count < len(lived) - 2:
        raise SystemExit(
            "The replay did otherwise than life:\n" + "\n".join(wrong or [f"{count} of {len(lived)} looks"])
        )
    fired = sum(look["due"] for look in lived)
    return (
        f"replayed in {time.monotonic() - begun:.0f} s: {count} of {len(lived)} looks compared, {fired} of them trained; "
        "moments, reasons, dataset versions, windows and verdicts are the same"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the year that was lived with its replay.")
    parser.add_argument("--root", type=Path, default=HERE, help="the project's folder")
    parser.add_argument(
        "--grid", action="store_true", help="also replay twelve policies, and write out/policies.html"
    )
    chosen = parser.parse_args()
    out = chosen.root / "out"
    with td.open(chosen.root) as workspace:
        print(check(workspace, json.loads((out / "looks.json").read_text())))
        if chosen.grid:
            begun = time.monotonic()
            found = workspace.replay_grid(MODEL)
            (out / "policies.html").write_text(page(found), encoding="utf-8")
            print(
                f"{len(found.policies)} policies in {time.monotonic() - begun:.0f} s: {out / 'policies.html'}"
            )
            print(f"take: {found.recommended} – {found.reason}")


if __name__ == "__main__":
    main()
