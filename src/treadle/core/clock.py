"""What time it is: the one place that reads the clock.

Moments are time-zone-aware UTC `datetime`s with microseconds. Elapsed time is always monotonic.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from treadle.core.errors import InvalidInput, SettingsError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
#: Digits of a number that is longer than any span in any unit.
_DIGITS = 18
_SPAN = re.compile(r"(\d+)(s|m|h|d|w)")


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands where it was put: for tests and replays.

    >>> clock = ManualClock(datetime(2013, 1, 1, tzinfo=UTC))
    >>> clock.advance("1d"); clock.now().day
    2
    """

    def __init__(self, at: datetime) -> None:
        self._now = utc(at)

    def now(self) -> datetime:
        """Return the moment it was last put to."""
        return self._now

    def set(self, at: datetime) -> None:
        """Put the clock to a moment, also an earlier one."""
        self._now = utc(at)

    def advance(self, span: str) -> None:
        """Move the clock on by a span such as `90d` or `15m`."""
        self._now += parse_span(span)


class FileClock:
    """A clock whose moment stands in a file, so that several processes live in the same past.

    Back-tests and the demo use it (setting `clock.file`); the file holds one ISO 8601 moment.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, datetime] | None = None

    def now(self) -> datetime:
        """Return the moment that the file names now."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if self._seen is None or self._seen[0] != stamp:
                self._seen = (stamp, utc(datetime.fromisoformat(self._path.read_text().strip())))
        except (OSError, ValueError) as error:
            msg = f"The clock file {str(self._path)!r} (setting clock.file) holds no ISO 8601 moment: {error}"
            raise SettingsError(msg) from error
        return self._seen[1]

    def set(self, at: datetime) -> None:
        """Write another moment, in one step."""
        fresh = self._path.with_suffix(".next")
        fresh.write_text(utc(at).isoformat())
        fresh.replace(self._path)


def utc(at: datetime) -> datetime:
    """Return the same moment in UTC. A moment without a zone is taken to be UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@lru_cache(maxsize=1024)
def parse_span(text: str) -> timedelta:
    """Return the length of a span such as `90d`, `12h`, `1w` or `1d12h`.

    >>> parse_span("1d12h")
    datetime.timedelta(days=1, seconds=43200)
    """
    parts = _SPAN.findall(text)
    if not parts or "".join(f"{n}{u}" for n, u in parts) != text:
        msg = f"{text!r} is not a span of time. Expected numbers with s, m, h, d or w, as '90d' or '1d12h'."
        raise InvalidInput(msg)
    seconds = sum(int(n.lstrip("0")[:_DIGITS] or "0") * _UNITS[u] for n, u in parts)
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        msg = f"{text!r} is longer than a span of time can be, which is {timedelta.max.days} days."
        raise InvalidInput(msg) from error


def span_text(span: timedelta | float) -> str:
    """Return a length of time (or a number of seconds) in its two largest units; under a minute: seconds.

    >>> span_text(timedelta(days=1, hours=12)), span_text(90.0), span_text(0.5)
    ('1d12h', '1m30s', '0.5s')
    """
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < _UNITS["m"]:
        return f"{sign}{seconds:.3g}s"
    rest, parts = int(seconds), []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        parts.append(f"{count}{unit}" if count else "")
    first = next(i for i, part in enumerate(parts) if part)
    return sign + "".join(parts[first : first + 2])


#: Returns seconds that never go backwards, for measuring how long something took.
monotonic = time.monotonic
#: Returns the seconds that the processor has worked for this thread.
working_time = time.thread_time
#: Returns what the machine's clock says in nanoseconds, as the times of files are told.
wall_nanoseconds = time.time_ns
