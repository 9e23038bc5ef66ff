"""Half an hour at 70 % of what a server can do: does memory grow, do answers take longer? Prints a table and draws a plot.

    python benchmarks/soak.py --minutes 30 --share 0.7 --plot soak.svg

How much the server can do is measured first. Then requests begin at a fixed rate, whether the ones before have been
answered or not, so that a server that falls behind is seen to. Exit status 1: memory or latency have grown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import http.client

import numpy as np

import project
from load import Server, free_port

PATH, BODY = "/v1/endpoints/late/predict", json.dumps({"rows": [project.ROW]}).encode()
#: The part of a run in which caches fill; and what growth in the rest counts.
WARM, MEGABYTES_A_MINUTE, SLOWER = 0.2, 1.0, 1.5


@dataclass
class Seen:
    """What was seen, one entry for each span of time."""

    span: float
    minutes: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    failed: int = 0

    def slope(self) -> float:
        """Return by how many megabytes a minute memory grows once caches are full."""
        rest = [i for i, minute in enumerate(self.minutes) if minute >= WARM * self.minutes[-1]]
        return float(np.polyfit([self.minutes[i] for i in rest], [self.megabytes[i] for i in rest], 1)[0])

    def slower(self) -> float:
        """Return how p99 of the last third compares with that of the second."""
        third = len(self.p99) // 3
        return float(np.median(self.p99[-third:]) / np.median(self.p99[third : 2 * third]))


class Callers:
    """Threads that each begin a request at fixed moments."""

    def __init__(self, port: int, *, rate: float, threads: int) -> None:
        self._port, self._each = port, threads / rate
        self._lock, self._waits, self.failed = threading.Lock(), [], 0
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number * self._each / threads,), daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def taken(self) -> list[float]:
        """Return how long requests took since the last call, each from the moment at which it was due."""
        with self._lock:
            found, self._waits = self._waits, []
        return found

    def close(self) -> None:
        """Wait until nothing is in flight."""
        self._end.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, after: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        due = time.monotonic() + after
        while not self._end.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                connection.request("POST", PATH, BODY, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                fine = answer.status == 200
            except (OSError, http.client.HTTPException):
                fine = False
                connection.close()
            with self._lock:
                self._waits.append(time.monotonic() - due)
                self.failed += not fine
            due += self._each


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--share", type=float, default=0.7, help="of what these callers and the server can do together"
    )
    parser.add_argument("--plot", type=Path, default=Path("soak.svg"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="treadle-soak-") as folder:
        root, port = Path(folder), free_port()
        project.make(root, rows=20_000)
        server = Server(
            [*project.TREADLE, "serve", "--port", str(port)], port=port, ready="/readyz", cwd=root, env={}
        )
        try:
            seen = _soaked(server, chosen.minutes, chosen.share)
        finally:
            server.close()
    _draw(seen, chosen.plot)
    slope, slower = seen.slope(), seen.slower()
    print(
        f"memory {slope:+.2f} MB a minute, p99 of the last third {slower:.2f} times that of the second, {seen.failed} failed"
    )
    return int(slope > MEGABYTES_A_MINUTE or slower > SLOWER or seen.failed > 0)


def _soaked(server: Server, minutes: float, share: float) -> Seen:
    # What the same callers reach when each begins as soon as it has its answer.
    greedy = Callers(server.port, rate=1e9, threads=8)
    time.sleep(6)
    capacity = len(greedy.taken()) / 6
    greedy.close()
    span = max(5.0, minutes * 60 / 60)
    seen = Seen(span)
    callers = Callers(server.port, rate=capacity * share, threads=8)
    print(
        f"{capacity:,.0f} requests a second are what it can do with these callers; {capacity * share:,.0f} are sent"
    )
    began = time.monotonic()
    while (passed := time.monotonic() - began) < minutes * 60:
        time.sleep(min(span, max(0.1, minutes * 60 - passed)))
        _note(seen, server, callers.taken(), (time.monotonic() - began) / 60)
    callers.close()
    seen.failed = callers.failed
    return seen


def _note(seen: Seen, server: Server, waits: Sequence[float], minutes: float) -> None:
    largest = max(server.folders(), key=lambda folder: _threads(folder))
    seen.minutes.append(minutes)
    seen.megabytes.append(server.memory())
    seen.p99.append(float(np.quantile(waits, 0.99)) * 1e3 if waits else float("nan"))
    seen.rate.append(len(waits) / seen.span)
    seen.files.append(sum(1 for _ in (largest / "fd").iterdir()))
    seen.threads.append(_threads(largest))
    last = {
        name: getattr(seen, name)[-1] for name in ("minutes", "megabytes", "p99", "rate", "files", "threads")
    }
    print("  ".join(f"{name} {value:.1f}" for name, value in last.items()), flush=True)


def _threads(folder: Path) -> int:
    try:
        return sum(1 for _ in (folder / "task").iterdir())
    except OSError:
        return 0


def _draw(seen: Seen, path: Path) -> None:
    """Draw memory and p99 over time as a picture that any browser shows."""
    width, height, parts = 720, 200, []
    for place, (name, values) in enumerate((("memory, MB", seen.megabytes), ("p99, ms", seen.p99))):
        top, most = place * (height + 50) + 30, max(values) * 1.1
        points = " ".join(
            f"{60 + (width - 80) * minute / seen.minutes[-1]:.1f},{top + height * (1 - value / most):.1f}"
            for minute, value in zip(seen.minutes, values, strict=True)
        )
        parts.append(
            f'<text x="60" y="{top - 8}">{name} (0 to {most:.0f}) over {seen.minutes[-1]:.0f} minutes</text>'
            f'<path d="M60 {top}V{top + height}H{width - 20}" fill="none" stroke="#888"/>'
            f'<polyline points="{points}" fill="none" stroke="#1565c0" stroke-width="2"/>'
        )
    body = "".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{2 * height + 120}" font-family="sans-serif" '
        f'font-size="13"><rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n'
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
