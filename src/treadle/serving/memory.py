"""How much memory this process has, and what is said of a version with which it grew."""

from __future__ import annotations

from pathlib import Path

#: Bytes by which the process may grow while a challenger or a shadow is asked.
GROWTH = 512 * 2**20
_PAGE = 4096


def resident() -> int:
    """Return the bytes of memory that this process has; 0 where that cannot be told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def grown(size: int, *, since: str) -> str:
    """Return the sentence that the process has grown too much since a version is asked.

    >>> grown(2**20, since="delay/7")
    'the process has grown by over 1 MiB since delay/7 is asked.'
    """
    return f"the process has grown by over {size / 2**20:.0f} MiB since {since} is asked."
