"""How a request is prepared: its id, the variant that answers it, and its rows as that one reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.core.errors import InvalidInput, NotFound
from treadle.core.ids import new_id
from treadle.core.records import Variant
from treadle.serving.requests import Batch
from treadle.serving.runtime import Ready
from treadle.serving.variants import Choice

if TYPE_CHECKING:
    from treadle.serving.dataplane import Call, Loaded

_LONGEST_ID = 200


def assign(loaded: Loaded, call: Call, request: str) -> tuple[Choice, Ready]:
    """Return what answers a request.

    Raises:
        NotFound: a version was asked for that is not loaded.
    """
    anonymous = call.subject is None or loaded.router.by_request
    subject, by = (request, "request") if anonymous else (call.subject or "", "subject")
    if call.version is not None:
        choice = Choice(of_version(loaded, call.version), "asked for by version")
    elif loaded.mixture is None:
        choice = loaded.router.choose(subject, by=by)
    elif not loaded.router.is_held(subject):
        ready, choice = loaded.mixture
        return choice, ready
    else:
        choice = Choice(loaded.revision.variants[0], f"{by}: holdout", loaded.revision.holdout)
    return choice, loaded.ready[choice.variant.model, choice.variant.version]


def read(loaded: Loaded, chosen: tuple[Choice, Ready], call: Call) -> tuple[Choice, Ready, Batch]:
    """Read a request's rows as its variant takes them; a challenger that refuses what the first variant takes has failed.

    Raises:
        InvalidInput: the rows do not fit the signature.
    """
    choice, ready = chosen
    try:
        return choice, ready, call.read(ready.reader)
    except InvalidInput:
        if not choice.on_trial:
            raise
    return read_instead(loaded, choice, call)


def read_instead(loaded: Loaded, choice: Choice, call: Call) -> tuple[Choice, Ready, Batch]:
    """Read a request's rows as the first variant takes them, since the challenger does not take what was sent.

    Raises:
        InvalidInput: the first one does not either.
    """
    instead = loaded.router.instead(choice, "does not take what was sent")
    ready = loaded.ready[instead.variant.model, instead.variant.version]
    batch = call.read(ready.reader)
    if choice.tally is not None:
        choice.tally.missed()
    return instead, ready, batch


def of_version(loaded: Loaded, version: int) -> Variant:
    """Return the variant of a version.

    Raises:
        NotFound: none of the loaded ones has it.
        InvalidInput: versions of several models have that number.
    """
    found = {one.model: one for one in loaded.revision.variants if one.version == version}
    if len(found) > 1:
        models = " and ".join(f"{model}/{version}" for model in found)
        msg = f"Endpoint {loaded.revision.endpoint} has {models}, so version {version} names no one of them. Ask without a version, or at an endpoint that has one of them only."
        raise InvalidInput(msg, field="version")
    if found:
        return next(iter(found.values()))
    known = ", ".join(str(variant.version) for variant in loaded.revision.variants)
    msg = f"Endpoint {loaded.revision.endpoint} has no version {version} loaded. Loaded: {known}."
    raise NotFound(msg)


def checked_id(given: str) -> str:
    """Return the caller's id for a request, or a new one.

    Raises:
        InvalidInput: it is too long, or cannot be printed.
    """
    if len(given) > _LONGEST_ID or not given.isprintable():
        msg = f"The id has {len(given)} characters. Expected at most {_LONGEST_ID} printable ones, or none."
        raise InvalidInput(msg, field="id")
    return given or new_id()
