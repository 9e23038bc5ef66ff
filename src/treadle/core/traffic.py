"""How the variants of a revision share its requests: the kinds of traffic, as they are stored with the revision."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class Split(msgspec.Struct, frozen=True, kw_only=True, tag="split"):
    """Each subject keeps to one variant, as the weights say."""


class Bandit(msgspec.Struct, frozen=True, kw_only=True, tag="bandit", omit_defaults=True):
    """Thompson sampling: a variant gets requests as often as it is likely to be the best, by the rewards so far.

    The weights of the revision's variants are these chances, so what was chosen, and how probable that was, can be said
    of every request for ever. A new posterior is a new revision.
    """

    #: Share of the requests that each variant keeps, so that its estimate goes on being one.
    floor: float = 0.02
    #: Whether a large outcome is a good one.
    larger_is_better: bool = True
    #: What is rewarded: the outcome itself, or that the prediction was right.
    reward: Literal["outcome", "right"] = "outcome"
    #: The outcomes that count as no reward and as a whole one; those beyond count as the nearer of the two.
    low: float = 0.0
    high: float = 1.0
    #: Seconds after which a prediction is looked at: rewards that come early are not counted before those that come late.
    mature: float = 0.0
    #: What a prediction is worth that has no outcome by then: nothing is known of it, or it was no success.
    absent: Literal["unknown", "zero"] = "unknown"
    #: Seconds at least from one posterior to the next.
    every: float = 600.0
    #: What keeps its variant until the next posterior: a subject (where a request names one), or nothing but the request.
    sticky: Literal["subject", "request"] = "subject"
    #: The moment from which predictions count; None: that of the revision.
    since: datetime | None = None
    #: Of each variant by name, the two numbers of its Beta posterior; none: nothing is known yet.
    posterior: dict[str, tuple[float, float]] = {}


class Cascade(msgspec.Struct, frozen=True, kw_only=True, tag="cascade"):
    """The first variant is asked; the next one where the answer is less sure, and so on."""

    #: Confidence, 0 to 1, below which the next variant is asked.
    below: float


class Ensemble(msgspec.Struct, frozen=True, kw_only=True, tag="ensemble"):
    """All variants are asked; the answer is made of theirs."""

    #: The mean of the scored numbers, weighed as the variants are; their median; or of classes the variants' votes.
    by: Literal["mean", "median", "votes"] = "mean"


Traffic = Split | Bandit | Cascade | Ensemble
