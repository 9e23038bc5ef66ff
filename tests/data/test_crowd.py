"""Many processes at one dataset, some killed with -9 (R11, R13): nothing acknowledged is lost, no version ever changes."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: Processes and seconds: small here; the environment may ask for more.
PROCESSES = int(os.environ.get("TREADLE_TEST_CROWD", "6"))
SECONDS = float(os.environ.get("TREADLE_TEST_CROWD_SECONDS", "20"))
_PROGRAM = Path(__file__).with_name("crowd.py")
_spec = importlib.util.spec_from_file_location("crowd", _PROGRAM)
crowd = importlib.util.module_from_spec(_spec)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_processes_lose_nothing_and_change_no_version(tmp_path, tables_url):
    _spec.loader.exec_module(crowd)
    for folder in ("in", "acked"):
        (tmp_path / folder).mkdir()
    crowd.service(tmp_path, tables_url)[1].close()
    chance, begun, killed = random.Random(5), time.monotonic(), 0
    children = [_start(tmp_path, tables_url, f"p{n}", SECONDS) for n in range(PROCESSES)]

    while time.monotonic() < begun + SECONDS - 2:
        time.sleep(chance.uniform(1.5, 3.5))
        place = chance.randrange(len(children))
        children[place].kill()
        children[place].wait()
        killed += 1
        left = begun + SECONDS - time.monotonic()
        children[place] = _start(tmp_path, tables_url, f"k{killed}", left)
    codes = [child.wait(300) for child in children]
    assert codes == [0] * PROCESSES

    datasets, _ = crowd.service(tmp_path, tables_url)
    datasets.ingest(crowd.DATASET)
    told = [
        json.loads(line)
        for file in (tmp_path / "acked").iterdir()
        for line in file.read_text().splitlines()
        if line.endswith("]")
    ]
    rows = datasets.read("d")
    there = dict(rows.select("key", "changed").rows())
    versions = datasets.versions("d")
    assert killed > 3
    assert len(there) == rows.height == datasets.version("d").rows
    lost = [(key, changed) for what, key, changed in told if what == "row" and there.get(key, 0) < changed]
    assert lost == []
    assert [one.version for one in versions] == list(range(1, len(versions) + 1))
    seen = {(number, digest) for what, number, digest in told if what == "version"}
    assert len(seen) > 5
    changed = [number for number, digest in seen if crowd.digest_of(datasets, number) != digest]
    assert changed == []
    errors = [what for what in told if what[0] == "error"]
    assert len(errors) <= len(told) // 20, errors[:5]


def _start(root: Path, tables: str, name: str, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(_PROGRAM), str(root), tables, name, str(seconds)])
