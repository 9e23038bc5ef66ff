"""Sums of floating-point numbers without rounding on the way: whole numbers in limbs of 32 bits.

A sum over a window is the difference of two running totals. With rounded totals a large amount long ago would blur the
small ones of today, and the order of addition would show in the last digits, so that what is served online would not
equal what was trained on. A double is a whole multiple of a power of two; split at fixed powers of 2^32 it becomes a few
whole numbers whose sums are exact, as in the long accumulator of Kulisch and Miranker (1986).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
_BITS = 32
_WIDE = np.uint64(_BITS)
_MASK = 2**_BITS - 1


def total(amounts: Floats, add: Callable[[Whole], Whole]) -> Floats:
    """Return sums of finite amounts, where `add` sums whole amounts; each is rounded once, at the end, as `math.fsum` does.

    Up to 2^31 amounts. What is too large for a double is infinite, and what is below the normal ones may be off by the
    last of its bits.
    """
    limbs = [(limb, add(whole)) for limb, whole in _split(amounts)]
    if not limbs:
        return add(np.zeros(len(amounts), dtype=np.int64)).astype(np.float64)
    return _joined(limbs)


def _split(amounts: Floats) -> list[tuple[int, Whole]]:
    """Return whole numbers below 2^32 in size, each with the limb that it stands in, from the lowest; all zero: none."""
    largest = float(np.abs(amounts).max(initial=0.0))
    limb, rest, found = int((np.frexp(largest)[1] - 1) // _BITS), amounts, []
    while rest.any():
        whole = np.trunc(np.ldexp(rest, -_BITS * limb))
        rest = rest - np.ldexp(whole, _BITS * limb)
        found.append((limb, whole.astype(np.int64)))
        limb -= 1
    return found[::-1]


def _joined(limbs: list[tuple[int, Whole]]) -> Floats:
    """Return the numbers that limbs from the lowest on, one beside the other, stand for."""
    carried = _carried([whole for _, whole in limbs])
    negative = carried[-1] < 0
    if negative.any():
        carried = _carried([np.where(negative, -whole, whole) for _, whole in limbs])
    nothing = np.zeros_like(negative, dtype=np.uint64)
    top, second, third, rest = nothing, nothing, nothing, np.zeros_like(negative)
    places = np.zeros(len(negative), dtype=np.int64)
    # From the highest limb on, each number takes in the first that is not zero and the two that follow it.
    for place, whole in zip(range(limbs[0][0] + len(limbs), limbs[0][0] - 1, -1), carried[::-1], strict=True):
        limb, begun = whole.astype(np.uint64), top > 0
        gap = places - place
        top = np.where(begun, top, limb)
        second = np.where(begun & (gap == 1), limb, second)
        third = np.where(begun & (gap == 2), limb, third)
        rest |= begun & (gap > 2) & (limb > 0)
        places = np.where(begun, places, place)
    size = _rounded(top, second, third, rest, places)
    return np.where(negative, -size, size)


def _rounded(top: Bits, second: Bits, third: Bits, rest: npt.NDArray[np.bool_], places: Whole) -> Floats:
    """Return three limbs as a double, to the nearest and to the even one of two; `rest`: something is below them."""
    # Shifted so that the highest of 64 bits is set. Of what falls off the end it matters only whether it is zero.
    spare = (_BITS - np.frexp(top.astype(np.float64))[1]).astype(np.uint64) * (top > 0)
    bits = (((top << _WIDE) | second) << spare) | (third >> (_WIDE - spare))
    lost = rest | ((third << spare) & np.uint64(_MASK) > 0)
    with np.errstate(over="ignore"):
        return np.ldexp((bits | lost).astype(np.float64), _BITS * (places - 1) - spare.astype(np.int64))


def _carried(limbs: list[Whole]) -> list[Whole]:
    """Return the limbs with each but one more below 2^32; that one has the sign of all."""
    carry, found = np.zeros_like(limbs[0]), []
    for limb in limbs:
        whole = limb + carry
        found.append(whole & _MASK)
        carry = whole >> _BITS
    return [*found, carry]
