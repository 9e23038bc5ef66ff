"""A tiny project whose model is found by a search; see `tiny` for its rows."""

from __future__ import annotations

from pathlib import Path

import tiny

_MODEL = '''
import json


def begin(run, what, **more):
    line = json.dumps({"trial": run.trial, "attempt": run.attempt, "what": what, "at": time.time_ns() // 1000, **more})
    handle = os.open(HERE / "trials.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(handle, line.encode() + b"\\n")
    os.close(handle)


def steps(run, most, seconds=0.0):
    """Yield the steps that are left; each is noted, saved and reported."""
    state = run.checkpoint() or {"step": 0}
    for step in range(int(state["step"]), most):
        begin(run, "step", step=step)
        time.sleep(seconds)
        yield step
        run.save_checkpoint({"step": step + 1})


@td.model(
    data=visits,
    target="bought",
    inputs=["pages", "minutes"],
    task=td.Classification(),
    baselines=[td.baselines.Prior(by="shop")],
    gates=[td.gates.Beats("baseline")],
    seed=3,
    timeout="TIMEOUT",
    search=SEARCH,
)
def seeks(data, params, run):
    from sklearn.linear_model import LogisticRegression

    begin(run, "begun", rows=len(data.train), scored=len(data.validation), params=params)
BODY
    fitted = LogisticRegression(random_state=run.seed, C=params.get("c", 1.0)).fit(data.train.X, data.train.y)
    run.log_metric("rows", len(data.train))
    begin(run, "done")
    return fitted
'''


def make(root: Path, search: str, *, body: str = "", timeout: str = "1m", rows: int = 2000) -> Path:
    """Write the project with a search (Python code) and more lines for the training function, and return its folder."""
    tiny.make(root, rows=rows)
    file = root / "project.py"
    text = _MODEL.replace("SEARCH", search).replace("TIMEOUT", timeout)
    lines = "\n".join(f"    {line}" for line in body.splitlines()) or "    pass"
    head = file.read_text().partition("@td.model(")[0]
    file.write_text(head + text.replace("BODY", lines))
    return root
