"""Which versions an endpoint answers with, and how they share its requests: read from a file or from words, and made a revision.

holdout = 0.05                  # share of the subjects that stay with the first variant

[traffic]                       # split (the default), bandit, ensemble or cascade, with its own fields
type = "bandit"
floor = 0.05
mature = "1d"

[[variants]]
name = "champion"
version = "delay@champion"

[[variants]]
name = "challenger"
version = "delay/7"
weight = 0.5
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput, closest
from treadle.core.records import Revision, Variant
from treadle.core.traffic import Bandit, Cascade, Ensemble, Split, Traffic
from treadle.registry.collection import refuse_collected

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

_KINDS: dict[str, type[Any]] = {"split": Split, "bandit": Bandit, "cascade": Cascade, "ensemble": Ensemble}
#: What a bandit learns, and no person says.
_LEARNT = {"since", "posterior"}


class Share(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One variant, as it is declared."""

    name: str
    #: As `delay/3` or `delay@champion`.
    version: str
    #: None: what the others leave, or as the kind of traffic has it.
    weight: float | None = None
    shadow: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an endpoint answers, as it is declared."""

    variants: tuple[Share, ...]
    #: `type` and the fields of that kind; spans may be words, as `1d`.
    traffic: dict[str, Any] = {}
    #: None: as before.
    holdout: float | None = None


def plan_of(given: Plan | Mapping[str, Any] | Path | str) -> Plan:
    """Return a plan of plain values, or of a TOML or JSON file.

    Raises:
        InvalidInput: the file cannot be read, or something in it is unknown or of the wrong type.
    """
    if isinstance(given, Plan):
        return given
    values = dict(given) if isinstance(given, Mapping) else _read(Path(given))
    try:
        return msgspec.convert(values, Plan)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at ")
        place = at.strip("`").removeprefix("$").removeprefix(".")
        hint = "Expected variants (name, version, weight, shadow), traffic and holdout."
        msg = f"The plan does not fit: {text.replace('`', chr(39))}{f' in {place}' if place else ''}. {hint}"
        raise InvalidInput(msg, field=place or None) from error


def plan_of_words(
    words: Sequence[str], *, traffic: str = "split", options: Sequence[str] = (), holdout: float | None = None
) -> Plan:
    """Return the plan that words say: variants as `name=delay/3`, `name=delay/3:0.1` or `name=delay/3:shadow=0.5`.

    `options` are fields of the traffic, as `floor=0.05`.

    >>> plan_of_words(["champion=delay/3", "challenger=delay/4:0.1"]).variants[1].weight
    0.1

    Raises:
        InvalidInput: a word cannot be read.
    """
    fields: dict[str, Any] = {"type": traffic}
    for option in options:
        name, is_set, value = option.partition("=")
        if not is_set or not name:
            msg = f"The option is {option!r}. Expected a field of the traffic and its value, as floor=0.05."
            raise InvalidInput(msg, field="option")
        fields[name] = _value(value)
    return Plan(variants=tuple(map(_share, words)), traffic=fields, holdout=holdout)


def traffic_of(given: Mapping[str, Any]) -> Traffic:
    """Return the traffic of plain values.

    >>> traffic_of({"type": "bandit", "mature": "1d"}).mature
    86400.0

    Raises:
        InvalidInput: there is no such kind, or a field is unknown or of the wrong type.
    """
    kind = given.get("type", "split")
    if kind not in _KINDS:
        msg = f"There is no traffic of the type {kind!r}. {closest(str(kind), _KINDS)}"
        raise InvalidInput(msg, field="traffic.type")
    known = [name for name in _KINDS[kind].__struct_fields__ if name not in _LEARNT]
    fields = {name: value for name, value in given.items() if name != "type"}
    for name in fields:
        if name not in known:
            msg = f"A {kind} has no field {name!r}. {closest(name, known)}"
            raise InvalidInput(msg, field=f"traffic.{name}")
    for name in ("mature", "every"):
        if isinstance(fields.get(name), str):
            fields[name] = parse_span(fields[name]).total_seconds()
    try:
        found: Traffic = msgspec.convert(fields, _KINDS[kind], strict=True)
    except msgspec.ValidationError as error:
        text, _, at = str(error).partition(" - at ")
        place = at.strip("`").removeprefix("$.")
        msg = f"The {kind} does not fit: {text.replace('`', chr(39))}{f' in {place}' if place else ''}."
        raise InvalidInput(msg, field=f"traffic.{place}" if place else "traffic") from error
    return found


def variants_of(plan: Plan, traffic: Traffic, workspace: Workspace) -> list[Variant]:
    """Return a plan's variants, each the version that its reference names now.

    Raises:
        NotFound: there is no such version.
        PackageRefused: its package was collected.
        InvalidInput: the weights cannot be told.
    """
    weights = _weights(plan.variants, traffic)
    found = []
    for share, weight in zip(plan.variants, weights, strict=True):
        version = workspace.models.get(share.version)
        refuse_collected(version)
        found.append(
            Variant(
                name=share.name,
                model=version.model,
                version=version.version,
                weight=weight,
                shadow=share.shadow,
            )
        )
    return found


def point(workspace: Workspace, endpoint: str, version: str, *, reason: str, actor: str) -> Revision:
    """Let an endpoint answer with one version; an endpoint that does not exist is made."""
    with workspace.ledger.write() as connection:
        found = workspace.models.get(version, connection=connection)
        refuse_collected(found)
        variant = Variant(name="pinned", model=found.model, version=found.version)
        return workspace.endpoints.revise(
            endpoint, [variant], actor=actor, reason=reason, expected=None, connection=connection
        )


def revise(
    workspace: Workspace,
    endpoint: str,
    plan: Plan,
    *,
    reason: str,
    actor: str,
    expected: int | None,
) -> Revision:
    """Make a plan an endpoint's new revision; see `Workspace.revise`."""
    traffic = traffic_of(plan.traffic)
    variants = variants_of(plan, traffic, workspace)
    if isinstance(traffic, Bandit):
        traffic = msgspec.structs.replace(traffic, since=workspace.clock.now())
    return workspace.endpoints.revise(
        endpoint,
        variants,
        actor=actor,
        reason=reason,
        expected=expected,
        traffic=traffic,
        holdout=plan.holdout,
    )


