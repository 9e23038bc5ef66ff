"""Runs `treadle run` again and again, each time in a new process, killed at one boundary and gone on with.

Started as a program with a file of cases (JSON). It loads every library once, runs nothing, and forks: a fork of a
process that has only imported is as fresh as a new interpreter, and two seconds cheaper. Each case leaves one JSON file.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import boundaries
import msgspec
import psycopg
import sqlalchemy as sa
from facts import facts

sys.path.insert(0, str(Path(__file__).parents[1]))

from forked import fork
from treadle.app.cli.main import main as treadle_main
from treadle.app.workspace import open_workspace
from treadle.core import plugins
from treadle.core.settings import as_environment

#: Seconds after which a fork that hangs says where, and dies.
PATIENCE = 120.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A command on a project, to be killed at each of its boundaries."""

    #: The project as it is before; each case gets a copy.
    base: str
    #: Arguments of `treadle`.
    command: list[str]
    #: Settings, `section.key` → value. In a value, {root} stands for the copy's folder and {case} for the case's name.
    settings: dict[str, str]
    #: Processes that die: `main` (of `treadle run`), `training` (the one it starts), `both`.
    who: str = "main"
    #: Sides of an effect on which they die, in turn: every boundary on all of them, or on one each.
    sides: tuple[tuple[str, ...], ...] = (("before", "after"),)
    #: Server on which a case's database is made as a copy of the database `template`; empty: the ledger is SQLite.
    server: str = ""
    template: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One kill, and what has to come after it."""

    plan: Plan
    #: `whole`, or the number of the effect and the side of it, as `7-before`.
    name: str
    #: Where everything of this case goes.
    folder: Path
    #: Where the process dies: number, side. None: it does not.
    death: tuple[int, str] | None = None

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.folder / "project"

    @property
    def settings(self) -> dict[str, str]:
        """The case's own settings."""
        values = {"root": str(self.root), "case": self.name}
        return {key: value.format(**values) for key, value in self.plan.settings.items()}


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended: its status (negative: the signal), what it said, and the effects that it had."""

    status: int
    said: str
    effects: list[str]
    #: What stood in the stores before it, and after it; of a killed process it is what the next one finds.
    before: dict[str, Any]
    after: dict[str, Any]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a case: the run that is killed, the one that goes on, and one more."""

    killed: Ended
    resumed: Ended
    again: Ended


def main(folder: Path, *, jobs: int) -> None:
    """Play `plan.json` in a folder: once undisturbed, then killed at each boundary; each case leaves `<case>/told.json`."""
    plan = msgspec.json.decode((folder / "plan.json").read_bytes(), type=Plan)
    undisturbed = Case(plan=plan, name="whole", folder=folder / "whole")
    _play_all([undisturbed], jobs=1)
    whole = msgspec.json.decode((undisturbed.folder / "told.json").read_bytes(), type=Told)
    _warm_up(undisturbed)
    deaths = [
        (number, side)
        for number in range(1, len(whole.killed.effects) + 1)
        for side in plan.sides[number % len(plan.sides)]
    ]
    names = [f"{number}-{side}" for number, side in deaths]
    cases = [
        Case(plan=plan, name=name, folder=folder / name, death=death)
        for name, death in zip(names, deaths, strict=True)
    ]
    _play_all(cases, jobs=jobs)


def _warm_up(case: Case) -> None:
    """Import what a case has imported, and find the plug-ins, so that the forks after it need not."""
    for name in (case.folder / "modules.txt").read_text().split():
        with suppress(ImportError):
            importlib.import_module(name)
    for kind in plugins.KINDS:
        for name in plugins.available(kind):
            if f"{plugins.KINDS[kind]}.{name}" in sys.modules:
                plugins.load(kind, name)


def _play_all(cases: list[Case], *, jobs: int) -> None:
    alive: set[int] = set()
    for case in cases:
        if len(alive) >= jobs:
            alive.discard(os.wait()[0])
        case.folder.mkdir()
        alive.add(fork(lambda case=case: _play(case), log=case.folder / "problem.txt"))
    while alive:
        alive.discard(os.wait()[0])


