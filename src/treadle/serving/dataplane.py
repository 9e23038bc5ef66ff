"""What answers predictions, for every way in: the loaded revisions, swapped whole, and the call of the model.

A new revision is loaded and warmed beside the old one; then one reference is replaced. A request keeps the
revision that it began with. A revision that cannot be loaded is refused, reported, and tried again later; the old
one goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import (
    InvalidInput,
    ModelFailed,
    NotLoaded,
    TreadleError,
    not_found,
)
from treadle.core.records import Revision, Variant
from treadle.core.servable import Servable
from treadle.core.signature import Signature
from treadle.serving import mixture
from treadle.serving.answer import Answer
from treadle.serving.answering import with_answers
from treadle.serving.bandit import router_of
from treadle.serving.computing import reader_of
from treadle.serving.given import Given
from treadle.serving.on_demand import OnDemand
from treadle.serving.preparing import assign, checked_id, of_version, read, read_instead
from treadle.serving.refused import Refusal, refused
from treadle.serving.requests import Batch, Reader
from treadle.serving.runtime import Ready, make_ready, resident, run, run_together
from treadle.serving.variants import Choice, Router
from treadle.serving.wanted import OnlineRead, Open, whole

Loader = Callable[[Variant], Servable]


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request for predictions, as a protocol hands it over."""

    #: Reads the rows, once the variant and so the signature is known.
    read: Callable[[Reader], Batch]
    #: Monotonic seconds at which the request came.
    received: float
    #: The caller's id for the request; empty: one is made.
    id: str = ""
    #: Who or what the prediction is for; decides the variant.
    subject: str | None = None
    #: The key of each row, as canonical JSON, so that its outcome can be found.
    keys: list[str] | None = None
    #: The model version that was asked for by number; None: the traffic decides.
    version: int | None = None
    #: Whether the caller wants to know what each input adds to the answer.
    explain: bool = False
    #: What the protocol needs to know again when it renders the answer.
    asked: Any = None


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """A request whose rows are read, and what will answer it."""

    id: str
    revision: Revision
    choice: Choice
    ready: Ready
    batch: Batch
    call: Call
    #: What was loaded when the request came.
    loaded: Loaded


class Loaded(msgspec.Struct, frozen=True):
    """A revision with all its variants in memory."""

    revision: Revision
    #: (model, version) → what answers.
    ready: dict[tuple[str, int], Ready]
    router: Router
    #: What answers for all variants together, and as whom; None: each answers by itself.
    mixture: tuple[Ready, Choice] | None = None


