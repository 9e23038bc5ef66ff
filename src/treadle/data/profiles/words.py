"""Numbers in words: how a profile writes counts, shares, values and moments for people."""

from __future__ import annotations

import math
import unicodedata
from datetime import datetime

_LONGEST = 60
#: A year, or a time of day such as 1435, is not written with a separator.
_SEPARATED = 10_000


def count(value: float) -> str:
    """Write a whole number with separators.

    >>> count(336776)
    '336,776'
    """
    return f"{value:,.0f}"


def share(value: float) -> str:
    """Write a share as a percentage that is never rounded to none or all when it is neither.

    >>> [share(value) for value in (0, 0.00001, 0.028, 0.5, 0.9999, 1)]
    ['0 %', '<0.01 %', '2.8 %', '50 %', '>99.9 %', '100 %']
    """
    percent = 100 * value
    if percent == 0 or percent == 100:
        return f"{percent:.0f} %"
    if percent < 0.01:
        return "<0.01 %"
    if percent > 99.9:
        return ">99.9 %"
    digits = 2 if percent < 1 else 1
    return f"{percent:.{digits}f}".rstrip("0").rstrip(".") + " %"


def number(value: float | None) -> str:
    """Write a number with four digits that count, without a row of zeros; separators begin at five digits.

    >>> [number(value) for value in (1043.7, 4095, 0.02803, 12.0, 1.5e-7, -2e12, None)]
    ['1044', '4095', '0.02803', '12', '1.5e-07', '-2e+12', '–']
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e10:
        return f"{value:,.0f}" if abs(value) >= _SEPARATED else f"{value:.0f}"
    if not 1e-4 <= abs(value) < 1e10:
        return f"{value:.3g}"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}" if abs(value) >= _SEPARATED else f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(value: datetime, *, every: str = "") -> str:
    """Write a moment as finely as stretches of that length need; to the minute where none is given.

    >>> moment(datetime(2013, 1, 31, 5), every="1d"), moment(datetime(2013, 1, 31, 5))
    ('2013-01-31', '2013-01-31 05:00')
    """
    if every and every[-1] in "dwoy":
        return f"{value:%Y-%m-%d}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if every.endswith("s") else f"{value:%Y-%m-%d %H:%M}"


def plural(value: int, one: str, many: str = "") -> str:
    """Write a count with its noun.

    >>> plural(1, "row"), plural(2, "row"), plural(2, "is", "are")
    ('1 row', '2 rows', '2 are')
    """
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def shown(text: str, *, longest: int = _LONGEST) -> str:
    """Write a value from the data so that it cannot pass for something else.

    Characters that are not seen, or that change the direction of what follows, become a visible escape; long text is cut.

    >>> shown("a\\tb"), shown(""), shown("x" * 99, longest=5)
    ('a\\\\tb', '(empty)', 'xxxx…')
    """
    if not text:
        return "(empty)"
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    seen = "".join(_visible(character) for character in cut)
    return seen if seen.strip() else f"({len(text)} spaces)" if len(text) > 1 else "(a space)"


def _visible(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Co", "Cn"}:
        return character.encode("unicode_escape").decode()
    return character
