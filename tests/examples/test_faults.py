"""The fault scenarios, in their short form: each makes sure of its own stages, and of what the same project does without the fault."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parents[2] / "examples" / "faults"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("name", ["nulls", "units", "concept", "outcomes", "deployment"])
def test_a_fault_is_seen_acted_on_and_over_without_a_hand(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(FAULTS / f"{name}.py"), "--short", "--out", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    told = json.loads((tmp_path / f"{name}.json").read_text())
    stages = [stage["stage"].partition(" ")[0] for stage in told["stages"]]
    assert stages[0] == "cause"
    assert stages[-1] == "recovery"
    assert "action" in stages
    assert (tmp_path / f"{name}.png").stat().st_size > 20_000
