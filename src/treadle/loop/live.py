"""How good the live answers were: logged predictions beside the truth that arrived later, and the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import polars as pl

from treadle.core.answers import scored
from treadle.core.encoded import json_path
from treadle.core.errors import InvalidInput, closest
from treadle.core.records import Lookup, ModelVersion
from treadle.core.signature import Field, Signature
from treadle.data.datasets import Datasets
from treadle.evaluation.own import measure_of
from treadle.evaluation.verdicts import question
from treadle.loop.ahead import matched
from treadle.loop.models import Model
from treadle.monitoring import outcomes, performance
from treadle.monitoring.performance import Measure
from treadle.training.task import Task

#: Versions by model and number: two models may answer under one number.
Versions = Mapping[tuple[str, int], ModelVersion]
#: Columns of the log by which answers can be told apart, beside the inputs.
_DIVIDING = ("variant", "revision", "decision", "assignment")


def answered(predictions: pl.DataFrame, reported: pl.DataFrame, versions: Versions) -> pl.DataFrame:
    """Return the predictions whose outcome is known, one row each.

    `answer` is the probability of the positive class, the estimate, or a struct of the numbers of an answer by name, as
    the probability of each class; `baseline` is what the first baseline of the version that answered would have said
    for the same inputs (null where it has none).
    """
    return _beside(outcomes.join(predictions, outcomes.reported(reported)), versions)


def forecasts(
    predictions: pl.DataFrame, models: Sequence[Model], datasets: Datasets, versions: Versions
) -> pl.DataFrame:
    """Return the forecasts whose truth has landed with the dataset since, as `answered` does; outcomes are arrays of the steps.

    A prediction says by its `key` which series it is about, and its origin: what is in neither key nor inputs matches nothing.
    Each model's forecasts are matched with its own dataset.

    Raises:
        InvalidInput: the models forecast so many steps and so many, which cannot stand in one column.
    """
    parts = [matched(predictions.filter(model=model.name), model, datasets) for model in models]
    kinds = {model.name: part.schema["outcome"] for model, part in zip(models, parts, strict=True)}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} {getattr(kind, 'shape', (1,))[0]}" for name, kind in kinds.items())
        msg = f"The models of these predictions forecast different numbers of steps: {told}. Look at each by itself."
        raise InvalidInput(msg, field="model")
    return _beside(pl.concat(parts).sort("at", "prediction_id"), versions)


def with_answers(known: pl.DataFrame, versions: Versions) -> pl.DataFrame:
    """Return predictions that have an outcome with their `answer`, and no more; see `answered`."""
    if versions and all(_is_plain(scored(one.signature)) for one in versions.values()):
        return known.with_columns(pl.coalesce("probability", "prediction").alias("answer"))
    return _beside(known, versions, baselines=False)


def _beside(joined: pl.DataFrame, versions: Versions, *, baselines: bool = True) -> pl.DataFrame:
    """Return the predictions that have an outcome, with the answer and perhaps what the baseline would have said."""
    known = joined.filter(pl.col("outcome").is_not_null())
    columns = tuple(dict.fromkeys(c for one in versions.values() for c in scored(one.signature).columns))
    kind = pl.Struct(dict.fromkeys(columns, pl.Float64)) if columns else pl.Float64()
    parts = [
        part.with_columns(
            _answer(part, versions[model, number], kind).alias("answer"),
            *([_baseline(part, versions[model, number], kind).alias("baseline")] if baselines else []),
        )
        for (model, number), part in known.partition_by(
            "model", "version", as_dict=True, maintain_order=True
        ).items()
    ]
    nothing = [pl.lit(None, kind).alias(name) for name in ("answer", *(["baseline"] if baselines else []))]
    return pl.concat(parts) if parts else known.with_columns(nothing)


def scores(
    known: pl.DataFrame,
    *,
    task: str | Task,
    measure: str,
    every: str,
    signature: Signature | None = None,
    by: Sequence[str] = (),
) -> pl.DataFrame:
    """Return a metric of the answers by stretch of time, version and `by`, with intervals; see `monitoring.performance`.

    `measure` is by default the one that decides about the task, which is the question, or its name. `signature`, of what
    answers, says how a set of labels is written. Of a ranking, the rows of one request are one query; of
    anomalies, outcomes are which rows were some.

    Raises:
        InvalidInput: the metric is not for this task.
    """
    asked, found, known = measured(known, task=task, measure=measure, signature=signature)
    # Errors of neighbouring forecasts overlap: an interval as if they did not would be too narrow.
    per_row = None if asked.name == "forecast" else found.per_row
    wanted = Measure(name=found.name, value=found.value, per_row=per_row)
    return performance.performance(known, [wanted], prediction="answer", every=every, also=by)


def counts(predictions: pl.LazyFrame, *, every: str, by: Sequence[str]) -> pl.DataFrame:
    """Return how many answers were given, with an outcome or without: `asked`, by the columns that `scores` goes by.

    Raises:
        InvalidInput: there is no such stretch of time.
    """
    groups = [performance.start_of("at", every).alias("start"), "model", "version", *by]
    return predictions.group_by(groups).agg(pl.len().cast(pl.Int64).alias("asked")).collect()


def divided(predictions: pl.LazyFrame, by: Sequence[str], signature: Signature) -> pl.LazyFrame:
    """Return logged predictions with a column for each of `by`: a column of the log, or an input as text.

    Raises:
        InvalidInput: there is neither.
    """
    check_dividing(by, signature)
    return predictions.with_columns(
        pl.col("inputs").str.json_path_match(json_path(name)).alias(name) for name in by if is_input(name)
    )


def check_dividing(by: Sequence[str], signature: Signature) -> None:
    """Make sure that each of `by` is a column of the log, or an input.

    Raises:
        InvalidInput: there is neither.
    """
    inputs = [field.name for field in signature.inputs]
    for name in by:
        if name not in (*_DIVIDING, *inputs):
            msg = f"Answers cannot be told apart by {name!r}. {closest(name, [*_DIVIDING, *inputs])}"
            raise InvalidInput(msg, field="by")


def is_input(name: str) -> bool:
    """Return whether what tells answers apart is an input, and no column of the log."""
    return name not in _DIVIDING


def overall(
    known: pl.DataFrame, *, task: str | Task, measure: str, signature: Signature
) -> tuple[int, float | None, float | None, float | None]:
    """Return how many answers have an outcome, and a metric over all of them with its 95 % interval; None: there is no such number.

    Raises:
        InvalidInput: the metric is not for this task.
    """
    if known.is_empty():
        return 0, None, None, None
    _, found, rows = measured(known, task=task, measure=measure, signature=signature)
    whole = Measure(name=found.name, value=found.value, per_row=found.per_row)
    # One stretch and one version: all rows are scored together.
    same = rows.with_columns(pl.lit(rows["at"].min()).alias("at"), pl.lit(0).alias("version"))
    dropped = same.drop("model") if "model" in same.columns else same
    (score,) = performance.performance(dropped, [whole], prediction="answer", every="1w").rows(named=True)
    return int(score["n"]), score["value"], score["low"], score["high"]


def losses(
    known: pl.DataFrame, *, task: str | Task, metric: str, signature: Signature
) -> tuple[str, pl.DataFrame]:
    """Return a metric's name and the rows with `loss`, which is bad when large: what the metric says of each row.

    Raises:
        InvalidInput: the metric is not for this task, or is no mean over rows.
    """
    _, found, rows = measured(known, task=task, measure=metric, signature=signature)
    if found.per_row is None:
        msg = f"{found.name} is no mean over rows, so rows of two variants cannot be compared. Take another, as log_loss or mae."
        raise InvalidInput(msg, field="metric")
    if known.is_empty():
        return found.name, known.with_columns(pl.lit(None, pl.Float64).alias("loss"))
    numbers = [
        column if isinstance(column.dtype, pl.Array) else column.cast(pl.Float64)
        for column in (rows["outcome"], rows["answer"])
    ]
    said = found.per_row(numbers[0].to_numpy(), numbers[1].to_numpy())
    return found.name, known.with_columns(pl.Series("loss", -said if found.greater_is_better else said))


def metric_of(task: str | Task, metric: str) -> tuple[Any, Any]:
    """Return the question as outcomes answer it, and a metric, by default the one that decides about it.

    Raises:
        InvalidInput: the metric is not for this task.
    """
    asked = _answered(question(task))
    found = measure_of(metric or asked.metric, asked)
    if hasattr(asked, "told") and found.name not in asked.metrics:
        msg = f"{found.name} is not about what came. Of {asked.name} with outcomes there are {' and '.join(asked.metrics)}."
        raise InvalidInput(msg, field="metric")
    if found.name not in asked.metrics and asked.name not in found.tasks:
        msg = f"The metric {found.name!r} is for {' and '.join(found.tasks)}; the task is {asked.name}."
        raise InvalidInput(msg, field="metric")
    if found.is_scaled:
        msg = f"{found.name} is in units of each series, which answers that were logged do not have. Take another, as mae."
        raise InvalidInput(msg, field="metric")
    return asked, found


def measured(
    known: pl.DataFrame, *, task: str | Task, measure: str, signature: Signature | None
) -> tuple[Any, Any, pl.DataFrame]:
    """Return the question, the metric, and the rows with outcomes and answers as the metric takes them.

    Raises:
        InvalidInput: the metric is not for this task.
    """
    asked, found = metric_of(task, measure)
    if isinstance(known.schema["answer"], pl.Struct) and not known.is_empty():
        columns, known = _as_numbers(known, _asked(task, signature))
        found = found.over(columns)
    if asked.ties:
        known = known.with_columns(_by_request(known))
    return asked, found, known


def _answered(asked: Any) -> Any:
    """Return the question as outcomes answer it: they tell anomalies, and groups, also where no target did."""
    return asked.on("outcome") if hasattr(asked, "told") else asked


def _asked(task: str | Task, signature: Signature | None) -> Any:
    """Return the question, with what its declaration said about texts."""
    asked = question(task)
    told = [field for field in signature.outputs if field.separator] if signature is not None else []
    return replace(asked, separator=told[0].separator, none=told[0].none) if told else asked


def _as_numbers(known: pl.DataFrame, asked: Any) -> tuple[tuple[str, ...], pl.DataFrame]:
    """Return the columns of answers, and the rows with outcomes as the task's numbers and answers as arrays of these."""
    given, outcome = known["answer"].struct.unnest(), known["outcome"]
    if asked.outputs[-1].name != "probabilities":
        whole = [name for name in given.columns if not given[name].null_count()]
        if asked.name == "forecast":
            whole, outcome = _of_steps(whole, outcome, asked.outputs[-1].columns)
        return tuple(whole), known.with_columns(
            pl.Series("answer", given.select(whole).to_numpy()), outcome.alias("outcome")
        )
    truth = outcome if outcome.dtype == pl.String else outcome.cast(pl.Int64)
    wide = asked.over([given.columns], truth)
    columns = wide.outputs[-1].columns
    values = given.with_columns(pl.lit(0.0).alias(c) for c in columns if c not in given.columns)
    return columns, known.with_columns(
        pl.Series("outcome", wide.target(truth)),
        pl.Series("answer", values.select(columns).fill_null(0.0).to_numpy()),
    )


