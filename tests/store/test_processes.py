"""Telling a dead process from a living one."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from treadle.store.ledger import processes


def test_this_process_lives() -> None:
    assert not processes.is_dead(processes.this())


def test_an_id_that_is_used_again_is_another_process() -> None:
    earlier = msgspec.structs.replace(processes.this(), started=1)

    assert processes.is_dead(earlier)


def test_a_killed_process_is_dead_before_and_after_it_is_waited_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = msgspec.structs.replace(
        processes.this(), pid=child.pid, started=processes._started(child.pid) or 0
    )
    assert not processes.is_dead(process)

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert processes.is_dead(process)
    child.communicate()
    assert processes.is_dead(process)


def test_another_machine_or_container_is_never_taken_for_dead() -> None:
    gone = msgspec.structs.replace(processes.this(), started=1)

    assert not processes.is_dead(msgspec.structs.replace(gone, boot="other"))
    assert not processes.is_dead(msgspec.structs.replace(gone, space="pid:[1]"))
