"""Several versions that answer together: an ensemble of all, or a cascade in which a costly one is asked where a cheap one is unsure.

To its callers a mixture is one model, whose inputs are those of all its members. It answers row by row: which rows
come together changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from treadle.core.answers import aligned, completed, scored
from treadle.core.errors import InvalidInput, PackageRefused
from treadle.core.records import Variant
from treadle.core.servable import Servable
from treadle.core.signature import Computed, Field, OnlineView, Signature
from treadle.core.traffic import Cascade, Ensemble, Traffic
from treadle.serving.answering import confidence

Columns = Mapping[str, np.ndarray]
Outputs = dict[str, np.ndarray]
Member = tuple[Variant, Servable]

#: The outputs of a cascade that say which member answered a row.
VERSION, VARIANT = "version", "variant"
_LIKELY = ("probability", "probabilities")


def is_mixture(traffic: Traffic) -> bool:
    """Return whether the variants answer together."""
    return isinstance(traffic, Cascade | Ensemble)


def members_of(traffic: Traffic, variants: Sequence[Variant]) -> list[Variant]:
    """Return the variants that answer together: all but shadows, and of an ensemble those of some weight."""
    return [one for one in variants if not one.shadow and (one.weight or isinstance(traffic, Cascade))]


def check(traffic: Traffic, variants: Sequence[Variant]) -> None:
    """Make sure that variants can answer together, as far as their names say.

    Raises:
        InvalidInput: there are fewer than two, or the confidence of a cascade is none.
    """
    if not is_mixture(traffic):
        return
    kind = type(traffic).__name__.lower()
    if len(members_of(traffic, variants)) < 2:
        need = " of some weight" if isinstance(traffic, Ensemble) else ""
        msg = f"The variants are {', '.join(v.name for v in variants)}. Expected two or more{need} that answer, for {'an' if kind[0] == 'e' else 'a'} {kind}."
        raise InvalidInput(msg, field="variants")
    if isinstance(traffic, Cascade) and not 0 < traffic.below <= 1:
        msg = f"The cascade goes on below {traffic.below}. Expected a confidence: more than 0, and at most 1."
        raise InvalidInput(msg, field="traffic.below")


def mixed(traffic: Traffic, members: Sequence[Member]) -> Servable:
    """Return variants that answer together as one model.

    Raises:
        PackageRefused: they answer different questions, or take an input as different things.
    """
    if isinstance(traffic, Ensemble):
        return EnsembleModel(traffic, members)
    assert isinstance(traffic, Cascade)
    return CascadeModel(traffic, members)


def named(traffic: Traffic, members: Sequence[Variant]) -> tuple[Variant, str]:
    """Return what the log calls a mixture, with the first member's version, and who answers."""
    kind, first = type(traffic).__name__.lower(), members[0]
    shares = [f"{v.name} {v.weight:g}" if isinstance(traffic, Ensemble) else v.name for v in members]
    join = ", then " if isinstance(traffic, Cascade) else ", "
    return Variant(name=kind, model=first.model, version=first.version), f"{kind} of {join.join(shares)}"


class _Mixture:
    """What ensembles and cascades share: inputs of all members, and each member's own part of them."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._inputs = {field.name: field for field in _union(members)}
        self._same = _same_scored(members)
        samples = getattr(members[0][1], "samples", None)
        known = set(self._inputs) == set(members[0][1].signature.names)
        #: Rows to be warmed with, where the first member's are whole.
        self.samples = samples if known else None

    def _asked(self, place: int, columns: Columns) -> Outputs:
        """Return a member's answers, its scored numbers in the columns that all members share."""
        variant, servable = self._members[place]
        signature = servable.signature
        given = servable.predict(
            {f.name: _refitted(columns[f.name], self._inputs[f.name], f) for f in signature.inputs}
        )
        last = scored(signature)
        if last.columns != self._same.columns:
            source = f"Variant {variant.name}"
            given[last.name] = aligned(
                given[last.name], last.columns, columns=self._same.columns, source=source
            )
        return given


