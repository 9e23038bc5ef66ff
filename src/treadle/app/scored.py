"""What a workspace can do with many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from treadle.app.drifted import Drifted
from treadle.loop.comparing import Compared, compare
from treadle.loop.lately import Lately, lately

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace
    from treadle.core.records import Window
    from treadle.serving.batch.batch import Manifest


class Scored(Drifted):
    """The part of a workspace that scores."""

    def compare(self, versions: Sequence[str]) -> Compared:
        """Compare versions of one model (as `delay/3`, `delay@champion`) with the first of them, on rows that none was trained on.

        All of them answer the test rows of the newest one's run now: metrics, differences row by row with 95 % intervals, slices, plots.

        Raises:
            NotFound: there is no such version.
            InvalidInput: they are fewer than two, or of several models.
        """
        return compare(versions, cast("Workspace", self).rooms)

    def lately(self, endpoint: str, *, since: datetime | None = None, every: str = "1w") -> Lately:
        """Say how good an endpoint's answers were since a moment (by default all), beside the baseline on the same rows.

        Raises:
            NotFound: there is no such endpoint.
            InvalidInput: there is no such stretch of time as `every`.
        """
        return lately(cast("Workspace", self).rooms, endpoint, since=since, every=every)

    def batch(
        self,
        target: str,
        files: Sequence[str | Path] | str | Path = (),
        *,
        output: str | Path,
        dataset: str | None = None,
        version: int | None = None,
        split: str | None = None,
        window: Window | None = None,
        keep: Sequence[str] | None = None,
        misfits: Literal["reject", "stop"] = "reject",
        prefix: str = "",
        part_rows: int | None = None,
        log: bool = False,
        key: Sequence[str] = (),
        processes: int = 1,
        engine: Literal["process", "ray"] = "process",
    ) -> Manifest:
        """Score files (patterns as `in/*.parquet`) or rows of a dataset with an endpoint, `delay@champion` or `delay/3`.

        With `log` the predictions go into the endpoint's log too, and outcomes find them by the columns `key`.

        `output` is a new folder, a file that ends in `.parquet`, or `table:NAME`. A batch that was killed goes on where it
        stopped when it is asked for again; one that is complete is only read. With several `processes`, call it under
        `if __name__ == "__main__":`.

        Raises:
            NotFound: there is no such endpoint, version or dataset.
            InvalidInput: the rows lack what the model takes, or the output holds something else.
        """
        from treadle.app import scoring
        from treadle.serving.batch.plan import PART_ROWS, Options

        patterns = [files] if isinstance(files, str | Path) else list(files)
        rows = scoring.rows_of(
            [str(one) for one in patterns], dataset=dataset, version=version, split=split, window=window
        )
        options = Options(
            keep=None if keep is None else tuple(keep),
            misfits=misfits,
            prefix=prefix,
            part_rows=PART_ROWS if part_rows is None else part_rows,
            log=log,
            key=tuple(key),
        )
        asked = scoring.Request(
            target=target, rows=rows, output=str(output), options=options, processes=processes, engine=engine
        )
        return scoring.run(self, asked, progress=self._progress)
