"""What a worker's parts say of themselves when somebody looks, as metrics; nothing is counted for it meanwhile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from treadle.serving.admission import Admission
from treadle.serving.dataplane import Dataplane
from treadle.serving.log import PredictionLog
from treadle.serving.seats import Board
from treadle.serving.telemetry import Family

Values = Mapping[tuple[tuple[str, str], ...], float]

_REASONS = ("busy", "bytes", "deadline", "gone", "slow")


def observed(
    admission: Admission, log: PredictionLog, plane: Dataplane, *, board: Board | None, follows: bool
) -> list[Family]:
    """Return the state of a worker; `follows`: it reads new revisions."""
    rejected: Values = {(("reason", reason),): float(admission.rejected[reason]) for reason in _REASONS}
    loaded: Values = {(("endpoint", name),): float(len(found.ready)) for name, found in plane.loaded.items()}
    memory, files, threads = _process()
    return [
        _gauge("treadle_requests_in_flight", "Requests under way.", admission.in_flight),
        _gauge("treadle_request_bytes_in_flight", "Bytes of large bodies in memory.", admission.held),
        _family("treadle_requests_rejected", "Requests given up, by reason.", "counter", rejected),
        _family("treadle_versions_loaded", "Model versions in memory.", "gauge", loaded),
        _counter("treadle_model_loads", "Model versions that were loaded.", plane.loads),
        _counter("treadle_model_load_failures", "Tries to load a revision that failed.", plane.failed_loads),
        _gauge("treadle_ledger_reachable", "1: new revisions are read.", follows),
        _gauge(
            "treadle_log_lag_seconds", "Age of the oldest complete segment that is not in tables.", log.lag
        ),
        _counter("treadle_log_left_out", "Requests that were not in the sample.", log.left_out),
        *_on_demand(plane),
        _gauge("treadle_resident_memory_bytes", "Memory of the workers.", memory),
        _gauge("treadle_open_files", "Open files and connections.", files),
        _gauge("treadle_threads", "Threads.", threads),
        _gauge("treadle_workers", "Workers that take requests.", 1),
        _counter("treadle_worker_deaths", "Workers that ended by themselves.", board.deaths if board else 0),
    ]


def _on_demand(plane: Dataplane) -> list[Family]:
    """Return what on-demand features cost and how they fail, by endpoint and version; nothing where there are none."""
    counts: dict[str, dict[tuple[tuple[str, str], ...], float]] = {
        "rows": {},
        "seconds": {},
        "failures": {},
        "late": {},
    }
    for endpoint, found in plane.loaded.items():
        for (model, version), ready in found.ready.items():
            line = getattr(ready.reader, "line", None)
            if line is None:
                continue
            labels = (("endpoint", endpoint), ("model", model), ("version", str(version)))
            for what, values in counts.items():
                values[labels] = float(getattr(line, what))
    if not counts["rows"]:
        return []
    about = {
        "rows": "Rows whose on-demand features were computed.",
        "seconds": "Time of the processor that computing them took.",
        "failures": "Rows for which computing them failed.",
        "late": "Requests that were answered or refused before they were computed.",
    }
    return [
        _family(f"treadle_on_demand_{what}", about[what], "counter", values)
        for what, values in counts.items()
    ]


def _gauge(name: str, about: str, value: float) -> Family:
    return _family(name, about, "gauge", {(): float(value)})


def _counter(name: str, about: str, value: float) -> Family:
    return _family(name, about, "counter", {(): float(value)})


def _family(name: str, about: str, kind: str, values: Mapping[tuple[tuple[str, str], ...], float]) -> Family:
    sample = f"{name}_total" if kind == "counter" else name
    return Family(name, about, kind, [(sample, labels, value) for labels, value in values.items()])


def _process() -> tuple[int, int, int]:
    """Return bytes of memory, open files and threads of this process; zeros where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        status = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd")), int(status[17])  # noqa: PTH208
    except OSError:
        return 0, 0, 0
