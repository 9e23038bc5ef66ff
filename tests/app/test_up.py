"""Everything together: real processes that begin, come back and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from services import free_ports

_ENTRY = "from treadle.app.cli.main import main; main()"


class Up:
    """`treadle up` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.ui, self.serving = free_ports(2)
        self._out = folder.with_suffix(".txt")
        environment = {
            **os.environ,
            "TREADLE_UI__PORT": str(self.ui),
            "TREADLE_SERVING__PORT": str(self.serving),
            "TREADLE_JOBS__LEAST": "1",
        }
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _ENTRY, "up"],
                cwd=folder,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def told(self) -> str:
        return self._out.read_text()

    def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, self.told
            assert time.monotonic() < end, self.told
            time.sleep(0.1)

    def answers(self, port: int, path: str) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status == 200
        return False

    def children(self) -> dict[str, int]:
        """Return the processes that it began, by their command."""
        found = {}
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        for line in listed.stdout.splitlines():
            pid, _, command = line.strip().partition(" ")
            found[command.split()[-1]] = int(pid)
        return found

    def end(self) -> float:
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        return time.monotonic() - began


@pytest.fixture
def begun() -> Iterator[Callable[[Path], Up]]:
    running: list[Up] = []

    def begin(folder: Path) -> Up:
        running.append(Up(folder))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            one.end()


@pytest.mark.slow
def test_an_empty_folder_has_a_dashboard_and_a_project_may_begin_in_it(
    tmp_path: Path, shop: Path, begun: Callable[[Path], Up]
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    up = begun(folder)

    up.until(lambda: up.answers(up.ui, "/livez"))
    assert "treadle init" in up.told
    for name in ("landing", ".treadle", "project.py", "treadle.toml"):
        (shop / name).rename(folder / name)
    up.until(lambda: up.answers(up.serving, "/readyz"))
    up.until(lambda: set(up.children()) == {"ui", "serve", "watch", "worker"})
    taken = up.end()

    assert taken < 5.5, up.told
    assert "Everything has ended." in up.told
    assert not [line for line in up.told.splitlines() if line.endswith(": ")]
    assert up.process.returncode == 0


@pytest.mark.slow
def test_what_dies_begins_again_and_is_told(shop: Path, begun: Callable[[Path], Up]) -> None:
    up = begun(shop)
    up.until(lambda: set(up.children()) == {"ui", "serve", "watch", "worker"})
    up.until(lambda: up.answers(up.ui, "/livez"))
    first = up.children()["ui"]

    os.kill(first, signal.SIGKILL)

    up.until(lambda: up.children().get("ui", first) != first)
    up.until(lambda: up.answers(up.ui, "/livez"))
    assert "ui ended by itself (signal SIGKILL); it begins again in 0.5 s" in up.told
    children = up.children()
    assert up.end() < 5.5
    assert [name for name, pid in children.items() if Path(f"/proc/{pid}").exists()] == []
