"""The ledger's rows of model versions: written once, and read with a look at whether they were altered."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, func, select

from treadle.core.errors import NotFound, PackageRefused, not_found
from treadle.core.records import ModelVersion, from_json, to_json
from treadle.store.ledger.tables import micros, model_versions

RESTORE = "Restore the ledger from a backup, or make another version: treadle run."


def names(ledger: Connection) -> list[str]:
    """Return the names of all models, sorted."""
    chosen = select(model_versions.c.model).distinct().order_by(model_versions.c.model)
    return list(ledger.execute(chosen).scalars())


def numbers(ledger: Connection, model: str) -> list[int]:
    """Return the numbers of a model's versions, in order."""
    chosen = select(model_versions.c.version).where(model_versions.c.model == model)
    return list(ledger.execute(chosen.order_by(model_versions.c.version)).scalars())


def span(found: list[int]) -> str:
    """Return numbers as from the first to the last.

    >>> span([1]), span([1, 2, 3])
    ('1', '1 to 3')
    """
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def version(ledger: Connection, model: str, number: int) -> ModelVersion:
    """Return one version.

    Raises:
        NotFound: there is none of that number; the message says which there are.
        PackageRefused: its row was altered.
    """
    chosen = select(model_versions.c.body, model_versions.c.digest)
    chosen = chosen.where(model_versions.c.model == model, model_versions.c.version == number)
    found = ledger.execute(chosen).one_or_none()
    if found is not None:
        return _record(found.body, model, number, digest=found.digest)
    known = numbers(ledger, model)
    if not known:
        raise not_found("model", model, names(ledger))
    msg = f"{model} has no version {number}. Versions: {span(known)}."
    raise NotFound(msg)


def of_run(ledger: Connection, run: str) -> ModelVersion | None:
    """Return the version that a run has registered, or None."""
    body = ledger.execute(select(model_versions.c.body).where(model_versions.c.run == run)).scalar()
    return None if body is None else from_json(body, ModelVersion)


def insert(ledger: Connection, made: ModelVersion) -> ModelVersion:
    """Write a version down under the model's next number, and return it with that."""
    last = select(func.max(model_versions.c.version)).where(model_versions.c.model == made.model)
    numbered = msgspec.structs.replace(made, version=(ledger.execute(last).scalar() or 0) + 1)
    ledger.execute(
        model_versions.insert().values(
            model=numbered.model,
            version=numbered.version,
            digest=numbered.digest,
            run=numbered.run,
            created_at=micros(numbered.created_at),
            body=to_json(numbered),
        )
    )
    return numbered


def replace(ledger: Connection, changed: ModelVersion) -> ModelVersion:
    """Write down what has become of a version beside its package, and return it."""
    chosen = (model_versions.c.model == changed.model) & (model_versions.c.version == changed.version)
    ledger.execute(model_versions.update().where(chosen).values(body=to_json(changed)))
    return changed


def _record(body: str, model: str, number: int, *, digest: str) -> ModelVersion:
    """Return a stored record whose columns say the same as it does.

    Raises:
        PackageRefused: the row was altered.
    """
    try:
        version = from_json(body, ModelVersion)
    except msgspec.MsgspecError as error:
        msg = f"The ledger's row of {model}/{number} cannot be read ({error}): it was altered. {RESTORE}"
        raise PackageRefused(msg) from error
    if (version.model, version.version, version.digest) != (model, number, digest):
        msg = f"The ledger's row of {model}/{number} contradicts itself: it was altered. {RESTORE}"
        raise PackageRefused(msg)
    return version