class Dataplane:
    """The loaded endpoints of one process."""

    def __init__(
        self,
        current: Callable[[], Mapping[str, Revision]],
        loader: Loader,
        *,
        clock: Clock,
        max_rows: int = 10_000,
        online: OnlineRead | None = None,
        on_demand: OnDemand | None = None,
    ) -> None:
        """Prepare an empty plane; `current` reads the newest revisions, `loader` loads and verifies a version.

        `online` reads features that callers do not send, `on_demand` computes those that are made of what they send.
        """
        self._current, self._loader, self._max_rows = current, loader, max_rows
        #: What says when an answer was given.
        self.clock = clock
        self._online, self._on_demand = online, on_demand
        self._loaded: dict[str, Loaded] = {}
        self._refused: dict[str, Refusal] = {}
        self._refreshing = threading.Lock()
        #: Versions that were loaded, and revisions that could not be.
        self.loads = self.failed_loads = 0
        #: Whether the endpoints have been read at least once.
        self.looked = False

    @property
    def loaded(self) -> Mapping[str, Loaded]:
        """The endpoints that answer, by name."""
        return self._loaded

    @property
    def refused(self) -> Mapping[str, Refusal]:
        """The endpoints whose newest revision was refused, by name."""
        return self._refused

    @property
    def unanswered(self) -> list[str]:
        """The endpoints that have a revision but none that could be loaded, sorted."""
        return sorted(set(self._refused) - set(self._loaded))

    def refresh(self, *, force: bool = False) -> list[str]:
        """Load what has changed; return the endpoints whose state is another than before.

        With `force`, a refused revision is tried again at once, instead of after a growing pause.

        Raises:
            StoreUnavailable: the revisions cannot be read.
        """
        with self._refreshing:
            changed = []
            for name, revision in self._current().items():
                if self._due(name, revision, force=force):
                    self._take(name, revision)
                    changed.append(name)
            self.looked = True
            return changed

    def reader(self, endpoint: str, version: int | None = None) -> tuple[Loaded, Variant, Reader]:
        """Return what answers an endpoint, the variant of `version` (or the first), and its reader.

        Raises:
            NotFound: there is no such endpoint, or none of its variants has that version.
            NotLoaded: no revision of it could be loaded yet.
        """
        loaded = self._find(endpoint)
        if version is None and loaded.mixture is not None:
            ready, choice = loaded.mixture
            return loaded, choice.variant, ready.reader
        variant = loaded.revision.variants[0] if version is None else of_version(loaded, version)
        return loaded, variant, loaded.ready[variant.model, variant.version].reader

    def predict(self, endpoint: str, call: Call) -> Answer:
        """Answer one request, all its rows by one variant of one revision.

        Raises:
            NotFound, NotLoaded: as for `reader`.
            InvalidInput: the rows do not fit the variant's signature.
            ModelFailed: the model raised, or its answer is not one finite number for each row.
        """
        return self.run(self.prepare(endpoint, call))

    def prepare(self, endpoint: str, call: Call) -> Prepared:
        """Choose what answers a request and read its rows, with their features.

        Raises:
            NotFound, NotLoaded, InvalidInput: as for `predict`.
        """
        prepared = self.begin(endpoint, call)
        while isinstance(prepared.batch, Open) and prepared.batch.is_open:
            try:
                prepared.batch.fill(prepared.batch.wanted.read())
            except TreadleError as error:
                prepared = self.unfilled(prepared, error)
        return prepared

    def fill(self, prepared: Prepared, found: Any) -> Prepared:
        """Give rows the features that came for them; they may want more then.

        Raises:
            InvalidInput: there is none where the model needs one.
            FeatureFailed: one could not be computed.
        """
        assert isinstance(prepared.batch, Open)
        try:
            prepared.batch.fill(found)
        except TreadleError as error:
            return self.unfilled(prepared, error)
        return prepared

    def unfilled(self, prepared: Prepared, error: TreadleError) -> Prepared:
        """Read a request whose features are not to be had as the first variant takes it, where a challenger was to answer it.

        Raises:
            TreadleError: it was no challenger; the error.
        """
        if not prepared.choice.on_trial:
            raise error
        choice, ready, batch = read_instead(prepared.loaded, prepared.choice, prepared.call)
        return msgspec.structs.replace(prepared, choice=choice, ready=ready, batch=batch)

    def begin(self, endpoint: str, call: Call) -> Prepared:
        """Choose what answers a request and read its rows; features that are not on this machine are still wanted.

        Raises:
            NotFound, NotLoaded, InvalidInput: as for `predict`.
        """
        loaded = self._find(endpoint)
        request = checked_id(call.id)
        choice, ready, batch = read(loaded, assign(loaded, call, request), call)
        if call.keys is not None and len(call.keys) != batch.rows:
            msg = f"There are {len(call.keys)} keys for {batch.rows} rows. Expected one for each row."
            raise InvalidInput(msg, field="keys")
        return Prepared(request, loaded.revision, choice, ready, batch, call, loaded)

    def run(self, prepared: Prepared) -> Answer:
        """Call the model for a prepared request; where the challenger of a rollout fails, the first variant answers.

        Raises:
            InvalidInput, ModelFailed: as for `predict`.
        """
        try:
            outputs = run(prepared.ready, prepared.batch, prepared.choice.variant)
        except ModelFailed:
            if prepared.choice.tally is not None:
                prepared.choice.tally.missed()
            if not prepared.choice.on_trial:
                raise
            return self.instead(prepared, "failed")
        return self._answer(prepared, Given.of(outputs), self.clock.now(), monotonic())

    def instead(self, prepared: Prepared, why: str) -> Answer:
        """Answer a request by the first variant, since the challenger of a rollout did not: `why` says how so.

        Raises:
            InvalidInput, ModelFailed: as for `predict`.
        """
        other = self.other(prepared, why)
        whole(other.batch)
        return self.run(other)

    def other(self, prepared: Prepared, why: str) -> Prepared:
        """Read a request as the first variant takes it, since the challenger did not answer; features may still be wanted.

        Raises:
            InvalidInput: as for `predict`.
        """
        loaded, call = prepared.loaded, prepared.call
        choice = loaded.router.instead(prepared.choice, why)
        ready = loaded.ready[choice.variant.model, choice.variant.version]
        return Prepared(prepared.id, loaded.revision, choice, ready, call.read(ready.reader), call, loaded)

    def run_together(self, several: Sequence[Prepared]) -> list[Answer | TreadleError]:
        """Call a model once for prepared requests that the same version answers; return what became of each."""
        first = several[0]
        found = run_together(first.ready, [one.batch for one in several], first.choice.variant)
        at, now = self.clock.now(), monotonic()
        return [
            self._failed(one, outputs)
            if isinstance(outputs, TreadleError)
            else self._answer(one, outputs, at, now)
            for one, outputs in zip(several, found, strict=True)
        ]

    def run_all(self, several: Sequence[Prepared]) -> list[Answer | TreadleError]:
        """Answer prepared requests of whatever variants, those of one version together; return what became of each."""
        places: dict[int, list[int]] = {}
        for place, one in enumerate(several):
            places.setdefault(id(one.ready), []).append(place)
        found: dict[int, Answer | TreadleError] = {}
        for of_one in places.values():
            found |= zip(of_one, self.run_together([several[place] for place in of_one]), strict=True)
        return [found[place] for place in range(len(several))]

    def _failed(self, prepared: Prepared, error: TreadleError) -> Answer | TreadleError:
        choice = prepared.choice
        if choice.tally is not None and isinstance(error, ModelFailed):
            choice.tally.missed()
        if not choice.on_trial:
            return error
        try:
            return self.instead(prepared, "failed")
        except TreadleError as also:  # the matter of this request, and not of those that ran together with it
            return also

    def _answer(self, prepared: Prepared, outputs: Given, at: datetime, now: float) -> Answer:
        call, choice, ready = prepared.call, prepared.choice, prepared.ready
        if choice.tally is not None:
            choice.tally.answered(now - call.received)
        if prepared.batch.lacking:
            outputs = Given.of({**outputs, "features": np.array(prepared.batch.lacking, dtype=object)})
        return Answer(
            prepared.id,
            prepared.revision.endpoint,
            prepared.revision.revision,
            choice.variant,
            choice.reason,
            call.subject,
            call.keys,
            prepared.batch.as_of or at,
            now - call.received,
            prepared.batch,
            outputs,
            ready.columns,
            choice.propensity,
            ready.independent,
            ready.members,
        )

    def _find(self, endpoint: str) -> Loaded:
        found = self._loaded.get(endpoint)
        if found is not None:
            return found
        if endpoint in self._refused:
            msg = f"Endpoint {endpoint} has no revision that can be loaded: {self._refused[endpoint].error}"
            raise NotLoaded(msg)
        if not self.looked:
            msg = "The endpoints are still being loaded. Try again in a moment."
            raise NotLoaded(msg)
        raise not_found("endpoint", endpoint, self._loaded)

    def _due(self, name: str, revision: Revision, *, force: bool) -> bool:
        loaded = self._loaded.get(name)
        if loaded and loaded.revision.revision == revision.revision:
            return False
        refusal = self._refused.get(name)
        if refusal is None or refusal.revision != revision.revision:
            return True
        return force or monotonic() >= refusal.again

    def _take(self, name: str, revision: Revision) -> None:
        before = self._loaded.get(name)
        try:
            ready = {key: self._ready(before, key, variant) for key, variant in _versions(revision).items()}
            together = self._mixture(revision, ready)
        except Exception as error:  # noqa: BLE001 - a model is foreign code: whatever it raises, the old one goes on
            self._refused = {**self._refused, name: refused(self._refused.get(name), revision, error)}
            self.failed_loads += 1
            return
        self._loaded = {**self._loaded, name: Loaded(revision, ready, router_of(revision), together)}
        self._refused = {key: value for key, value in self._refused.items() if key != name}

    def _ready(self, before: Loaded | None, key: tuple[str, int], variant: Variant) -> Ready:
        for there in (before, *self._loaded.values()):
            if there and key in there.ready:
                return there.ready[key]
        held = resident()
        loaded = self._loader(variant)
        servable = with_answers(loaded)
        reader = self._reader(servable.signature, variant)
        made = make_ready(servable, variant, reader=reader, samples=getattr(loaded, "samples", None))
        self.loads += 1
        return msgspec.structs.replace(
            made,
            memory=max(0, resident() - held),
            provider=getattr(loaded, "provider", "native"),
            fallback=getattr(loaded, "fallback", ""),
        )

    def _reader(self, signature: Signature, variant: Variant) -> Reader:
        return reader_of(
            signature,
            max_rows=self._max_rows,
            online=self._online,
            on_demand=self._on_demand,
            model=variant.model,
        )

    def _mixture(
        self, revision: Revision, ready: Mapping[tuple[str, int], Ready]
    ) -> tuple[Ready, Choice] | None:
        if not mixture.is_mixture(revision.traffic):
            return None
        variants = mixture.members_of(revision.traffic, revision.variants)
        servable = mixture.mixed(
            revision.traffic, [(v, ready[v.model, v.version].servable) for v in variants]
        )
        variant, reason = mixture.named(revision.traffic, variants)
        reader = self._reader(servable.signature, variant)
        made = make_ready(servable, variant, reader=reader, samples=getattr(servable, "samples", None))
        by_name = {v.name: (v.model, v.version, v.name) for v in variants}
        propensity = 1 - revision.holdout
        return msgspec.structs.replace(made, members=by_name), Choice(variant, reason, propensity)


def _versions(revision: Revision) -> dict[tuple[str, int], Variant]:
    return {(variant.model, variant.version): variant for variant in revision.variants}
