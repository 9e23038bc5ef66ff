"""Kills of the process that ships, at each call that it makes to a store or to the file system; used by the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

#: Requests of the logs of a trial: two that were left, in several segments, one of them torn.
LOGGED = {"a": [["a1", "a2"], ["a3"]], "b": [["b1"], ["b2", "b3"], ["b4"]]}


@dataclass
class Done:
    points: int
    trials: int
    #: Of each trial that went wrong: the point, and what was found.
    faults: list[object]


class Trials:
    """All trials, made by one process that imports everything once."""

    def __init__(self, root: Path, *, every: int) -> None:
        self._root, self._every = root, every

    def run(self) -> Done:
        command = [sys.executable, __file__, str(self._root), str(self._every)]
        told = subprocess.run(command, check=True, capture_output=True, text=True)
        return Done(**json.loads(told.stdout.splitlines()[-1]))


class Killer:
    """Kills this process before or after the call of a given number."""

    def __init__(self, at: int) -> None:
        self._at, self.count = at, 0

    def point(self) -> None:
        self.count += 1
        if self.count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner, name: str) -> None:
        real = getattr(owner, name)

        def watched(*arguments, **named):
            self.point()
            found = real(*arguments, **named)
            self.point()
            return found

        setattr(owner, name, watched)


def _spool(root: Path) -> None:
    from treadle.serving import wal
    from treadle.serving.entries import OutcomeEntry, pack
    from treadle.serving.spool import LOGS

    for server, segments in LOGGED.items():
        folder = root / LOGS / server
        folder.mkdir(parents=True)
        for number, names in enumerate(segments, 1):
            segment = wal.Segment(folder, number)
            for name in names:
                for endpoint in ("delay", "fares"):
                    more = {"predictions": ["p"], "keys": [None], "values": [1.0]}
                    segment.append([pack(OutcomeEntry(request_id=name, endpoint=endpoint, at=1, **more))])
            segment.seal() if number < len(segments) else segment.close()
    with (folder / "0000000003.open").open("ab") as torn:
        torn.write(b"\x50\x00\x00\x00half a frame")


def _ship(root: Path, at: int) -> int:
    from treadle.serving.shipping import Shipper
    from treadle.store.tables import commits
    from treadle.store.tables.tables import Tables

    killer, shipper = Killer(at), Shipper(root, Tables.open("tables", root=root, options={}))
    for owner, name in (
        (Tables, "delivered"),
        (Tables, "deliver"),
        (Tables, "_settle_shared"),
        (commits, "create"),
        (commits, "add"),
        (Path, "unlink"),
        (Path, "rmdir"),
    ):
        killer.watch(owner, name)
    shipper.ship_all()
    return killer.count


def _found(root: Path) -> list[object]:
    from treadle.serving.spool import LOGS
    from treadle.store.tables.tables import Tables

    tables = Tables.open("tables", root=root, options={})
    rows = [
        sorted(tables.scan(f"outcomes/{name}").select("outcome_id").collect()["outcome_id"].to_list())
        for name in ("delay", "fares")
    ]
    return [*rows, sorted(path.name for path in (root / LOGS).iterdir())]


def _in_child(work) -> str:
    """Return what a function says in a forked process; empty: it was killed. Threads of libraries live in no other."""
    mine, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(its, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(its)
    with os.fdopen(mine) as told:
        text = told.read()
    os.waitpid(pid, 0)
    return text


def main(root: Path, every: int) -> Done:
    import treadle.serving.shipping  # noqa: F401 - imported once, used in forked processes only

    whole = [sorted(f"{n}-0" for segments in LOGGED.values() for names in segments for n in names)] * 2 + [[]]
    points, at, trials, faults = 1, 0, 0, []
    while at <= points:
        place = root / f"trial{at}"
        place.mkdir()
        _spool(place)
        counted = _in_child(lambda place=place, at=at: _ship(place, at))
        if at == 0:
            points = json.loads(counted)
        elif counted:
            faults.append([at, "was not killed"])
        again = _in_child(lambda place=place: (_ship(place, 0), _found(place))[1])
        if again != json.dumps(whole):
            faults.append([at, again])
        trials += 1
        at += 1 if at == 0 else every
    return Done(points, trials, faults)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2])).__dict__))