class EnsembleModel(_Mixture):
    """All members are asked; the answer follows from the mean, the median or the votes of their numbers."""

    def __init__(self, traffic: Ensemble, members: Sequence[Member]) -> None:
        """Take the members; what each says of its own intervals or decisions does not hold for the ensemble."""
        super().__init__(members)
        weights = np.array([variant.weight for variant, _ in members])
        self._weights, self._by = weights / weights.sum(), traffic.by
        own = members[0][1].signature
        followers = tuple(_widened(f, self._same) for f in own.outputs[:-1] if f.name in _followers(own))
        self._plain = Signature(inputs=tuple(self._inputs.values()), outputs=(*followers, self._same))
        self._classes = self._same.name in _LIKELY and not self._same.independent
        if traffic.by == "votes" and not self._classes:
            msg = f"An ensemble by votes needs classes, and its members answer with {self._same.name!r}. Take the mean or the median."
            raise PackageRefused(msg)
        more = (Field(name="agreement", kind="float"),) if self._classes else ()
        self.signature = msgspec.structs.replace(
            self._plain,
            outputs=(*followers, *more, self._same),
            views=_views(members),
            computed=_computed(members),
        )

    def predict(self, columns: Columns) -> Outputs:
        """Answer for encoded rows; `agreement` is the weight of the members that say the same class."""
        each = [self._asked(place, columns) for place in range(len(self._members))]
        numbers = np.stack([given[self._same.name] for given in each])
        votes = self._votes(numbers) if self._classes else None
        if self._by == "votes":
            assert votes is not None
            found = votes if numbers.ndim == 3 else votes[:, 1]
        elif self._by == "median":
            found = np.median(numbers, axis=0)
            if self._classes and numbers.ndim == 3:
                found = found / np.maximum(found.sum(axis=1, keepdims=True), 1e-300)
        else:
            found = np.tensordot(self._weights, numbers, axes=1)
        given = completed(found, self._plain)
        last = given.pop(self._same.name)
        if votes is not None:
            said = found.argmax(axis=1) if found.ndim == 2 else (found > 0.5).astype(np.int64)
            given["agreement"] = votes[np.arange(len(said)), said]
        return {**given, self._same.name: last}

    def _votes(self, numbers: np.ndarray) -> np.ndarray:
        """Return the weight of the members that say each class, of shape (rows, classes)."""
        said = numbers.argmax(axis=2) if numbers.ndim == 3 else (numbers > 0.5).astype(np.int64)
        count = numbers.shape[2] if numbers.ndim == 3 else 2
        return np.stack(
            [np.tensordot(self._weights, (said == one).astype(np.float64), axes=1) for one in range(count)],
            axis=1,
        )


class CascadeModel(_Mixture):
    """The first member answers; rows of which it is less sure than `below` go to the next, and so on to the last."""

    def __init__(self, traffic: Cascade, members: Sequence[Member]) -> None:
        """Take the members, the cheapest first."""
        super().__init__(members)
        if self._same.name not in _LIKELY:
            msg = f"A cascade needs confidences, and its members answer with {self._same.name!r}. Expected models of classes."
            raise PackageRefused(msg)
        self._below = traffic.below
        others = [{f.name for f in servable.signature.outputs} for _, servable in members[1:]]
        shared = [f for f in members[0][1].signature.outputs[:-1] if all(f.name in names for names in others)]
        self._shared = tuple(_widened(f, self._same) for f in shared)
        own = (Field(name=VERSION, kind="integer"), Field(name=VARIANT, kind="string"))
        self.signature = Signature(
            inputs=tuple(self._inputs.values()),
            outputs=(*self._shared, *own, self._same),
            views=_views(members),
            computed=_computed(members),
        )
        self._versions = np.array([variant.version for variant, _ in members], dtype=np.int64)
        self._names = np.array([variant.name for variant, _ in members], dtype=object)

    def predict(self, columns: Columns) -> Outputs:
        """Answer for encoded rows; `version` and `variant` are those of the member that answered each."""
        found = {name: values.copy() for name, values in self._told(0, columns).items()}
        by = np.zeros(len(found[self._same.name]), dtype=np.int64)
        for place in range(1, len(self._members)):
            # Whoever is sure in between has answered: only rows of the member before are still open.
            unsure = (by == place - 1) & (confidence(found[self._same.name], self._same) < self._below)
            rows = np.flatnonzero(unsure)
            if not rows.size:
                break
            given = self._told(place, {name: values[rows] for name, values in columns.items()})
            for name, values in given.items():
                found[name][rows] = values
            by[rows] = place
        last = found.pop(self._same.name)
        return {**found, VERSION: self._versions[by], VARIANT: self._names[by], self._same.name: last}

    def _told(self, place: int, columns: Columns) -> Outputs:
        given = self._asked(place, columns)
        kept = {field.name: given[field.name] for field in self._shared}
        return {**kept, self._same.name: given[self._same.name]}


