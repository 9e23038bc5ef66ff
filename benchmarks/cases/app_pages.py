"""Server time of every page of the dashboard at 100,000 runs, 10,000 versions and 10 M predictions; pages are found by reflection."""

from __future__ import annotations

import re
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from starlette.testclient import TestClient

import seeded
from harness import Benchmark, Reading
from treadle.app.http.application import application
from treadle.app.http.source import Source
from treadle.app.ui.page import pages
from treadle.core.records import Run, from_json
from treadle.core.settings import UiSettings
from treadle.store.ledger import tables as t

#: Asked of pages besides their plain address, where that shows another part of the data.
_MORE = {
    "/runs": ("?status=failed", "?model=late&sort=-metrics.test.candidate.log_loss", "?where=params.depth=5"),
    "/data/{dataset}": ("?tab=contract", "?tab=quarantine", "?tab=difference"),
    "/audit": ("?kind=run", "?subject=model_001"),
}
_TIMES = 3


@dataclass
class Input:
    """A client of the server, and the addresses of its pages."""

    source: Source
    client: TestClient
    addresses: list[str]

    def close(self) -> None:
        """Close the workspace."""
        self.source.close()


def prepare(folder: Path, quick: bool) -> Input:
    """Fill a project, and find the pages."""
    source = Source(seeded.make(folder, share=0.002 if quick else 1.0))
    # Without limits of how often one asks: who measures asks at once.
    app = application(source, UiSettings(rate=0.0))
    client = TestClient(app, base_url="http://localhost:8500")
    return Input(source, client, _addresses(source))


def ours(given: Input) -> Reading:
    """Ask for each page a few times; the slowest counts, and all are told beside it."""
    found = {}
    for address in given.addresses:
        taken = [_asked(given.client, address) for _ in range(_TIMES)]
        found[address] = statistics.median(taken)
    return Reading(max(found.values()), found)


def floor(given: Input) -> float:
    """Read and decode fifty runs, as many as a page of them shows."""
    began = time.perf_counter()
    with given.source().ledger.read() as connection:
        newest = select(t.runs.c.body).order_by(t.runs.c.id.desc()).limit(50)
        for body in connection.scalars(newest):
            from_json(body, Run)
    return (time.perf_counter() - began) * 1000


def _asked(client: TestClient, address: str) -> float:
    began = time.perf_counter()
    answer = client.get(address)
    taken = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    return taken


def _addresses(source: Source) -> list[str]:
    """Return an address for each page; what is in braces is filled with the newest thing that there is."""
    workspace = source()
    prediction = workspace.predictions.scan("late").select("prediction_id").head(1).collect().item()
    examples = {
        "model": "late",
        "endpoint": "late",
        "dataset": "flights",
        "run": workspace.runs.list(model="late", limit=1)[0].id,
        "version": str(workspace.models.get("late@champion").version),
        "alert": workspace.alerts.history(limit=1)[0].id,
    }
    found = [f"/lineage?prediction={prediction}"]
    for page in pages():
        names = re.findall(r"\{(\w+)\}", page.path)
        if all(name in examples for name in names):
            plain = page.path.format_map(examples)
            found += [plain, *(plain + more for more in _MORE.get(page.path, ()))]
        else:  # of a kind of thing that the project has not, as a feature view
            print(f"  {page.path} is not measured", file=sys.stderr)
    return found


BENCHMARK = Benchmark(
    title="the slowest page of the dashboard at 100,000 runs, 10,000 versions, 10 M predictions",
    unit="ms",
    prepare=prepare,
    ours=ours,
    floor=floor,
    limit=300,
)
