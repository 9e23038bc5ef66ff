"""A server over fake models, wired as the front door wires the real one; run as a program by the tests."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from treadle.core.clock import SystemClock
from treadle.core.errors import PackageRefused
from treadle.core.records import Variant
from treadle.core.settings import ServingSettings, child_environment
from treadle.core.signature import Field, Signature
from treadle.serving import courier
from treadle.serving.assembly import application
from treadle.serving.endpoints import Endpoints
from treadle.serving.server import Application
from treadle.serving.shipping_process import ShippingProcess
from treadle.serving.supervisor import serve
from treadle.store.ledger.ledger import Ledger

#: Said to this program where it is to be the process that ships the log.
SHIPS = "--ship"
SIGNATURE = Signature(
    inputs=(
        Field(name="distance", kind="integer"),
        Field(name="temp", kind="float", nullable=True),
        Field(name="carrier", kind="category", levels=("AA", "UA")),
    ),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)


class FakeModel:
    """Answers with a probability that names its version: version / 1000; `how` says what else it does."""

    def __init__(self, version: int, *, answers: int | None = None, how=None) -> None:
        self.signature = SIGNATURE
        self._version, self._answers, self._how = version, answers, how or {}
        self._random, self._kept = random.Random(version), []

    def predict(self, columns):
        if self._answers == 0:
            raise RuntimeError("the weights are not there")
        rows = len(columns["distance"])
        if (columns["distance"] == self._how.get("abort_at")).any():
            os.abort()
        if self._how.get("seconds") and columns["distance"][0]:
            time.sleep(self._how["seconds"])
        if columns["distance"][0] == self._how.get("gorges_at"):
            self._kept.append(b"x" * 2**30)
        while columns["distance"][0] == 1 and Path(self._how.get("holds", "/dev/null/none")).exists():
            time.sleep(0.01)
        if self._how.get("busy") and columns["distance"][0]:
            end = time.perf_counter() + self._how["busy"]
            while time.perf_counter() < end:
                pass
        if columns["distance"][0] and self._random.random() < self._how.get("fails", 0):
            raise RuntimeError("no such leaf")
        if columns["distance"][0] and self._how.get("hangs"):
            time.sleep(3_600)
        if columns["distance"][0]:
            self._kept.append(b"x" * self._how.get("leaks", 0))
        if self._how.get("calls"):
            with Path(self._how["calls"]).open("a") as calls:
                calls.write("".join(f"{d}\n" for d in columns["distance"].tolist()))
        probability = np.full(rows, self._how.get("says", self._version / 1000))
        return {"prediction": columns["distance"] > 1000, "probability": probability}


class OnnxModel:
    """A logistic regression of distance and temp in ONNX Runtime."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self.signature = SIGNATURE
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def predict(self, columns):
        inputs = np.column_stack([columns["distance"].astype(np.float32), columns["temp"]])
        label, probability = self._session.run(None, {"inputs": inputs})
        return {"prediction": label.astype(bool), "probability": probability[:, 1].astype(np.float64)}


class FakeLoader:
    """Loads fake models; `models/<model>-<version>.json` may say in which way one is broken, `.onnx` is a real one."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, variant: Variant) -> FakeModel:
        try:
            how = json.loads((self._root / "models" / f"{variant.model}-{variant.version}.json").read_text())
        except FileNotFoundError:
            how = {}
        broken = how.get("broken")
        if broken == "truncated":
            json.loads("{")
        if broken == "digest":
            raise PackageRefused("model.onnx has the digest sha256:1, the manifest says sha256:2")
        if broken == "raises":
            raise ValueError("no such operator")
        packaged = self._root / "models" / f"{variant.model}-{variant.version}.onnx"
        if packaged.exists():
            return OnnxModel(packaged)
        return FakeModel(variant.version, answers=0 if broken == "warm" else None, how=how)


def open_tables(url: str, root: Path, options: dict[str, str] | None):
    from treadle.store.tables.tables import Tables

    return Tables.open(url, root=root, options=options or {})


def build(
    root: Path,
    settings: ServingSettings,
    ledger: str = "sqlite:///ledger.db",
    tables: str = "tables",
    store: dict[str, str] | None = None,
    *,
    ships: bool = True,
) -> Application:
    """Wire an application; `ledger` and `tables` are addresses, `store` the `AWS_*` options of the tables."""
    opened = partial(open_tables, tables, root, store)
    clock = SystemClock()
    return application(
        root,
        Endpoints(Ledger.open(ledger, root=root, timeout=3), clock),
        loader=FakeLoader(root),
        tables=opened if ships else None,
        settings=settings,
        clock=clock,
    )


def main() -> None:
    root, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    if options.pop("fails", False):
        serve(ServingSettings(**options), factory=partial(sys.exit, "error: there is nothing to serve with"))
    places = {name: options.pop(name) for name in ("ledger", "tables", "store") if name in options}
    if SHIPS in sys.argv:
        options, url = places.get("store", {}), places.get("tables", "tables")
        courier.run(courier.Courier(root, lambda: open_tables(url, root, options), interval=0.5))
    settings = ServingSettings(**{"drain_wait": 0.0, **options})
    shipping = ShippingProcess([sys.executable, *sys.argv, SHIPS], environment=child_environment({}))
    serve(settings, factory=partial(build, root, settings, **places, ships=False), shipping=shipping)


if __name__ == "__main__":
    main()
