"""How good the live answers were: logged predictions beside the truth that arrived later, and the baseline."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from treadle.core.records import Lookup, ModelVersion
from treadle.evaluation.verdicts import metric
from treadle.monitoring import outcomes, performance
from treadle.monitoring.performance import Measure


def answered(
    predictions: pl.DataFrame, reported: pl.DataFrame, versions: Mapping[int, ModelVersion]
) -> pl.DataFrame:
    """Return the predictions whose outcome is known, one row each.

    `answer` is the probability of the positive class, or the estimate; `baseline` is what the first baseline of the
    version that answered would have said for the same inputs (null where it has none).
    """
    joined = outcomes.join(predictions, outcomes.reported(reported))
    known = joined.filter(pl.col("outcome").is_not_null())
    known = known.with_columns(pl.coalesce("probability", "prediction").alias("answer"))
    parts = [
        part.with_columns(_baseline(part, versions[number]).alias("baseline"))
        for (number,), part in known.partition_by("version", as_dict=True, maintain_order=True).items()
    ]
    return pl.concat(parts) if parts else known.with_columns(pl.lit(None, pl.Float64).alias("baseline"))


def scores(known: pl.DataFrame, *, measure: str, every: str) -> pl.DataFrame:
    """Return a metric of the answers by stretch of time and version, with intervals; see `monitoring.performance`."""
    found = metric(measure)
    wanted = Measure(name=measure, value=found.value, per_row=found.per_row)
    return performance.performance(known, [wanted], prediction="answer", every=every)


def _baseline(rows: pl.DataFrame, version: ModelVersion) -> pl.Series:
    if not version.baselines:
        return pl.Series([None] * rows.height, dtype=pl.Float64)
    return pl.Series(_looked_up(rows, version.baselines[0]), dtype=pl.Float64)


def _looked_up(rows: pl.DataFrame, lookup: Lookup) -> list[float | tuple[float, ...]]:
    inputs = rows["inputs"]
    columns = {name: inputs.str.json_path_match(f"$['{name}']").to_list() for name in lookup.by}
    return lookup.predict(columns, rows.height)
