"""What a policy may know when it decides: counts and moments, and nothing that could not be known then."""

from __future__ import annotations

from datetime import datetime

from treadle.core.records import Record


class Facts(Record, frozen=True, kw_only=True):
    """The state of the world for one model at one moment."""

    model: str
    now: datetime
    #: Rows that can be trained on now: accepted, with a known outcome.
    rows: int
    #: The same number when the last run read its data; 0: there was no run.
    rows_at_last_run: int = 0
    #: When the last run that did not fail was started; None: there was none.
    last_run: datetime | None = None
    #: When the newest attempt was started, and how many in a row failed up to it.
    last_attempt: datetime | None = None
    failures: int = 0
    #: When the version that answers now was made; None: there is none.
    champion_since: datetime | None = None

    @property
    def new_rows(self) -> int:
        """Rows that came since the last run."""
        return self.rows - self.rows_at_last_run


class Finding(Record, frozen=True, kw_only=True):
    """What one trigger says: whether it fires, and why."""

    fires: bool
    reason: str