def _of_steps(
    said: Sequence[str], outcome: pl.Series, declared: Sequence[str]
) -> tuple[list[str], pl.Series]:
    """Return the steps that answers and outcomes share, by their names, and the outcomes of these.

    Raises:
        InvalidInput: they share none, since the declaration changed.
    """
    shared = [name for name in said if name in declared]
    if not shared:
        msg = f"The steps that were answered ({', '.join(said)}) are not those declared now ({', '.join(declared)}), so nothing can be compared."
        raise InvalidInput(msg, field="horizon")
    places = [declared.index(name) for name in shared]
    return shared, pl.Series(outcome.to_numpy()[:, places])


def _by_request(known: pl.DataFrame) -> pl.Series:
    """Return each outcome with the number of its request: rows that were asked about together are one query."""
    pairs = known.select(
        pl.col("outcome").cast(pl.Float64), pl.col("request_id").rank("dense").cast(pl.Float64)
    )
    return pl.Series("outcome", pairs.to_numpy(), dtype=pl.Array(pl.Float64, 2))


def _is_plain(field: Field) -> bool:
    """Return whether the scored number has a column of the log for itself."""
    return not field.columns and field.name in {"prediction", "probability"}


def _answer(rows: pl.DataFrame, version: ModelVersion, kind: pl.DataType) -> pl.Series:
    field = scored(version.signature)
    if _is_plain(field):
        return rows.select(pl.coalesce("probability", "prediction")).to_series().cast(kind)
    told = [msgspec.json.decode(text)[field.name] for text in rows["outputs"]]
    return pl.Series(told, dtype=kind)