def _followers(signature: Signature) -> set[str]:
    """Return the outputs that follow from the scored one, without what answers hold besides."""
    return {f.name for f in signature.outputs[:-1]} - {"interval", "set", "decision", "reason"}


def _union(members: Sequence[Member]) -> list[Field]:
    found: dict[str, Field] = {}
    for variant, servable in members:
        for field in servable.signature.inputs:
            known = found.get(field.name)
            if known is not None and _kind(known) != _kind(field):
                msg = f"Variant {variant.name} takes {field.name!r} as {field.kind}, another one as {known.kind}. Expected one kind, to answer together."
                raise PackageRefused(msg)
            both = field if known is None else known
            nullable = field.nullable and (known is None or known.nullable)
            found[field.name] = msgspec.structs.replace(both, nullable=nullable)
    return list(found.values())


def _kind(field: Field) -> str:
    return "string" if field.kind == "category" else field.kind


def _same_scored(members: Sequence[Member]) -> Field:
    """Return the scored output of all members; of classes, with every class that one of them knows."""
    first = scored(members[0][1].signature)
    columns = dict.fromkeys(first.columns)
    for variant, servable in members[1:]:
        last = scored(servable.signature)
        likely = first.name == "probabilities"
        if (last.name, last.kind, bool(last.columns)) != (first.name, first.kind, bool(first.columns)) or (
            not likely and last.columns != first.columns
        ):
            msg = (
                f"Variant {variant.name} answers with {_told_of(last)}, {members[0][0].name} with {_told_of(first)}. Expected the "
                "same question, to answer together."
            )
            raise PackageRefused(msg)
        columns |= dict.fromkeys(last.columns)
    return msgspec.structs.replace(first, columns=tuple(columns))


def _told_of(field: Field) -> str:
    return f"{field.name} of {', '.join(field.columns)}" if field.columns else field.name


def _widened(field: Field, last: Field) -> Field:
    if field.name == "set" and last.columns:
        return msgspec.structs.replace(field, columns=last.columns)
    return field


def _views(members: Sequence[Member]) -> tuple[OnlineView, ...]:
    found: dict[str, OnlineView] = {}
    for _, servable in members:
        for view in servable.signature.views:
            known = found.get(view.view)
            fields = view.fields if known is None else tuple(dict.fromkeys((*known.fields, *view.fields)))
            found[view.view] = msgspec.structs.replace(view, fields=fields)
    return tuple(found.values())


def _computed(members: Sequence[Member]) -> tuple[Computed, ...]:
    """Return the on-demand features of all members, where they are the same; else callers send what they give."""
    first, servable = members[0]
    found = servable.signature.computed
    alike = all(
        variant.model == first.model and other.signature.computed == found for variant, other in members[1:]
    )
    return found if alike else ()


def _refitted(values: np.ndarray, given: Field, wanted: Field) -> np.ndarray:
    """Return a column as a member takes it: one that allows what is missing takes whole numbers as floats."""
    if given.tensor == wanted.tensor:
        return values
    if wanted.kind == "timestamp":
        return (values.astype(np.float64) / 86_400e6).astype(np.float32)
    return values.astype(np.float32)
