"""Lets trackers elsewhere show what the ledger holds, again and again: whatever is missing there is sent.

Nothing is remembered but what was sent, in the ledger, so a kill, a second process or a server that is down change nothing
but the moment. Before something is made elsewhere that is written down; if its answer never came, it is looked for first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import Busy, Conflict, LeaseLost, MirrorUnavailable, StoreUnavailable, TreadleError
from treadle.core.ids import canonical, digest_of_bytes
from treadle.core.records import ModelVersion, Record, Run
from treadle.evaluation.verdicts import Verdicts
from treadle.loop import mirrored
from treadle.loop.unsent import Unsent, unsent
from treadle.registry.mirror import Mirror, MirroredRun
from treadle.registry.models import Models
from treadle.registry.sent import ITSELF, Sent, SentRows, State
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training import history
from treadle.training.runs import Runs
from treadle.training.trials import UNDER_WAY, Trial, Trials

#: Seconds that sending may take beside other work; what is left then is sent the next time.
BUDGET = 20.0
#: A mirror whose silence cost more seconds than this is left alone for a while, unless somebody asks for it.
_LONG, _LEFT_ALONE = 1.0, timedelta(minutes=1)
#: Things in a row that may fail before the mirror counts as away.
_MOST_FAILURES = 3
_LEASE = 60.0
#: Bytes of a log that are sent: the last ones.
_MOST_LOG = 16 * 1024 * 1024


class Mirrored(Record, frozen=True, kw_only=True):
    """How far a mirror is."""

    #: The tracker's address, without secrets.
    place: str
    #: Things that were sent now.
    sent: int = 0
    #: Runs, versions, aliases and cards that are still to be sent.
    runs: int = 0
    versions: int = 0
    aliases: int = 0
    cards: int = 0
    #: Why the rest waits, and whether that is news.
    error: str = ""
    is_news: bool = False
    #: What the tracker will not take, and why.
    refused: tuple[str, ...] = ()

    @property
    def waiting(self) -> int:
        """How many things are still to be sent."""
        return self.runs + self.versions + self.aliases + self.cards


#: Makes the pages of a version: path → content. They may take seconds.
Pages = Callable[[ModelVersion], Mapping[str, bytes]]


class Mirroring:
    """Sends what is missing to each mirror."""

    def __init__(
        self,
        *,
        mirrors: Sequence[Mirror],
        project: str,
        ledger: Ledger,
        objects: Objects,
        clock: Clock,
        runs: Runs,
        trials: Trials,
        verdicts: Verdicts,
        models: Models,
        pages: Pages,
    ) -> None:
        """Take the mirrors, the rooms that know what is to be shown, and what makes a version's pages."""
        self.mirrors, self.project, self.clock, self.pages = mirrors, project, clock, pages
        self.ledger, self.objects = ledger, objects
        self.runs, self.trials, self.verdicts, self.models = runs, trials, verdicts, models

    def state(self) -> list[Mirrored]:
        """Say of each mirror what is still to be sent; nothing is asked and nothing is written."""
        return [self._state(mirror) for mirror in self.mirrors]

    def send(self, *, seconds: float | None = BUDGET, eager: bool = False) -> list[Mirrored]:
        """Send what is missing, for so many seconds at most (None: until all is sent), and say how far each mirror is.

        `eager` asks also a mirror that was silent a moment ago, and tells again what it refused.
        """
        return [self._send(mirror, seconds=seconds, eager=eager) for mirror in self.mirrors]

    def again(self) -> None:
        """Forget what was sent, so that all is looked for and what is missing is sent: for a tracker that lost something."""
        for mirror in self.mirrors:
            SentRows(self.ledger, mirror.place).forget()

    def _state(self, mirror: Mirror, *, sent: int = 0, is_news: bool = False) -> Mirrored:
        rows = SentRows(self.ledger, mirror.place)
        left = unsent(self.ledger, mirror.place, now=self.clock.now())
        itself = rows.get(ITSELF)
        return Mirrored(
            place=mirror.place,
            sent=sent,
            runs=len(left.runs),
            versions=len(left.versions),
            aliases=len(left.aliases),
            cards=len(left.cards),
            error=itself.error if itself else "",
            is_news=is_news,
            refused=tuple(f"{one.subject}: {one.error}" for one in rows.refused()),
        )

    def _send(self, mirror: Mirror, *, seconds: float | None, eager: bool) -> Mirrored:
        rows = SentRows(self.ledger, mirror.place)
        left = unsent(self.ledger, mirror.place, now=self.clock.now(), eager=eager)
        before = rows.get(ITSELF)
        if not len(left) or (not eager and _is_left_alone(before, self.clock)):
            return self._state(mirror)
        name = f"mirror/{digest_of_bytes(mirror.place.encode())[7:23]}"
        sending = None
        try:
            with self.ledger.lease(name, holder="treadle mirror", ttl=_LEASE, clock=self.clock) as lease:
                sending = _Sending(self, mirror, rows, lease, seconds=seconds)
                sending.all(left)
        except (Busy, LeaseLost):  # another process sends
            return self._state(mirror, sent=sending.count if sending else 0)
        said = before.error if before else ""
        return self._state(mirror, sent=sending.count, is_news=sending.error not in ("", said))


