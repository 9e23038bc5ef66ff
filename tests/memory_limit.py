"""A limit on the memory of some processes, kept by the kernel: who asks for more is killed, as in a container."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_CGROUPS = Path("/sys/fs/cgroup")


class Limited:
    """A control group with a limit; what its processes had before does not count."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, pid: int) -> None:
        """Put a process under the limit."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """Return how many processes the kernel has killed here for want of memory."""
        for name in ("memory.oom_control", "memory.events"):
            with suppress(FileNotFoundError):
                lines = dict(line.split() for line in (self._folder / name).read_text().splitlines())
                return int(lines["oom_kill"])
        raise AssertionError("the kernel does not count them")


@contextmanager
def limited_memory(size: int) -> Iterator[Limited]:
    """Yield a control group of its own; skips where this user may make none."""
    old = (_CGROUPS / "memory").is_dir()
    folder = (_CGROUPS / "memory" if old else _CGROUPS) / f"treadle-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
        (folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(size))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"This user may not limit memory in a control group: {error}")
    try:
        yield Limited(folder)
    finally:
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (folder.parent / "cgroup.procs").write_text(pid)
        folder.rmdir()
