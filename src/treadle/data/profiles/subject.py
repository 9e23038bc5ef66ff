"""What is known of the rows before they are looked at: names, roles, and when they were committed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from treadle.core.records import DatasetVersion, SplitSpec
from treadle.data.pins import Pin
from treadle.data.profiles.records import Role


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The dataset version, or just the rows, that a profile is about."""

    dataset: str = ""
    version: int = 0
    created_at: datetime | None = None
    key: tuple[str, ...] = ()
    time: str | None = None
    outcomes: tuple[str, ...] = ()
    #: The column that says when an outcome became known.
    arrived: str | None = None
    split: SplitSpec | None = None
    quarantined: int = 0
    parents: tuple[str, ...] = ()

    def roles(self, column: str) -> tuple[Role, ...]:
        """Return what a column does; nothing for most."""
        named: dict[Role, tuple[str | None, ...]] = {
            "key": self.key,
            "time": (self.time,),
            "outcome": self.outcomes,
            "arrived": (self.arrived,),
        }
        return tuple(role for role, columns in named.items() if column in columns)


def subject_of(
    version: DatasetVersion, *, pin: Pin, outcome: str | None = None, quarantined: int = 0
) -> Subject:
    """Return the subject for a dataset version; `outcome` stands for the declared ones."""
    declared = pin.outcome_columns or ((pin.outcome,) if pin.outcome else ())
    return Subject(
        dataset=version.dataset,
        version=version.version,
        created_at=version.created_at,
        key=pin.key,
        time=pin.time,
        outcomes=(outcome,) if outcome else declared,
        arrived=pin.arrived,
        split=pin.split,
        quarantined=quarantined,
        parents=(version.ref,),
    )
