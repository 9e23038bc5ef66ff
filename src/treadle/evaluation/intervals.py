"""The interval of a pair, by the method that is named, or else by the one that fits best."""

from __future__ import annotations

import math
from types import ModuleType

from treadle.core import plugins
from treadle.core.errors import InvalidInput
from treadle.evaluation.interval import Interval
from treadle.evaluation.pair import Pair
from treadle.evaluation.studentised import too_few


def interval(pair: Pair, *, alpha: float = 0.05, method: str | None = None) -> Interval:
    """Return the interval of a pair; equal predictions give exactly 0.

    >>> from treadle.evaluation.measures import metric
    >>> import numpy as np
    >>> y, p = np.arange(300.0), np.arange(300.0) + np.arange(300) % 3
    >>> pair = Pair(measure=metric("mae"), y=y, first=p, second=p[::-1] * 0 + y + 2)
    >>> found = interval(pair)
    >>> found.method, round(found.low, 2), found.difference, round(found.high, 2)
    ('influence', -1.09, -1.0, -0.91)

    Raises:
        InvalidInput: alpha is not between 0 and 1, or the method named does not fit; the message says why.
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha!r}. Expected more than 0 and less than 1, as 0.05 for 95 % intervals."
        raise InvalidInput(msg, field="alpha")
    chosen = chosen_for(pair, method)
    first, second = pair.values
    why = ""
    if pair.is_same:
        low = high = 0.0 if math.isfinite(first) else float("nan")
    elif why := too_few(pair):
        low = high = float("nan")
    else:
        low, high = _within(pair, *chosen.ends(pair, alpha=alpha))
    return Interval(
        first=first,
        second=second,
        difference=pair.difference,
        low=low,
        high=high,
        alpha=alpha,
        n=pair.n,
        units=pair.units,
        method=str(chosen.NAME),
        why=why,
    )


def _within(pair: Pair, low: float, high: float) -> tuple[float, float]:
    """Return the ends of one predictor's interval where its metric can have values; a difference's stay as they are."""
    if pair.second is not None:
        return low, high
    least, greatest = pair.measure.bounds
    return min(max(low, least), greatest), max(min(high, greatest), least)


def chosen_for(pair: Pair, method: str | None = None) -> ModuleType:
    """Return the method plug-in of that name; without one, the fitting one of the highest rank.

    Raises:
        InvalidInput: it does not fit the pair.
    """
    if method is not None:
        named: ModuleType = plugins.load("method", method)
        if unfit := named.unfit(pair):
            fitting = ", ".join(one.NAME for one in _all() if not one.unfit(pair))
            msg = f"The method {method!r} does not fit: {unfit}. Those that fit: {fitting}."
            raise InvalidInput(msg, field="method")
        return named
    return next(one for one in _all() if one.RANK > 0 and not one.unfit(pair))


def _all() -> list[ModuleType]:
    found = [plugins.load("method", name) for name in plugins.available("method")]
    return sorted(found, key=lambda one: -int(one.RANK))
