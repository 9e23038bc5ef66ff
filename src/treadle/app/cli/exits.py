"""The exit codes of commands, by what went wrong."""

from __future__ import annotations

from treadle.core import errors

#: Anything else that Treadle raises on purpose, and what it does not, is 1.
EXIT_CODES: dict[type[Exception], int] = {
    errors.InvalidInput: 2,
    errors.SettingsError: 2,
    errors.NotFound: 3,
    errors.RunFailed: 4,
    errors.StoreUnavailable: 5,
    errors.MirrorUnavailable: 5,
    errors.Conflict: 6,
}
INTERRUPTED = 130


def exit_code(error: Exception) -> int:
    """Return the exit code of the nearest class in the table."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)
