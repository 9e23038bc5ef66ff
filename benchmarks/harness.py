"""How a benchmark is taken: ours, the floor and the peers in turns, on the same input, in one sitting.

Machines differ and are busy; a ratio taken in turns holds better than seconds. So every round measures everybody once,
the order is reversed from round to round, and what is reported are medians. CPU seconds count, of all threads.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CASES = HERE / "cases"
ENVIRONMENTS = HERE / ".envs"

#: One measurement: takes what `prepare` returned and returns a value in the benchmark's unit; less is better.
Measure = Callable[[Any], float]


class Reading(float):
    """A measured value, with others that were seen at the same time."""

    def __new__(cls, value: float, beside: Mapping[str, float]) -> Reading:
        """Make it a number like any other, which remembers more."""
        made = super().__new__(cls, value)
        made.beside = dict(beside)
        return made

    beside: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What others do for the same job: a script of `peers/`, run in an environment of its own.

    The script gets its arguments from `arguments`, and prints one JSON number in the benchmark's unit as its last line.
    """

    script: str
    #: What pip installs for it; none: it runs in our environment.
    packages: tuple[str, ...] = ()
    arguments: Callable[[Any], Sequence[str]]

    @property
    def folder(self) -> Path:
        """The environment's folder."""
        return ENVIRONMENTS / Path(self.script).stem

    @property
    def python(self) -> Path:
        """The Python that runs it."""
        return self.folder / "bin" / "python" if self.packages else Path(sys.executable)

    @property
    def ready(self) -> bool:
        """Whether the environment is there, with these packages."""
        if not self.packages:
            return True
        stamp = self.folder / "packages.json"
        return stamp.is_file() and json.loads(stamp.read_text()) == list(self.packages)

    def build(self) -> None:
        """Make the environment."""
        print(f"  making the environment {self.folder.name}: {', '.join(self.packages)}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)
        install = [
            str(self.python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *self.packages,
        ]
        subprocess.run(install, check=True)
        (self.folder / "packages.json").write_text(json.dumps(list(self.packages)))

    def measure(self, prepared: Any) -> float:
        """Run the script and return its number."""
        command = [str(self.python), str(HERE / "peers" / self.script), *self.arguments(prepared)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900)
        return float(json.loads(done.stdout.strip().splitlines()[-1]))


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One question about speed. Its id comes from its file's name: `data_ingest.py` is `data/ingest`."""

    #: What is measured, in a sentence.
    title: str
    #: What the numbers are, as `s of CPU`.
    unit: str
    #: Makes the input in an empty folder; `quick` asks for a small one. What it returns may have a `close()`.
    prepare: Callable[[Path, bool], Any]
    ours: Measure
    #: What the bare libraries need for the same, or for the part that nobody can do without.
    floor: Measure
    peers: Mapping[str, Peer] = field(default_factory=dict)
    #: The goal: ours at most this many floors, and at most this much.
    floors: float | None = None
    limit: float | None = None
    #: The goal: ours at most this much more than the floor.
    beyond: float | None = None
    #: The goal: a peer takes at least this many times what ours takes. One that was not measured does not count.
    ahead: Mapping[str, float] = field(default_factory=dict)
    #: The goal: of the values beside, ours are better than those of every peer.
    leads: bool = False
    rounds: int = 5
    id: str = ""

    @property
    def goal(self) -> str:
        """The goal in words."""
        ratio = [f"ours / floor <= {self.floors:g}"] if self.floors else []
        most = [f"ours <= {self.limit:g} {self.unit}"] if self.limit else []
        most += [f"ours - floor <= {self.beyond:g} {self.unit}"] if self.beyond else []
        ahead = [f"{name} / ours >= {times:g}" for name, times in self.ahead.items()]
        leads = ["ahead of every peer in what is beside"] if self.leads else []
        return " and ".join([*ratio, *most, *ahead, *leads])


@dataclass(frozen=True, kw_only=True)
class Result:
    """Medians of all rounds."""

    benchmark: Benchmark
    ours: float
    floor: float
    peers: dict[str, float]
    #: Median of the ratios of each round.
    ratio: float
    quick: bool
    #: By who was measured (`ours`, `floor` and the peers), medians of what was seen beside.
    beside: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None in a quick run, whose input is too small to tell."""
        if self.quick:
            return None
        goal = self.benchmark
        return (
            (goal.floors is None or self.ratio <= goal.floors)
            and (goal.limit is None or self.ours <= goal.limit)
            and (goal.beyond is None or self.ours - self.floor <= goal.beyond)
            and all(
                self.peers[name] >= times * self.ours
                for name, times in goal.ahead.items()
                if name in self.peers
            )
            and not (goal.leads and self.behind)
        )

    @property
    def behind(self) -> list[str]:
        """The peers that are better than ours in something beside: a rate that is higher, or else a value that is lower."""
        mine = self.beside.get("ours", {})
        return [
            f"{name}: {what}"
            for name in self.peers
            for what, value in self.beside.get(name, {}).items()
            if (value > mine[what] if what.endswith("/s") else value < mine[what])
        ]

    def document(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "id": self.benchmark.id,
            "unit": self.benchmark.unit,
            "ours": self.ours,
            "floor": self.floor,
            "peers": self.peers,
            "beside": self.beside,
            "goal": self.benchmark.goal,
            "met": self.met,
        }


def files() -> dict[str, Path]:
    """Return the file of each benchmark by its id; nothing is imported."""
    return {_id(path): path for path in sorted(CASES.glob("[!_]*.py"))}


def _id(path: Path) -> str:
    room, _, name = path.stem.partition("_")
    return f"{room}/{name.replace('_', '-')}"


def load(path: Path) -> Benchmark:
    """Return the benchmark of one file."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    if spec is None or spec.loader is None:
        msg = f"{path} cannot be imported"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return replace(module.BENCHMARK, id=_id(path))


def take(benchmark: Benchmark, *, quick: bool) -> Result:
    """Measure everybody in turns and return the medians. Peers without an environment are left out when `quick`."""
    peers = {name: peer for name, peer in benchmark.peers.items() if peer.ready or not quick}
    for peer in peers.values():
        if not peer.ready:
            peer.build()
    measures = {
        "ours": benchmark.ours,
        "floor": benchmark.floor,
        **{name: peer.measure for name, peer in peers.items()},
    }
    with tempfile.TemporaryDirectory(prefix="treadle-bench-") as folder:
        prepared = benchmark.prepare(Path(folder), quick)
        try:
            seen = _rounds(measures, prepared, 1 if quick else benchmark.rounds)
        finally:
            getattr(prepared, "close", lambda: None)()
    ratios = [ours / floor for ours, floor in zip(seen["ours"], seen["floor"], strict=True)]
    medians = {name: statistics.median(values) for name, values in seen.items()}
    return Result(
        benchmark=benchmark,
        ours=medians.pop("ours"),
        floor=medians.pop("floor"),
        peers=medians,
        ratio=statistics.median(ratios),
        quick=quick,
        beside={name: found for name, values in seen.items() if (found := _beside(values))},
    )


def _beside(values: Sequence[float]) -> dict[str, float]:
    readings = [value for value in values if isinstance(value, Reading)]
    names = readings[0].beside if readings else {}
    return {name: statistics.median(reading.beside[name] for reading in readings) for name in names}


def _rounds(measures: Mapping[str, Measure], prepared: Any, rounds: int) -> dict[str, list[float]]:
    # The first time fills caches and imports libraries, for ours and floor alike; peers start afresh each time.
    for name in ("ours", "floor"):
        measures[name](prepared)
    seen: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            seen[name].append(measures[name](prepared))
    return seen


def cpu_of(work: Callable[[], Any]) -> float:
    """Return the CPU seconds that this process spends on a piece of work, in all its threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def cpu_of_command(command: Sequence[str], *, cwd: Path | None = None, times: int = 1) -> float:
    """Return the CPU seconds that a command and its children spend, on average of `times`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(times):
        subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / times
