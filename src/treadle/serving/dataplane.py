"""What answers predictions, for every way in: the loaded revisions, swapped whole, and the call of the model.

A new revision is loaded and warmed beside the old one; then one reference is replaced. A request keeps the
revision that it began with. A revision that cannot be loaded is refused, reported, and tried again later; the old
one goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from treadle.core.answers import shape_of
from treadle.core.clock import Clock, monotonic
from treadle.core.errors import (
    InvalidInput,
    ModelFailed,
    NotFound,
    NotLoaded,
    PackageRefused,
    TreadleError,
    not_found,
)
from treadle.core.ids import new_id
from treadle.core.records import Revision, Variant
from treadle.core.servable import Servable
from treadle.serving.encoding import micros
from treadle.serving.entries import PredictionEntry
from treadle.serving.requests import Batch, Reader
from treadle.serving.variants import choose

Loader = Callable[[Variant], Servable]

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0
_LONGEST_ID = 200


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request for predictions, as a protocol hands it over."""

    #: Reads the rows, once the variant and so the signature is known.
    read: Callable[[Reader], Batch]
    #: The caller's id for the request; empty: one is made.
    id: str = ""
    #: Who or what the prediction is for; decides the variant.
    subject: str | None = None
    #: The key of each row, as canonical JSON, so that its outcome can be found.
    keys: list[str] | None = None
    #: The model version that was asked for by number; None: the traffic decides.
    version: int | None = None
    #: Monotonic seconds at which the request came.
    received: float
    #: What the protocol needs to know again when it renders the answer.
    asked: Any = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions for one request, and where they came from."""

    id: str
    endpoint: str
    revision: int
    variant: Variant
    #: Why this variant.
    assignment: str
    subject: str | None
    keys: list[str] | None
    at: datetime
    #: Seconds since the request came.
    latency: float
    batch: Batch
    #: `prediction` and what else the signature says; arrays of shape (rows,), or (rows, columns).
    outputs: dict[str, np.ndarray]
    #: By output, what its columns are called, of those that have several.
    columns: dict[str, tuple[str, ...]]
    #: Outputs whose numbers are probabilities of labels, each by itself.
    independent: frozenset[str] = frozenset()

    def rows(self) -> list[dict[str, Any]]:
        """Return the answer to each row as plain values; several numbers by their columns' names."""
        found = [_plain(values, self.columns.get(name)) for name, values in self.outputs.items()]
        return [dict(zip(self.outputs, row, strict=True)) for row in zip(*found, strict=True)]

    def _sure(self, shares: np.ndarray) -> np.ndarray:
        """Return how probable what is said is; of a set of labels, what is said of the one that is least sure."""
        if "probabilities" in self.independent:
            return np.asarray(np.maximum(shares, 1 - shares).min(axis=1))
        return np.asarray(shares.max(axis=1))

    def entry(self) -> PredictionEntry:
        """Return what the log keeps of it."""
        probability, shares = self.outputs.get("probability"), self.outputs.get("probabilities")
        said = self.outputs["prediction"]
        # A prediction that is text or several numbers, and outputs beside the two usual ones, are kept as JSON.
        plain = (
            said.ndim == 1 and said.dtype != object and not set(self.outputs) - {"prediction", "probability"}
        )
        number = said.ndim == 1 and said.dtype != object
        return PredictionEntry(
            request_id=self.id,
            endpoint=self.endpoint,
            revision=self.revision,
            model=self.variant.model,
            version=self.variant.version,
            variant=self.variant.name,
            assignment=self.assignment,
            subject=self.subject,
            at=micros(self.at),
            latency=self.latency,
            inputs=self.batch.values,
            keys=self.keys,
            predictions=said.astype(np.float64).tolist() if number else [None] * self.batch.rows,
            probabilities=None if probability is None else probability.tolist(),
            outputs=None if plain else [msgspec.json.encode(row).decode() for row in self.rows()],
            confidences=None if shares is None else self._sure(shares).tolist(),
        )


class Prepared(msgspec.Struct, frozen=True):
    """A request whose rows are read, and what will answer it."""

    id: str
    revision: Revision
    variant: Variant
    assignment: str
    servable: Servable
    batch: Batch
    call: Call


class Ready(msgspec.Struct, frozen=True):
    """A model version in memory and the reader of its requests."""

    servable: Servable
    reader: Reader


class Loaded(msgspec.Struct, frozen=True):
    """A revision with all its variants in memory."""

    revision: Revision
    #: (model, version) → what answers.
    ready: dict[tuple[str, int], Ready]


class Refusal(msgspec.Struct, frozen=True):
    """A revision that could not be loaded."""

    revision: int
    error: str
    #: Monotonic seconds at which it is tried again.
    again: float
    tries: int


