"""What of an answer the log keeps: a fraction of the requests, and of their fields no more than may be written down.

Everything here happens before an entry is made bytes, so what is left out is on no disk: neither in segments nor in tables.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.core.errors import SettingsError
from treadle.core.hashing import BUCKETS, bucket, buckets
from treadle.core.ids import canonical
from treadle.core.settings import ServingSettings
from treadle.serving.entries import Entry, PredictionEntry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Requests whose answer a person still has to look at, or that got none, are kept whatever the fraction.
ALWAYS = frozenset({"abstain", "review", "ask"})
_SUBJECT = "subject"
_SALT = "log"


@dataclass(frozen=True, kw_only=True)
class Discretion:
    """The fraction of requests that is kept, the names that are left out, and those whose values are hashed.

    >>> Discretion(fraction=0.1, dropped=frozenset({"name"})).of(entry)      # doctest: +SKIP
    """

    fraction: float = 1.0
    dropped: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    secret: bytes = b""

    @property
    def is_plain(self) -> bool:
        """Whether everything is kept as it is."""
        return self.fraction >= 1 and not self.dropped and not self.hashed

    def of(self, entry: Entry) -> Entry | None:
        """Return what is kept of an entry; None: nothing, its request is not in the sample. Outcomes always are."""
        if isinstance(entry, PredictionEntry):
            fraction = 1.0 if ALWAYS.intersection(entry.decisions or ()) else self.fraction
            # All workers, and the shadows of a request, agree.
            if fraction < 1 and bucket(entry.request_id, salt=_SALT) >= fraction * BUCKETS:
                return None
            entry = msgspec.structs.replace(entry, sampled=fraction)
        return self._redacted(entry) if self.dropped or self.hashed else entry

    def _redacted(self, entry: Entry) -> Entry:
        keys = [self.key(key) for key in entry.keys] if entry.keys else entry.keys
        if not isinstance(entry, PredictionEntry):
            return msgspec.structs.replace(entry, keys=keys)
        inputs = self.inputs(entry.inputs)
        subject = None if _SUBJECT in self.dropped else entry.subject
        if subject is not None and _SUBJECT in self.hashed:
            subject = self.hash(subject)
        is_whole = keys is not None and None not in keys
        return msgspec.structs.replace(entry, inputs=inputs, subject=subject, keys=keys if is_whole else None)

    def inputs(self, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        """Return what is kept of inputs: name → one value for each row."""
        return {
            name: [self.hash(value) for value in values] if name in self.hashed else values
            for name, values in inputs.items()
            if name not in self.dropped
        }

    def key(self, text: str | None) -> str | None:
        """Return the text of a key as it is kept; None: none of its columns is."""
        if text is None:
            return None
        kept = {
            name: self.hash(value) if name in self.hashed else value
            for name, value in msgspec.json.decode(text).items()
            if name not in self.dropped
        }
        return canonical(kept).decode() if kept else None

    def hash(self, value: Any) -> str | None:
        """Return what stands for a value: the same text for the same value and secret; null stays null."""
        if value is None:
            return None
        return hmac.new(self.secret, canonical(value), sha256).hexdigest()[:32]


def in_sample(requests: Sequence[str], fraction: float) -> npt.NDArray[np.bool_]:
    """Return which of some requests are in a sample by their ids alone, without those that are always kept."""
    return buckets([requests], salt=_SALT) < fraction * BUCKETS


def discretion(settings: ServingSettings) -> Discretion | None:
    """Return what is configured; None: everything is kept as it is.

    Raises:
        SettingsError: the fraction is none, a name is both dropped and hashed, or hashing lacks its secret.
    """
    if not 0 < settings.sample <= 1:
        msg = f"serving.sample is {settings.sample:g}. Expected the fraction of requests to log: above 0, at most 1."
        raise SettingsError(msg)
    dropped, hashed = _names(settings.redact_drop), _names(settings.redact_hash)
    if both := sorted(dropped & hashed):
        msg = f"{both[0]!r} is in serving.redact_drop and in serving.redact_hash. Name it in one of them."
        raise SettingsError(msg)
    if hashed and not settings.redact_key:
        msg = (
            "serving.redact_hash needs a secret, or anybody could try values until one fits. Set serving.redact_key, or "
            "TREADLE_SERVING__REDACT_KEY_FILE to a file that holds it."
        )
        raise SettingsError(msg)
    made = Discretion(
        fraction=settings.sample, dropped=dropped, hashed=hashed, secret=settings.redact_key.encode()
    )
    return None if made.is_plain else made


def _names(text: str) -> frozenset[str]:
    names: Sequence[str] = [name.strip() for name in text.split(",")]
    return frozenset(name for name in names if name)