def _baseline(rows: pl.DataFrame, version: ModelVersion, kind: pl.DataType) -> pl.Series:
    if not version.baselines:
        return pl.Series([None] * rows.height, dtype=kind)
    lookup = version.baselines[0]
    found: list[Any] = list(_looked_up(rows, lookup))
    if lookup.copied:
        found = _where_sent(rows, lookup, found)
    if lookup.columns and not isinstance(kind, pl.Float64):
        named = [None if one is None else dict(zip(lookup.columns, one, strict=True)) for one in found]
        return pl.Series(named, dtype=kind)
    return pl.Series(found, dtype=kind)


def _where_sent(rows: pl.DataFrame, lookup: Lookup, found: list[Any]) -> list[Any]:
    """Return nothing for rows whose caller did not send all that the baseline goes by."""
    sent = pl.all_horizontal(
        pl.col("inputs").str.json_path_match(json_path(name)).is_not_null() for name in lookup.by
    )
    return [one if was else None for one, was in zip(found, rows.select(sent).to_series(), strict=True)]


def _looked_up(rows: pl.DataFrame, lookup: Lookup) -> list[float | tuple[float, ...]]:
    inputs = rows["inputs"]
    columns = {name: inputs.str.json_path_match(json_path(name)).to_list() for name in lookup.by}
    return lookup.predict(columns, rows.height)
