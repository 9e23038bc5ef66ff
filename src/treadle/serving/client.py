"""`td.Client` and `td.AsyncClient`: predictions from a server elsewhere, with Treadle's own errors.

Made of the standard library alone, so that a program that only asks needs nothing else; see decision 0024.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, overload
from urllib.parse import quote

import msgspec

from treadle.core.clock import monotonic
from treadle.core.errors import ServerUnavailable
from treadle.core.ids import new_id
from treadle.serving.client_wire import Pool, problem_of, retry_after

Row = Mapping[str, Any]
_T = TypeVar("_T")

#: Statuses that say: the same request may be answered later.
_LATER = {429, 502, 503, 504}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_MORE = 0.1


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one row, and where it came from."""

    #: By which its outcome can be reported.
    prediction_id: str
    prediction: Any
    #: Of yes, where there are two classes.
    probability: float | None = None
    #: By class or label, where there are several.
    probabilities: dict[str, float] | None = None
    #: What else the endpoint says, as `interval` or `decision`.
    more: dict[str, Any] = {}
    endpoint: str = ""
    revision: int = 0
    model: str = ""
    version: int = 0
    variant: str = ""

    def __getitem__(self, name: str) -> Any:
        """Return what is said under a name, as `td.Predictor`'s answers do."""
        if name in self.more:
            return self.more[name]
        if name not in self.__struct_fields__:
            raise KeyError(name)
        return getattr(self, name)


class _Told(msgspec.Struct):
    """The body of an answer."""

    predictions: list[dict[str, Any]]
    endpoint: str
    revision: int
    model: str
    version: int
    variant: str


_TOLD = msgspec.json.Decoder(_Told)
_OWN = ("prediction_id", "prediction", "probability", "probabilities")


