"""Runs the benchmarks and prints a table, or JSON.

    python benchmarks/run.py --list
    python benchmarks/run.py --only data/ingest
    python benchmarks/run.py --quick            # small inputs, one round: does everything still run
    python benchmarks/run.py --json

A peer is built in an environment of its own under benchmarks/.envs when it is first needed; a quick run leaves out peers
that are not there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import harness


def main() -> None:
    """Take the chosen benchmarks."""
    parser = argparse.ArgumentParser(description="Measure Treadle against bare libraries and peers.")
    parser.add_argument("--list", action="store_true", help="say which benchmarks there are")
    parser.add_argument("--only", metavar="ID", help="take this one, or all of a room (as data/)")
    parser.add_argument("--quick", action="store_true", help="small inputs, one round, no new environments")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    chosen = parser.parse_args()
    files = harness.files()
    wanted = [
        name for name in files if not chosen.only or f"{name}/".startswith(f"{chosen.only.rstrip('/')}/")
    ]
    if not wanted:
        parser.error(f"no benchmark {chosen.only!r}; there are: {', '.join(files)}")
    if chosen.list:
        for name in wanted:
            print(f"{name:24} {harness.load(files[name]).title}")
        return
    results = []
    for name in wanted:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results.append(harness.take(harness.load(files[name]), quick=chosen.quick))
    if chosen.json:
        print(json.dumps([result.document() for result in results], indent=2))
    else:
        _table(results)


def _table(results: list[harness.Result]) -> None:
    print(f"{'benchmark':24} {'ours':>10} {'floor':>10} {'ours/floor':>10}  {'goal':34} peers")
    for result in results:
        met = {True: "met", False: "NOT MET", None: "quick"}[result.met]
        goal = f"{result.benchmark.goal}: {met}"
        peers = ", ".join(f"{name} {_number(value)}" for name, value in result.peers.items())
        print(
            f"{result.benchmark.id:24} {_number(result.ours):>10} {_number(result.floor):>10} {result.ratio:>10.2f}"
            f"  {goal:34} {peers} [{result.benchmark.unit}]"
        )
        for name, values in result.beside.items():
            told = ", ".join(f"{what} {_number(value)}" for what, value in values.items())
            print(f"  {name:30} {told}")
    print(f"\nMedians on {os.cpu_count()} cores, Python {sys.version.split()[0]}. Less is better.")


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
