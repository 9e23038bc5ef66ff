"""A table of `treadle.toml`: fields are its keys, and what is no field is an error."""

from __future__ import annotations

import msgspec


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of `treadle.toml`."""
