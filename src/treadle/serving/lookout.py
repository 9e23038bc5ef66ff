"""What a server does about the rollouts of its endpoints: it reports what it counts, and judges by what all have counted.

So a challenger that fails or is slow is rolled back although no watcher runs.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from treadle.core.clock import monotonic
from treadle.core.errors import Conflict
from treadle.core.rollout import GuardVerdict, RolloutState
from treadle.serving.dataplane import Dataplane, Loaded
from treadle.serving.guard import Case, Guard, judged, made
from treadle.serving.rollouts import Rollouts
from treadle.serving.tallies import Reported

_log = logging.getLogger("treadle.serving")

#: Seconds between reports.
EVERY = 2.0
#: Times that a step cannot be loaded before its rollout is rolled back: a store may have been away for a moment.
_TRIES = 3


class Lookout:
    """Looks after the rollouts of the endpoints that a process has loaded."""

    def __init__(self, plane: Dataplane, rollouts: Rollouts, *, server: str, every: float = EVERY) -> None:
        self._plane, self._rollouts, self._server, self._every = plane, rollouts, server, every
        self._last = 0.0
        self._said: dict[str, bytes] = {}

    def look(self) -> None:
        """Report and judge, when it is time.

        Raises:
            StoreUnavailable: the ledger does not answer.
        """
        if monotonic() - self._last < self._every:
            return
        guarded = [loaded for loaded in self._plane.loaded.values() if loaded.router.tallies]
        refused = {name: one for name, one in self._plane.refused.items() if one.tries >= _TRIES}
        if not guarded and not refused:
            return
        self._last = monotonic()
        states = {state.endpoint: state for state in self._rollouts.list(open_only=True)}
        for loaded in guarded:
            state = states.get(loaded.revision.endpoint)
            if state is not None and state.revision == loaded.revision.revision:
                self._report(loaded)
                self._judge(state, _guards(state))

        for name, refusal in refused.items():
            state = states.get(name)
            if state is not None and state.revision == refusal.revision:
                verdict = GuardVerdict(guard="load", status="bad", reason=refusal.error)
                self._roll_back(state, (verdict,))

    def _report(self, loaded: Loaded) -> None:
        """Write down what was counted, where that has changed."""
        revision = loaded.revision
        tallies = {name: tally.copied() for name, tally in loaded.router.tallies.items()}
        said = msgspec.json.encode((revision.revision, tallies))
        if self._said.get(revision.endpoint) != said:
            self._rollouts.report(
                Reported(
                    server=self._server,
                    endpoint=revision.endpoint,
                    revision=revision.revision,
                    tallies=tallies,
                )
            )
            self._said[revision.endpoint] = said

    def _judge(self, state: RolloutState, guards: list[Guard]) -> None:
        if not guards:
            return
        primary, challenger = self._rollouts.tallies(state)
        case = Case(stage=state.now, primary=primary, challenger=challenger, stages=len(state.stages))
        verdicts = judged(guards, case)
        if any(verdict.status == "bad" for verdict in verdicts):
            self._roll_back(state, verdicts)

    def _roll_back(self, state: RolloutState, verdicts: Sequence[GuardVerdict]) -> None:
        bad = next(verdict for verdict in verdicts if verdict.status == "bad")
        try:
            self._rollouts.roll_back(state, actor=f"guard {bad.guard}", reason=bad.reason, verdicts=verdicts)
        except Conflict:
            return  # another server or a watcher was faster
        _log.warning(
            "rolled back %s of endpoint %s: %s", state.challenger.version, state.endpoint, bad.reason
        )


def _guards(state: RolloutState) -> list[Guard]:
    """Return the guards that need nothing but counts; one that is not installed here is left to the watcher."""
    found = []
    for spec in state.guards:
        try:
            guard = made(spec)
        except Exception as error:  # noqa: BLE001 - a guard may be foreign code, or of a later release
            _log.warning("guard %s of rollout %s cannot be made here: %s", spec.get("guard"), state.id, error)
            continue
        if guard.needs == "tallies":
            found.append(guard)
    return found