class _Sending:
    """One pass over what is missing at one mirror."""

    def __init__(
        self, house: Mirroring, mirror: Mirror, rows: SentRows, lease: Lease, *, seconds: float | None
    ) -> None:
        self._house, self._mirror, self._rows, self._lease = house, mirror, rows, lease
        self._deadline = None if seconds is None else monotonic() + seconds
        #: What was sent, and why the rest was not.
        self.count, self.error = 0, ""
        self._failures = 0

    def all(self, left: Unsent) -> None:
        """Send everything, as far as the time and the mirror allow."""
        works: list[tuple[str, Callable[[], bool]]] = [
            *((f"run:{one}", partial(self._run, one)) for one in left.runs),
            *((f"model_version:{one}", partial(self._version, one)) for one in left.versions),
            *((f"alias:{one}", partial(self._alias, one, to)) for one, to in left.aliases),
            *((f"card:{one}", partial(self._card, one)) for one in left.cards),
        ]
        began = monotonic()
        for subject, work in works:
            if self._is_over:
                break
            began = monotonic()
            if not self._one(subject, work):
                break
        self._say(seconds=monotonic() - began)

    def _one(self, subject: str, work: Callable[[], bool]) -> bool:
        """Do one work; return whether to go on."""
        try:
            self.count += work()
        except (StoreUnavailable, Conflict):
            raise  # of the ledger: nothing can be kept
        except MirrorUnavailable as error:
            # One thing may be what a server stumbles over; several are the server.
            self.error = str(error)
            self._failures += 1
            return error.is_of_one_request and self._failures < _MOST_FAILURES
        except TreadleError as error:  # refused there, or not to be had here: the rest need not wait for it
            known = self._rows.get(subject) or self._new(subject)
            self._put(known, state="refused", error=str(error))
        self._failures = 0
        return True

    def _run(self, id_: str) -> bool:
        house = self._house
        run, frame = house.runs.get(id_), house.runs.metrics(id_)
        has_ended = run.status != "running"
        trials = [one for one in house.trials.of_run(id_) if has_ended or one.state not in UNDER_WAY]
        told = digest_of_bytes(canonical([run, frame.height, len(trials)]))
        known = self._rows.get(run.ref)
        if known is not None and known.state == "open" and known.told == told:
            return False
        shown = mirrored.of_run(run, house.verdicts.list(run=id_), project=house.project)
        sent = self._begun(run.ref, shown)
        doubts = 0
        for trial in trials:
            if self._is_over:
                return True
            doubts += self._trial(trial, run, parent=sent.remote)
        points = mirrored.points(frame)
        if has_ended:
            self._mirror.attach(sent.remote, self._files(run))
        elif sent.until is not None:
            points = [point for point in points if point.at >= sent.until]
        self._mirror.tell(sent.remote, shown, points=points)
        changes: dict[str, Any] = {"told": told, "until": max((p.at for p in points), default=sent.until)}
        if not has_ended:
            self._put(sent, **changes)
            return True
        # Until it is sealed, its log and its metrics may be on another machine.
        is_sure = not doubts and (bool(run.log or run.history) or _is_second(known))
        self._finish(sent, known, is_sure=is_sure, **changes)
        return True

    def _trial(self, trial: Trial, run: Run, *, parent: str) -> bool:
        """Send a trial, and return whether it may be there twice."""
        known = self._rows.get(trial.ref)
        if known is not None and known.state == "done":
            return False
        shown = mirrored.of_trial(trial, run, parent=parent, project=self._house.project)
        sent = self._begun(trial.ref, shown)
        logged = history.parse(self._house.objects.get(trial.history)) if trial.history else []
        points = [*mirrored.points(history.frame_of(logged)), *mirrored.steps(trial)]
        self._mirror.tell(sent.remote, shown, points=points)
        return self._finish(sent, known).state == "doubtful"

    def _version(self, name: str) -> bool:
        house = self._house
        version = house.models.get(name)
        run = self._rows.get(f"run:{version.run}")
        if run is None or not run.remote or run.state == "begun":
            return False  # after its run
        shown = mirrored.of_version(version, remote_run=run.remote, project=house.project)
        sent = known = self._rows.get(version.ref)
        is_collected = version.collected_at is not None
        if sent is None or sent.state != "done":
            files = {} if is_collected else house.models.files(version)
            sent, number = self._made(
                version.ref, lambda number: self._mirror.register(shown, files, known=number)
            )
            sent = self._finish(sent, known, remote=number)
        if is_collected and sent.state == "done":
            self._mirror.retire(shown, sent.remote)
            self._put(sent, state="retired")
        return True

    def _alias(self, name: str, to: int | None) -> bool:
        model, _, alias = name.partition("@")
        subject = f"alias:{name}"
        sent = self._rows.get(subject) or self._new(subject)
        if to is None:
            self._mirror.point(model, alias, None)
            with self._house.ledger.write() as connection:
                self._lease.check(connection)
                self._rows.drop(subject, connection)
            return True
        version = self._rows.get(f"model_version:{model}/{to}")
        if version is None or not version.remote:
            return False  # after its version
        self._mirror.point(model, alias, version.remote)
        self._put(sent, state="done", told=str(to), error="")
        return True

    def _card(self, name: str) -> bool:
        version = self._house.models.get(name)
        run = self._rows.get(f"run:{version.run}")
        if run is None or not run.remote or run.state == "begun":
            return False
        self._mirror.attach(run.remote, self._house.pages(version))
        self._put(self._new(f"card:{name}"), state="done")
        return True

    def _files(self, run: Run) -> dict[str, bytes]:
        log = self._house.runs.log(run.id).encode()
        verdicts = self._house.verdicts.list(run=run.id)
        return {
            "run.json": msgspec.json.format(msgspec.json.encode(run)),
            **({"verdicts.json": msgspec.json.format(msgspec.json.encode(verdicts))} if verdicts else {}),
            **({"log.txt": log[-_MOST_LOG:]} if log else {}),
        }

    def _begun(self, subject: str, shown: MirroredRun) -> Sent:
        """Return what is known of a run that is there, which is found or made where that is not sure."""
        known = self._rows.get(subject)
        if known is not None and known.state in {"open", "refused"} and known.remote:
            return known
        sent, remote = self._made(subject, lambda known: self._mirror.begin(shown, known=known))
        return self._put(sent, state="open", remote=remote)

    def _made(self, subject: str, make: Callable[[str], str]) -> tuple[Sent, str]:
        """Make something, or find it, after that was written down; return that and the mirror's name of it.

        Where it had been written down already, nobody knows whether it was made, and it may be there twice.
        """
        known = self._rows.get(subject)
        unsure = known is not None and (known.unsure or known.state == "begun")
        sent = self._put(known or self._new(subject), state="begun", unsure=unsure)
        try:
            return sent, make(sent.remote)
        except MirrorUnavailable as error:
            if not error.may_have_made and not unsure:
                self._restore(subject, known)
            raise

    def _restore(self, subject: str, known: Sent | None) -> None:
        with self._house.ledger.write() as connection:
            self._lease.check(connection)
            if known is None:
                self._rows.drop(subject, connection)
            else:
                self._rows.put(known, connection)

    def _finish(self, sent: Sent, known: Sent | None, *, is_sure: bool = True, **changes: Any) -> Sent:
        """Write down that all was told of something; `known` is what stood there before this pass."""
        is_done = is_sure and (not sent.unsure or _is_second(known))
        state: State = "done" if is_done else "doubtful"
        return self._put(sent, **{**changes, "state": state, "unsure": False, "error": ""})

    def _new(self, subject: str) -> Sent:
        return Sent(mirror=self._mirror.place, subject=subject, state="begun", at=self._house.clock.now())

    def _put(self, sent: Sent, **changes: Any) -> Sent:
        changed: Sent = msgspec.structs.replace(sent, at=self._house.clock.now(), **changes)
        with self._house.ledger.write() as connection:
            self._lease.check(connection)
            return self._rows.put(changed, connection)

    def _say(self, *, seconds: float) -> None:
        """Keep why the mirror could not be reached, or that it can be again; where nothing is new nothing is written."""
        known = self._rows.get(ITSELF)
        if self.error or (known is not None and known.error):
            changes = {"error": self.error, "seconds": seconds if self.error else 0.0}
            self._put(known or self._new(ITSELF), state="open", **changes)

    @property
    def _is_over(self) -> bool:
        return self._deadline is not None and monotonic() > self._deadline


def _is_second(known: Sent | None) -> bool:
    """Return whether this is the look at what was doubtful."""
    return known is not None and known.state == "doubtful"


def _is_left_alone(known: Sent | None, clock: Clock) -> bool:
    """Return whether a mirror was silent so lately, and at such a price, that it is not asked now."""
    if known is None or not known.error or known.seconds <= _LONG:
        return False
    return known.at > clock.now() - _LEFT_ALONE