class Dataplane:
    """The loaded endpoints of one process."""

    def __init__(
        self,
        current: Callable[[], Mapping[str, Revision]],
        loader: Loader,
        *,
        clock: Clock,
        max_rows: int = 10_000,
    ) -> None:
        """Prepare an empty plane; `current` reads the newest revisions, `loader` loads and verifies a version."""
        self._current, self._loader, self._clock, self._max_rows = current, loader, clock, max_rows
        self._loaded: dict[str, Loaded] = {}
        self._refused: dict[str, Refusal] = {}
        self._refreshing = threading.Lock()
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
        variant = loaded.revision.variants[0] if version is None else _of_version(loaded, version)
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
        """Choose what answers a request and read its rows.

        Raises:
            NotFound, NotLoaded, InvalidInput: as for `predict`.
        """
        loaded = self._find(endpoint)
        request = _checked_id(call.id)
        variant, assignment = self._assign(loaded, call, request)
        ready = loaded.ready[variant.model, variant.version]
        batch = call.read(ready.reader)
        if call.keys is not None and len(call.keys) != batch.rows:
            msg = f"There are {len(call.keys)} keys for {batch.rows} rows. Expected one for each row."
            raise InvalidInput(msg, field="keys")
        return Prepared(request, loaded.revision, variant, assignment, ready.servable, batch, call)

    def run(self, prepared: Prepared) -> Answer:
        """Call the model for a prepared request.

        Raises:
            ModelFailed: as for `predict`.
        """
        call, variant = prepared.call, prepared.variant
        outputs = _run(prepared.servable, prepared.batch, variant)
        return Answer(
            id=prepared.id,
            endpoint=prepared.revision.endpoint,
            revision=prepared.revision.revision,
            variant=variant,
            assignment=prepared.assignment,
            subject=call.subject,
            keys=call.keys,
            at=self._clock.now(),
            latency=monotonic() - call.received,
            batch=prepared.batch,
            outputs=outputs,
            columns={f.name: f.columns for f in prepared.servable.signature.outputs if f.columns},
            independent=frozenset(f.name for f in prepared.servable.signature.outputs if f.independent),
        )

    def _assign(self, loaded: Loaded, call: Call, request: str) -> tuple[Variant, str]:
        if call.version is not None:
            return _of_version(loaded, call.version), "asked for by version"
        if call.subject is not None:
            variant, reason = choose(loaded.revision, call.subject)
            return variant, reason if len(loaded.revision.variants) == 1 else f"subject: {reason}"
        variant, reason = choose(loaded.revision, request)
        return variant, reason if len(loaded.revision.variants) == 1 else f"request: {reason}"

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
        except Exception as error:  # noqa: BLE001 - a model is foreign code: whatever it raises, the old one goes on
            self._refused = {**self._refused, name: self._refusal(name, revision, error)}
            return
        self._loaded = {**self._loaded, name: Loaded(revision, ready)}
        self._refused = {key: value for key, value in self._refused.items() if key != name}

    def _ready(self, before: Loaded | None, key: tuple[str, int], variant: Variant) -> Ready:
        if before and key in before.ready:
            return before.ready[key]
        servable = self._loader(variant)
        ready = Ready(servable, Reader(servable.signature, max_rows=self._max_rows))
        _warm(ready, variant)
        return ready

    def _refusal(self, name: str, revision: Revision, error: Exception) -> Refusal:
        last = self._refused.get(name)
        tries = last.tries + 1 if last and last.revision == revision.revision else 1
        pause = min(_FIRST_PAUSE * 2 ** (tries - 1), _LONGEST_PAUSE)
        said = str(error) if isinstance(error, TreadleError) else f"{type(error).__name__}: {error}"
        text = f"Revision {revision.revision} of endpoint {name} was refused: {said}"
        return Refusal(revision.revision, text, monotonic() + pause, tries)


def _versions(revision: Revision) -> dict[tuple[str, int], Variant]:
    return {(variant.model, variant.version): variant for variant in revision.variants}


def _of_version(loaded: Loaded, version: int) -> Variant:
    for variant in loaded.revision.variants:
        if variant.version == version:
            return variant
    known = ", ".join(str(variant.version) for variant in loaded.revision.variants)
    msg = f"Endpoint {loaded.revision.endpoint} has no version {version} loaded. Loaded: {known}."
    raise NotFound(msg)


def _checked_id(given: str) -> str:
    if len(given) > _LONGEST_ID or not given.isprintable():
        msg = f"The id has {len(given)} characters. Expected at most {_LONGEST_ID} printable ones, or none."
        raise InvalidInput(msg, field="id")
    return given or new_id()


def _run(servable: Servable, batch: Batch, variant: Variant) -> dict[str, np.ndarray]:
    try:
        outputs = servable.predict(batch.columns)
    except Exception as error:
        msg = f"Model {variant.model}/{variant.version} failed: {type(error).__name__}: {error}"
        raise ModelFailed(msg) from error
    columns = {field.name: field.columns for field in servable.signature.outputs}
    for name, values in outputs.items():
        if values.shape != shape_of(columns.get(name, ()), batch.rows):
            msg = f"Model {variant.model}/{variant.version} gave {name} of shape {values.shape} for {batch.rows} rows."
            raise ModelFailed(msg)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            bad = values[row] if values.ndim == 1 else values[row].tolist()
            msg = f"Model {variant.model}/{variant.version} gave {name} {bad} for row {row}."
            raise ModelFailed(msg)
    if "prediction" not in outputs:
        msg = f"Model {variant.model}/{variant.version} gave no 'prediction', only {', '.join(outputs)}."
        raise ModelFailed(msg)
    return outputs


def _plain(values: np.ndarray, columns: tuple[str, ...] | None) -> list[Any]:
    if columns is None:
        return list(values.tolist())
    return [dict(zip(columns, row, strict=True)) for row in values.tolist()]


_NEUTRAL = {"float32": np.float32(0), "int64": np.int64(0), "string": ""}


def _warm(ready: Ready, variant: Variant) -> None:
    """Run the model once on one row and once on several, so that the first caller does not wait for it."""
    for rows in (1, 2):
        columns = {
            field.name: np.full(
                rows, _NEUTRAL[field.tensor], dtype=object if field.tensor == "string" else None
            )
            for field in ready.reader.signature.inputs
        }
        try:
            _run(ready.servable, Batch(rows, columns, {}), variant)
        except ModelFailed as error:
            msg = f"The first call of it failed: {error}"
            raise PackageRefused(msg) from error
