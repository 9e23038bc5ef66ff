"""What a workspace can do with rows that are not as they should be: mend them, and let them in after all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import polars as pl

from treadle.app.wiring import Wiring
from treadle.data.admission import Readmitted
from treadle.data.readmission import with_cells


class Mended(Wiring):
    """The part of a workspace that mends data."""

    def readmit(
        self,
        dataset: str,
        *,
        reason: str,
        reason_has: str = "",
        set_: Mapping[str, str] | None = None,
        file: str = "",
        version: int | None = None,
        actor: str = "a person",
    ) -> Readmitted:
        """Check rows in quarantine again, under the contract as it is now, and let the good ones into a new version.

        Rows are chosen by a text in their reasons, by file and by the version that put them aside; `set_` puts values into
        columns first. See `admission.readmit` for any test and any mend.

        Raises:
            NotFound: no row in quarantine is like that.
            InvalidInput: a value cannot be put into its column.
        """
        tests = [
            *([pl.col("_file") == file] if file else []),
            *([pl.col("_version") == version] if version else []),
            *([pl.col("_reason").str.contains(reason_has, literal=True)] if reason_has else []),
        ]
        return self.admission.readmit(
            self.project.dataset(dataset),
            where=pl.all_horizontal(tests) if tests else None,
            mend=partial(with_cells, cells=set_) if set_ else None,
            reason=reason,
            actor=actor,
        )