class Client:
    """Asks an endpoint of a prediction server; may be shared by threads.

    A call takes at most `timeout` seconds, all its tries together. It is tried up to `retries` times more where the server cannot be
    reached or says that it has too much to do, after pauses that grow, and never before the server's `Retry-After`. Each
    call has an id, which its tries share: outcomes that are sent twice count once, and a prediction that was answered twice can be told.

    >>> with Client("delay", url="http://localhost:8080") as client:       # doctest: +SKIP
    ...     client.predict({"carrier": "UA", "distance": 1400}).probability
    """

    def __init__(
        self,
        endpoint: str,
        *,
        url: str = "http://127.0.0.1:8080",
        token: str = "",
        timeout: float = 10.0,
        retries: int = 3,
    ) -> None:
        """Prepare it; nothing is sent.

        Raises:
            InvalidInput: the address is not one of http or https.
        """
        self._pool = Pool(url, token=token)
        self._place = f"/v1/endpoints/{quote(endpoint, safe='')}"
        self._timeout, self._retries = timeout, retries
        self._sleep = threading.Event()
        #: Of calls that began in another thread, when they end.
        self._begun = threading.local()

    @overload
    def predict(
        self, rows: Row, *, subject: str | None = ..., key: Row | None = ..., id: str | None = ...
    ) -> Prediction: ...
    @overload
    def predict(
        self,
        rows: Sequence[Row],
        *,
        subject: str | None = ...,
        key: Sequence[Row] | None = ...,
        id: str | None = ...,
    ) -> list[Prediction]: ...
    def predict(
        self,
        rows: Row | Sequence[Row],
        *,
        subject: str | None = None,
        key: Row | Sequence[Row] | None = None,
        id: str | None = None,  # noqa: A002 - what it is called in every protocol
    ) -> Prediction | list[Prediction]:
        """Answer one row with one `Prediction`, or several, or a frame of Polars or pandas, with a list.

        `key` says by which columns the outcome will be found, for the row or for each of the rows.

        Raises:
            InvalidInput: a row does not fit; `field` is as `rows[3].distance`.
            NotFound: there is no such endpoint.
            AuthRequired: the token is missing or wrong.
            ServerUnavailable: it did not answer in time, or had too much to do.
            ModelFailed: the model or the server failed.
        """
        is_one = isinstance(rows, Mapping)
        body: dict[str, Any] = {"rows": [rows] if is_one else _rows(rows), "id": id or new_id()}
        if subject is not None:
            body["subject"] = subject
        if key is not None:
            body["keys"] = [key] if is_one else list(key)
        told = _TOLD.decode(self._ask("POST", "/predict", body))
        found = [_prediction(said, told) for said in told.predictions]
        return found[0] if is_one else found

    def outcome(
        self,
        value: float | bool | str,
        *,
        prediction_id: str | None = None,
        key: Row | None = None,
    ) -> None:
        """Report the true value of a prediction, which is named by its id or by its key.

        Raises:
            InvalidInput: it names neither or both, or the value is of another kind than what is predicted.
            NotFound, AuthRequired, ServerUnavailable: as for `predict`.
        """
        named = {"prediction_id": prediction_id, "key": key}
        self.outcomes([{"value": value, **{name: said for name, said in named.items() if said is not None}}])

    def outcomes(self, outcomes: Sequence[Row], *, id: str | None = None) -> int:  # noqa: A002 - as for predict
        """Report outcomes, each `{"value": …}` with a `prediction_id` or a `key`; return how many were taken.

        Raises:
            InvalidInput, NotFound, AuthRequired, ServerUnavailable: as for `outcome`.
        """
        sent = self._ask("POST", "/outcomes", {"outcomes": list(outcomes), "id": id or new_id()})
        return int(msgspec.json.decode(sent)["accepted"])

    def describe(self) -> dict[str, Any]:
        """Return the endpoint's revision, its variants, and what it takes and gives.

        Raises:
            NotFound, AuthRequired, ServerUnavailable: as for `predict`.
        """
        return dict(msgspec.json.decode(self._ask("GET", "", None)))

    def close(self) -> None:
        """Close the connections; calls that wait for another try give up."""
        self._sleep.set()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def until(self, end: float, call: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
        """Make one of this client's calls so that it ends at a monotonic moment: for one that waited for a thread."""
        self._begun.end = end
        try:
            return call(*arguments, **options)
        finally:
            self._begun.end = None

    @property
    def timeout(self) -> float:
        """Seconds that a call may take."""
        return self._timeout

    def _ask(self, method: str, path: str, body: Any) -> bytes:
        data = None if body is None else msgspec.json.encode(body, enc_hook=_plain)
        end = getattr(self._begun, "end", None) or monotonic() + self._timeout
        tries = 0
        while True:
            try:
                answered = self._pool.send(method, self._place + path, data, end=end)
            except ServerUnavailable as error:
                problem: Exception = error
                wait = 0.0
            else:
                if answered.status in {200, 202}:
                    return answered.body
                problem, wait = problem_of(answered), retry_after(answered)
                if answered.status not in _LATER:
                    raise problem
            tries += 1
            pause = max(wait, min(_FIRST_PAUSE * 2 ** (tries - 1), _LONGEST_PAUSE) * random.uniform(0.5, 1))
            if tries > self._retries or monotonic() + pause >= end or self._sleep.wait(pause):
                raise problem


class AsyncClient:
    """`Client` for programs that run an event loop: the same calls, awaited, up to `connections` at once.

    The calls run in threads, so a call that is cancelled is no longer waited for, but its request may still be answered.

    >>> async with AsyncClient("delay") as client:                          # doctest: +SKIP
    ...     (await client.predict({"carrier": "UA", "distance": 1400})).probability
    """

    def __init__(self, endpoint: str, *, connections: int = 16, **options: Any) -> None:
        """Prepare it; `options` are those of `Client`."""
        self._client = Client(endpoint, **options)
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="treadle-client")

    @overload
    async def predict(
        self, rows: Row, *, subject: str | None = ..., key: Row | None = ..., id: str | None = ...
    ) -> Prediction: ...
    @overload
    async def predict(
        self,
        rows: Sequence[Row],
        *,
        subject: str | None = ...,
        key: Sequence[Row] | None = ...,
        id: str | None = ...,
    ) -> list[Prediction]: ...
    async def predict(self, rows: Any, **options: Any) -> Any:
        """Answer as `Client.predict` does, with the same errors."""
        return await self._run(self._client.predict, rows, **options)

    async def outcome(self, value: float | bool | str, **named: Any) -> None:
        """Report an outcome as `Client.outcome` does."""
        await self._run(self._client.outcome, value, **named)

    async def outcomes(self, outcomes: Sequence[Row], *, id: str | None = None) -> int:  # noqa: A002 - as for predict
        """Report outcomes as `Client.outcomes` does."""
        return await self._run(self._client.outcomes, outcomes, id=id)

    async def describe(self) -> dict[str, Any]:
        """Describe the endpoint as `Client.describe` does."""
        return await self._run(self._client.describe)

    async def close(self) -> None:
        """Close the connections; calls that wait for another try give up."""
        self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
        loop, timeout = asyncio.get_running_loop(), self._client.timeout
        work = partial(self._client.until, monotonic() + timeout, call, *arguments, **options)
        try:
            # A little more than the call takes itself, so that what it says is said; waiting for a thread counts as well.
            return await asyncio.wait_for(loop.run_in_executor(self._threads, work), timeout + _MORE)
        except TimeoutError as error:
            msg = f"The prediction server did not answer within {timeout:g} s. More calls may be under way than `connections`."
            raise ServerUnavailable(msg) from error


def _prediction(said: dict[str, Any], told: _Told) -> Prediction:
    return Prediction(
        prediction_id=said["prediction_id"],
        prediction=said["prediction"],
        probability=said.get("probability"),
        probabilities=said.get("probabilities"),
        more={name: value for name, value in said.items() if name not in _OWN},
        endpoint=told.endpoint,
        revision=told.revision,
        model=told.model,
        version=told.version,
        variant=told.variant,
    )


def _rows(rows: Any) -> list[Row]:
    """Return rows as a list; a frame of Polars or pandas is taken apart."""
    if hasattr(rows, "to_dicts"):
        return list(rows.to_dicts())
    if hasattr(rows, "to_dict"):
        return list(rows.to_dict("records"))
    return list(rows)


def _plain(value: Any) -> Any:
    """Return what JSON has no word for as what it has: NumPy's scalars, moments of pandas and what is missing there."""
    if value != value:  # NaN and NaT are not what they are
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    if type(value).__name__ == "NAType":
        return None
    msg = (
        f"A value is a {type(value).__name__}. Expected what JSON can say, or NumPy's or pandas' own scalars."
    )
    raise TypeError(msg)
