"""Words that are in more or fewer texts than before, hashed into places: Fisher's exact test of each, corrected."""

from __future__ import annotations

import math

import numpy as np

from treadle.monitoring import tails
from treadle.monitoring.detector import Case, Measured
from treadle.monitoring.summaries import Text, bucket

#: Places that are tested exactly: those that differ most by a quick look, which can only miss what no test would find.
_TESTED = 12


class Detector:
    """See a change of vocabulary in a column of texts. The effect is the largest change in the share of texts that have some word."""

    least = 0.02
    of = "column"

    def measure(self, case: Case) -> Measured | None:
        """Compare."""
        before, now = case.before, case.now
        if not (isinstance(before, Text) and isinstance(now, Text)):
            return None
        n, m = now.known, before.known
        if not n or not m:
            return Measured(p=1.0, effect=0.0, floor=0.0, text="No row has a text.")
        share = (before.words + now.words) / (n + m)
        apart = now.words / n - before.words / m
        noise = np.sqrt(share * (1 - share) * (1 / n + 1 / m))
        far = np.divide(np.abs(apart), noise, out=np.zeros_like(noise), where=noise > 0)
        tested = np.argsort(-far)[:_TESTED]
        p = min(tails.two_shares(int(now.words[at]), n, int(before.words[at]), m) for at in tested)
        widest = int(np.argmax(np.abs(apart)))
        return Measured(
            p=min(1.0, p * max(1, int((share > 0).sum()))),
            effect=float(abs(apart[widest])),
            floor=float(math.sqrt(2 / math.pi) * noise[widest]),
            text=f"{now.words[widest] / n:.1%} of the texts have {_named(before, now, widest)}, {before.words[widest] / m:.1%} had.",
        )


def _named(before: Text, now: Text, place: int) -> str:
    words = [word for word in {**now.named, **before.named} if bucket(word) == place]
    return " or ".join(repr(word) for word in words[:2]) or "a certain rare word"
