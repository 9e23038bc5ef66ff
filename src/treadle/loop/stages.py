"""The steps of one run as a graph: what was done, what was kept from before, what is under way. Pure, from records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from treadle.core.records import Record, Run, StepResult, Verdict

#: `kept`: an earlier run had done it; `waiting`: it was not begun yet; `left out`: it was never begun.
State = Literal["done", "kept", "running", "failed", "waiting", "left out"]


class Stage(Record, frozen=True, kw_only=True):
    """One step of a run."""

    name: str
    state: State
    #: How long it took; None: that is not on record.
    took: timedelta | None = None
    #: What it came to, in words.
    said: str = ""
    #: The stages that it goes on from.
    after: tuple[str, ...] = ()


def stages(run: Run, results: Sequence[StepResult], verdicts: Sequence[Verdict]) -> list[Stage]:
    """Return the stages of a run, in the order in which they are done: ingest, plan, train, register, judge, release."""
    by_name = {one.step: one for one in results}
    trained, turned = by_name.get("train"), by_name.get("turn")
    made = run.model_version is not None
    data = ", ".join(f"{name} {number}" for name, number in run.data.items())
    found = [
        Stage(name="ingest", state="done", said=data),
        Stage(name="plan", state="done", said=_window(run), after=("ingest",)),
        _train(run, trained, made=made or bool(verdicts)),
    ]
    known = made or bool(verdicts)
    number = f"version {run.model_version}" if made else ""
    ahead = _ahead(run, begun=trained is not None)
    found.append(
        Stage(
            name="register", state="done" if known else ahead, said=number if known else "", after=("train",)
        )
    )
    passed = sum(verdict.passed for verdict in verdicts)
    said = f"{passed} of {len(verdicts)} gates passed" if verdicts else "no gates" if turned else ""
    judged = "done" if verdicts or turned else _ahead(run, begun=known)
    found.append(Stage(name="judge", state=judged, said=said, after=("register",)))
    outcome = str(turned.value.get("outcome", "")) if turned else ""
    released = "done" if turned else _ahead(run, begun=False)
    return [*found, Stage(name="release", state=released, said=outcome, after=("judge",))]


def _train(run: Run, trained: StepResult | None, *, made: bool) -> Stage:
    if trained is not None:
        rows = trained.value.get("rows")
        said = f"{rows:,} rows" if isinstance(rows, int) else ""
        took = trained.finished_at - trained.started_at
        return Stage(name="train", state="done", took=took, said=said, after=("plan",))
    if made:
        return Stage(name="train", state="kept", said="an earlier run had trained it", after=("plan",))
    state: State = {"running": "running", "failed": "failed"}.get(run.status, "done")  # type: ignore[assignment] # the values are states
    return Stage(name="train", state=state, after=("plan",))


def _ahead(run: Run, *, begun: bool) -> State:
    """Return the state of a stage that has left nothing yet."""
    if run.status == "running":
        return "running" if begun else "waiting"
    return "failed" if begun and run.status == "failed" else "left out"


def _window(run: Run) -> str:
    if run.window is None:
        return "all rows"
    start = f"{run.window.start:%Y-%m-%d}" if run.window.start else "the beginning"
    return f"{start} to {run.window.end:%Y-%m-%d}"