def _play(case: Case) -> int:
    """Play one case. It forks for everything, so that nothing is ever run in this process."""
    shutil.copytree(case.plan.base, case.root)
    if case.plan.server:
        _database(case, "CREATE", f'TEMPLATE "{case.plan.template}"')
    try:
        killed = _run(case, "killed", dies=case.death)
        resumed = _run(case, "resumed")
        again = _run(case, "again")
    finally:
        if case.plan.server:
            _database(case, "DROP", "WITH (FORCE)")
    told = Told(killed=killed, resumed=resumed, again=again)
    (case.folder / "told.json").write_bytes(msgspec.json.encode(told))
    shutil.rmtree(case.root)
    return 0


def _database(case: Case, verb: str, rest: str) -> None:
    name = case.settings["ledger.url"].rpartition("/")[2]
    with psycopg.connect(case.plan.server, autocommit=True) as admin:
        admin.execute(f'{verb} DATABASE "{name}" {rest}'.encode())


def _run(case: Case, what: str, *, dies: tuple[int, str] | None = None) -> Ended:
    """Run `treadle` in a process of its own, to its end or its death; look at the stores before and after."""
    place = case.folder / what
    place.mkdir()
    told, is_killed = place / "effects.txt", what == "killed"
    told.touch()

    def work() -> int:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        if not is_killed:
            (place / "before.json").write_text(json.dumps(_look(case)))
        _arm(case, told, death=boundaries.Death(*dies) if dies else None, is_killed=is_killed)
        try:
            treadle_main([*case.plan.command, "--project", str(case.root)])
        finally:
            if is_killed:  # and yet it is here: this is the undisturbed case
                (case.folder / "modules.txt").write_text("\n".join(sorted(_libraries())))
            else:
                (place / "after.json").write_text(json.dumps(_look(case)))
        return 0

    status = os.waitstatus_to_exitcode(os.waitpid(fork(work, log=place / "said.txt"), 0)[1])
    return Ended(
        status=status,
        said=(place / "said.txt").read_text(),
        effects=told.read_text().splitlines(),
        before={} if is_killed else json.loads((place / "before.json").read_text()),
        after={} if is_killed else json.loads((place / "after.json").read_text()),
    )


def _arm(case: Case, told: Path, *, death: boundaries.Death | None, is_killed: bool) -> None:
    """Set this process up for a run: its engine, and who counts and dies."""
    is_beside = is_killed and case.plan.who != "main"
    engine = "process" if is_beside else "inline"
    os.environ.update(as_environment({"compute.engine": engine, "compute.retries": "0", **case.settings}))
    if is_beside:
        os.environ.update(boundaries.orders(told, death, with_giver=case.plan.who == "both"))
    else:
        boundaries.install(boundaries.Effects(told, death))


def _libraries() -> set[str]:
    return {name for name in sys.modules if not name.startswith(("treadle_project", "__"))}


def _look(case: Case) -> dict[str, Any]:
    """Return what stands in the stores; nothing is changed."""
    if not _is_there(case.settings["ledger.url"]):
        return {}
    with open_workspace(case.root, overrides=case.settings) as workspace:
        return facts(workspace)


def _is_there(url: str) -> bool:
    """Say whether the ledger has its tables; opening the workspace would make them."""
    found = sa.make_url(url)
    if found.get_backend_name() == "sqlite" and not Path(str(found.database)).is_file():
        return False
    schema = None if found.get_backend_name() == "sqlite" else "treadle"
    engine = sa.create_engine(found if schema is None else found.set(drivername="postgresql+psycopg"))
    try:
        return sa.inspect(engine).has_table("runs", schema=schema)
    finally:
        engine.dispose()


if __name__ == "__main__":
    main(Path(sys.argv[1]), jobs=int(sys.argv[2]))
