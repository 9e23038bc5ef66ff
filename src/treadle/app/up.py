"""Server, watcher, worker and dashboard together: children that come back when they die, and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from treadle.core import settings
from treadle.core.clock import monotonic
from treadle.core.errors import NotFound

#: Seconds that children have to end; seconds of the first and the longest pause before one that died begins again, after which
#: it is taken for one that lives on, and between two looks.
_END, _FIRST, _LONGEST, _STEADY, _LOOK = 3.5, 0.5, 30.0, 10.0, 0.1
#: What each says of itself is told with its name before it.
_ENTRY = "from treadle.app.cli.main import main; main()"


class Part(NamedTuple):
    """A command that runs as long as everything does."""

    name: str
    arguments: Sequence[str]
    #: Whether it can do nothing before there is a project.
    needs_project: bool = True


#: The dashboard comes first, for it says what to do where there is nothing yet.
PARTS = (
    Part("ui", ("ui",), needs_project=False),
    Part("serve", ("serve",)),
    Part("watch", ("watch",)),
    Part("worker", ("worker",)),
)


class _Child:
    """One part: its process, and when it begins again."""

    def __init__(
        self, part: Part, folder: Path, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self.part, self._folder, self._environment, self._say = part, folder, environment, say
        self.process: subprocess.Popen[str] | None = None
        self._begun, self._due, self._in_row = 0.0, 0.0, 0

    def look(self) -> None:
        """Begin the process where it is due, and say when it has ended by itself."""
        now = monotonic()
        if self.process is None:
            if now >= self._due and (not self.part.needs_project or _has_project(self._folder)):
                self._begin()
            return
        code = self.process.poll()
        if code is None:
            return
        self.process = None
        self._in_row = 1 if now - self._begun > _STEADY else self._in_row + 1
        pause = min(_FIRST * 2 ** (self._in_row - 1), _LONGEST)
        self._due = now + pause
        self._say(f"{self.part.name} ended by itself ({_how(code)}); it begins again in {pause:g} s")

    def _begin(self) -> None:
        # A group of its own: Ctrl-C reaches this process only, which then ends all of them in order.
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, with arguments of ours
            [sys.executable, "-c", _ENTRY, *self.part.arguments],
            cwd=self._folder,
            env=dict(self._environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._begun = monotonic()
        threading.Thread(target=self._tell, args=(self.process,), daemon=True).start()

    def _tell(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in filter(str.strip, lines):
                self._say(f"{self.part.name}: {line.rstrip()}")

    def end(self, number: signal.Signals) -> None:
        """Tell the process to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def up(
    folder: Path | None,
    *,
    say: Callable[[str], None],
    stop: threading.Event,
    overrides: Mapping[str, object] | None = None,
    parts: Sequence[Part] = PARTS,
) -> None:
    """Run everything in a project's folder until `stop` is set; it may be empty, and a project may begin in it later."""
    try:
        root = settings.find_root(folder)
    except NotFound:
        root = (folder or Path.cwd()).resolve()
        say("There is no project here yet: treadle init makes one. What needs it begins then.")
    environment = settings.child_environment(
        {"PYTHONUNBUFFERED": "1", **settings.as_environment(overrides or {})}
    )
    children = [_Child(part, root, environment, say) for part in parts]
    try:
        while not stop.is_set():
            for child in children:
                child.look()
            stop.wait(_LOOK)
    finally:
        _end(children, say)


def _end(children: Sequence[_Child], say: Callable[[str], None]) -> None:
    """End all at once; what does not end in time is killed, which loses nothing either."""
    # Ctrl-C is what a watcher takes for the end of its work, also within a training.
    for child in children:
        child.end(signal.SIGINT)
    deadline = monotonic() + _END
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(deadline - monotonic(), 0.01))
        except subprocess.TimeoutExpired:
            say(
                f"{child.part.name} did not end within {_END:g} s and is killed; what it did not finish goes on with the next start"
            )
            _kill(child.process)
    say("Everything has ended.")


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill a process with those that it began."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _has_project(folder: Path) -> bool:
    return (folder / settings.FILE_NAME).is_file()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
