"""Every durable effect of a turn of the loop, numbered as it happens; at one of them the process dies.

An effect is what outlives the process: the commit of a ledger transaction, an object, a commit to a table, a message to
a receiver, a file of the run's folder, and the beginning and the end of the user's training function. `install` wraps
them where they are made. With `Death(7, "before")` the process sends itself SIGKILL when the seventh is about to
happen, with `"after"` when it has just happened.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, event

from treadle.loop import fitting
from treadle.loop.models import Model
from treadle.monitoring.channels import webhook
from treadle.registry import packages
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.tables.tables import Tables
from treadle.training import runs
from treadle.training.context import RunContext

#: Variable with the orders for a training process; see `join`.
ORDERS = "BOUNDARIES"


@dataclass(frozen=True)
class Death:
    """Where a process dies."""

    #: Number of the effect; the first is 1.
    number: int
    #: `before` or `after` it.
    side: str
    #: Processes that die with this one, first.
    others: tuple[int, ...] = ()


@dataclass
class Effects:
    """Counts effects, writes their names into a file, and dies at one of them."""

    told: Path
    death: Death | None = None
    count: int = 0
    _open: list[int] = field(default_factory=list)

    @contextmanager
    def effect(self, name: str) -> Iterator[None]:
        """Count the effect that the block has."""
        number = self.begin(name)
        yield
        self.end(number)

    def begin(self, name: str) -> int:
        """Count an effect that is about to happen."""
        self.count += 1
        with self.told.open("a") as file:
            file.write(f"{name}\n")
        self._die_at(self.count, "before")
        return self.count

    def end(self, number: int) -> None:
        """Note that an effect has happened."""
        self._die_at(number, "after")

    def _die_at(self, number: int, side: str) -> None:
        if self.death is None or (number, side) != (self.death.number, self.death.side):
            return
        for pid in (*self.death.others, os.getpid()):
            os.kill(pid, signal.SIGKILL)
        signal.pause()  # where another process has to take this one along, that takes a moment


def install(effects: Effects) -> None:
    """Wrap everything in this process that has durable effects."""
    _wrap_transactions(effects)
    for kind, verbs in (
        (Objects, ("put", "put_file", "delete")),
        (Tables, ("append", "widen", "remove", "compact")),
    ):
        for verb in verbs:
            _wrap(effects, kind, verb, lambda *given, kind=kind, verb=verb: _said(kind, verb, given))
    _wrap(effects, webhook.Channel, "send", lambda _, message: f"send {message.rule} {message.state}")
    _wrap(effects, Model, "__call__", lambda *_: "train")
    _wrap(effects, RunContext, "log_metric", lambda *_: "log metric")
    _wrap(effects, fitting, "_write", lambda path, _: f"write {path.name}")
    _wrap(effects, packages, "_keep", lambda *_: "cache package")
    whole = runs.shutil.rmtree
    runs.shutil = SimpleNamespace(rmtree=_counted(effects, whole, lambda *_: "remove the run's folder"))  # type: ignore[attr-defined]


def orders(told: Path, death: Death | None, *, with_giver: bool) -> dict[str, str]:
    """Return the variables that order the trainings which this process starts to count, and to die (with this one)."""
    number, side = (death.number, death.side) if death else (0, "")
    return {ORDERS: "|".join(map(str, (told, os.getpid(), number, side, *([os.getpid()] * with_giver))))}


def join() -> None:
    """Count in this process too, where it is a training's and has orders; the project's file calls this."""
    told, giver, number, side, *others = os.environ.get(ORDERS, "|0||").split("|")
    if told and int(giver) != os.getpid():
        install(Effects(Path(told), Death(int(number), side, tuple(map(int, others)))))


def _wrap(effects: Effects, owner: Any, name: str, said: Callable[..., str]) -> None:
    setattr(owner, name, _counted(effects, getattr(owner, name), said))


def _counted(effects: Effects, whole: Callable[..., Any], said: Callable[..., str]) -> Callable[..., Any]:
    def counted(*given: Any, **named: Any) -> Any:
        with effects.effect(said(*given)):
            return whole(*given, **named)

    return counted


def _wrap_transactions(effects: Effects) -> None:
    whole = Ledger._transaction

    @contextmanager
    def transaction(self: Ledger, *, writes: bool, start: Any) -> Iterator[Connection]:
        number = 0
        with whole(self, writes=writes, start=start) as connection:
            written: list[str] = []
            event.listen(connection, "before_cursor_execute", _listener(written))
            yield connection
            if written:
                number = effects.begin(f"commit {', '.join(dict.fromkeys(written))}")
        if number:
            effects.end(number)

    Ledger._transaction = transaction  # type: ignore[method-assign]


def _listener(written: list[str]) -> Callable[..., None]:
    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        first, *words = statement.lower().replace('"', "").split()
        if first in {"create", "alter", "drop"}:
            written.append("schema")
        elif first in {"insert", "update", "delete"}:
            written.append(next(word for word in words if word not in {"into", "from"}))

    return listen


def _said(kind: type, verb: str, given: tuple[Any, ...]) -> str:
    what = given[1]
    named = what if kind is Tables else what.name if isinstance(what, Path) else ""
    return f"{kind.__name__.lower()}.{verb} {named}".strip()
