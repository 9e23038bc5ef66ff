"""What becomes of a request for predictions: read, answered, shown, logged, counted, and offered to shadows."""

from __future__ import annotations

from typing import Any

from treadle.core.clock import monotonic
from treadle.serving.admission import Admission
from treadle.serving.answer import Answer
from treadle.serving.careful import Careful
from treadle.serving.dataplane import Call, Dataplane, Prepared
from treadle.serving.explanations import Explanations
from treadle.serving.keeping import Keeper
from treadle.serving.log import PredictionLog
from treadle.serving.shadows import Shadows
from treadle.serving.telemetry import Telemetry
from treadle.serving.threads import COUNT, Threads
from treadle.serving.together import Together
from treadle.serving.web import Request, Response

#: Requests with more rows, or larger bodies, are answered in a thread, so that they hold up nobody.
INLINE_ROWS, INLINE_BYTES = 256, 64 * 1024


class Predicting:
    """Answers requests for predictions, in whatever protocol they come."""

    def __init__(
        self,
        plane: Dataplane,
        log: PredictionLog,
        *,
        admission: Admission,
        telemetry: Telemetry,
        explanations: Explanations,
        threads: Threads,
    ) -> None:
        """Take the parts that it is made of."""
        self._plane, self._log, self._admission = plane, log, admission
        self._telemetry, self._explanations, self._threads = telemetry, explanations, threads
        #: Where requests wait that run together.
        self.together = Together(plane, threads.pool, threads=COUNT)
        self._careful = Careful(plane, otherwise=self._answered)
        self._shadows, self._keeper = Shadows(log.put), Keeper(log)

    async def predict(self, protocol: Any, request: Request) -> Response:
        """Answer a request that a protocol reads and renders.

        Raises:
            TreadleError: it is refused, or the model failed.
        """
        endpoint = request.names["endpoint"]
        if len(request.body) > INLINE_BYTES:
            answer, call, response = await self._threads.run(self._answer, protocol, endpoint, request)
            if isinstance(answer, Prepared):
                answer = await self._careful.run(answer)
                response = await self._threads.run(self._rendered, protocol, answer, call)
        else:
            call = protocol.parse(request)
            prepared = self._plane.begin(endpoint, call)
            if prepared.batch.is_open:
                prepared = await self.together.fill(prepared)
            self._admission.check(request.deadline)
            if request.notes:
                request.notes.decoded = monotonic()
            if prepared.choice.on_trial:
                answer = await self._careful.run(prepared)
            else:
                answer = await self._answered(prepared)
            late = self._threads.run(self._rendered, protocol, answer, call) if call.explain else None
            response = await late if late else protocol.render(answer, call)
        kept: Response = response
        if request.notes:
            request.notes.answer, request.notes.answered = answer, monotonic()
        if self._log.durability == "sync":
            await self._keeper.keep(answer.entry())
        else:
            self._log.put(answer.entry())
        if request.notes:
            request.notes.logged = monotonic()
        self._telemetry.answered(answer, monotonic() - request.received)
        loaded = self._plane.loaded[endpoint]
        if loaded.router.shadowed:
            self._shadows.offer(loaded, answer, call)
        return kept

    async def _answered(self, prepared: Prepared) -> Answer:
        """Answer a request by a variant that is trusted; many rows in a thread."""
        if prepared.batch.is_open:
            prepared = await self.together.fill(prepared)
        if prepared.batch.rows > INLINE_ROWS:
            answer: Answer = await self._threads.run(self._plane.run, prepared)
            return answer
        return await self.together.run(prepared)

    def _answer(self, protocol: Any, endpoint: str, request: Request) -> tuple[Any, Call, Any]:
        """Answer a large request; one for a challenger, which may hang, is only prepared."""
        self._admission.check(request.deadline)
        call = protocol.parse(request)
        prepared = self._plane.prepare(endpoint, call)
        if prepared.choice.on_trial:
            return prepared, call, None
        return (answer := self._plane.run(prepared)), call, self._rendered(protocol, answer, call)

    def _rendered(self, protocol: Any, answer: Answer, call: Call) -> Response:
        told = self._explanations.explained(answer) if call.explain else answer
        return protocol.render(told, call)  # type: ignore[no-any-return]