def _weights(shares: Sequence[Share], traffic: Traffic) -> list[float]:
    answering = [share for share in shares if not share.shadow]
    given = [share for share in answering if share.weight is not None]
    if isinstance(traffic, Cascade):
        if given:
            msg = f"Variant {given[0].name} has a weight, and the variants of a cascade are asked in their order. Leave it out."
            raise InvalidInput(msg, field="variants")
        return [float(number == 0) for number in range(len(shares))]
    if not given and not isinstance(traffic, Split):
        even = [round(1 / max(len(answering), 1), 6)] * len(answering)
        rest = iter([1 - sum(even[1:]), *even[1:]])
        return [0.0 if share.shadow else next(rest) for share in shares]
    open_ = [share for share in answering if share.weight is None]
    if len(open_) > 1:
        msg = f"Neither {open_[0].name} nor {open_[1].name} has a weight. Expected one for all but one, which gets what they leave."
        raise InvalidInput(msg, field="variants")
    left = round(1 - sum(share.weight or 0.0 for share in given), 9)
    return [left if share in open_ else share.weight or 0.0 for share in shares]


def _share(word: str) -> Share:
    name, is_named, rest = word.partition("=")
    version, has_more, more = rest.partition(":")
    if not is_named or not name or not version:
        msg = f"The variant is {word!r}. Expected its name and version, as challenger=delay/4, and maybe its weight: challenger=delay/4:0.1."
        raise InvalidInput(msg, field="variants")
    if not has_more:
        return Share(name=name, version=version)
    kind, is_shadow, share = more.partition("=")
    if is_shadow and kind == "shadow":
        return Share(name=name, version=version, shadow=_number(share, word))
    return Share(name=name, version=version, weight=_number(more, word))


def _number(text: str, word: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"The share in {word!r} is {text!r}. Expected a number from 0 to 1."
        raise InvalidInput(msg, field="variants") from error


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
        found = msgspec.json.decode(data) if path.suffix == ".json" else tomllib.loads(data.decode())
    except OSError as error:
        msg = f"The plan {path} cannot be read: {error.strerror}."
        raise InvalidInput(msg, field="file") from error
    except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"The plan {path} is neither TOML nor (as .json) JSON: {error}."
        raise InvalidInput(msg, field="file") from error
    if not isinstance(found, dict):
        msg = f"The plan {path} holds no object. Expected variants, traffic and holdout."
        raise InvalidInput(msg, field="file")
    return found
