"""Scoring of many rows with a version: finds the version and the rows, and hands both to the serving room."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import polars as pl

from treadle.app.adding import Adding
from treadle.app.wiring import Wiring
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.progress import Progress
from treadle.core.records import DatasetVersion, ModelVersion, Record, Variant, Window
from treadle.core.servable import Servable
from treadle.core.traffic import Traffic
from treadle.loop.frames import Frames
from treadle.registry.collection import refuse_collected
from treadle.serving import mixture
from treadle.serving.batch import batch, inputs, plan
from treadle.serving.batch.batch import Manifest, Place
from treadle.serving.batch.logged import Logging
from treadle.serving.batch.plan import Options, Target
from treadle.serving.discretion import discretion

_ENDING = ".parquet"
#: Where tables of scored rows are.
TABLES = "scores"


class Rows(Record, frozen=True, kw_only=True):
    """Rows of a dataset that are to be scored."""

    dataset: str
    version: int | None = None
    split: str | None = None
    window: Window | None = None


class Request(Record, frozen=True, kw_only=True):
    """What is asked of a batch."""

    #: An endpoint, or a model version as `delay@champion` or `delay/3`.
    target: str
    #: Files and patterns, or rows of a dataset.
    rows: tuple[str, ...] | Rows
    #: A new folder, a file that ends in `.parquet`, or the name of a table after `table:`.
    output: str
    options: Options = Options()
    processes: int = 1
    engine: Literal["process", "ray"] = "process"


def rows_of(
    patterns: Sequence[str],
    *,
    dataset: str | None,
    version: int | None,
    split: str | None,
    window: Window | None,
) -> tuple[str, ...] | Rows:
    """Return what is to be scored, of the two ways to say it.

    Raises:
        InvalidInput: both were said, or neither.
    """
    if bool(patterns) == (dataset is not None):
        msg = f"{'Both' if patterns else 'Neither'} files {'and' if patterns else 'nor'} a dataset came. Expected one of the two."
        raise InvalidInput(msg, field="inputs")
    if dataset is not None:
        return Rows(dataset=dataset, version=version, split=split, window=window)
    if version is not None or split is not None or window is not None:
        msg = "Version, split and window are those of a dataset, and files came. Name a dataset, or leave them out."
        raise InvalidInput(msg, field="inputs")
    return tuple(patterns)


def run(workspace: Wiring, asked: Request, *, progress: Progress) -> Manifest:
    """Score rows; a batch that was killed goes on where it stopped, and one that is complete is only read.

    Raises:
        NotFound: there is no such endpoint, version or dataset.
        InvalidInput: the rows lack what the model takes, or the output holds something else.
    """
    if asked.options.part_rows < 1 or asked.processes < 1:
        msg = f"{asked.processes} processes and parts of {asked.options.part_rows} rows came. Expected positive numbers."
        raise InvalidInput(msg, field="processes")
    answering = _answering(workspace, asked.target)
    logging = _logging(workspace, asked.options, answering)
    place, table, file = _place(workspace, asked.output)
    with place.held():
        found = place.finished() or place.begun()
        made = found.plan if isinstance(found, Manifest) else found
        fresh = _plan(workspace, asked, answering, place, made, progress=progress)
        before = place.make_room(fresh) if table else None
        if before is not None:
            return before
        place.begin(fresh)
        done = place.finished()
        if done is not None:
            return done
        progress.step(f"Scoring {fresh.rows:,} rows with {fresh.answered_by}, in {len(fresh.parts)} parts")
        parts = batch.run(
            fresh,
            place,
            load=_loader(workspace, answering),
            processes=asked.processes,
            engine=asked.engine,
            address=workspace.settings.compute.address,
            progress=progress,
            logging=logging,
        )
        if logging is not None:
            batch.into_log(fresh, place, workspace.tables, logging.table)
        if table:
            batch.into_table(fresh, place, workspace.tables, f"{TABLES}/{table}")
        if file is not None:
            batch.into_file(fresh, place, file)
        manifest = batch.finish(fresh, place, parts, output=asked.output)
        place.tidy()
        if table or file is not None:
            for part in fresh.parts:
                (place.folder / part.name).unlink(missing_ok=True)
    return manifest


def load(
    root: Path, overrides: dict[str, Any], variants: tuple[Variant, ...], traffic: Traffic | None
) -> Servable:
    """Load a version in another process, or several that answer together, with all that their answers hold."""
    from treadle.app.workspace import open_workspace
    from treadle.serving.answering import with_answers

    with open_workspace(root, overrides=overrides) as workspace:
        loaded = [(variant, with_answers(workspace.load(variant))) for variant in variants]
    return loaded[0][1] if traffic is None else mixture.mixed(traffic, loaded)


class _Answering(NamedTuple):
    """What answers a batch."""

    target: Target
    #: The first one, whose features rows of a dataset get.
    version: ModelVersion
    variants: tuple[Variant, ...]
    #: How several answer together; None: there is one.
    traffic: Traffic | None = None


def _loader(workspace: Wiring, answering: _Answering) -> Callable[[], Servable]:
    overrides = dict(workspace.overrides)
    return partial(load, workspace.root, overrides, answering.variants, answering.traffic)


def _answering(workspace: Wiring, asked: str) -> _Answering:
    """Return what a batch asks: a version; of an endpoint what answers there, which is all members of an ensemble or a cascade.

    Where variants share the traffic it is the first one: which of them answers is drawn by lot for whoever asks, and rows of a batch
    are nobody. So challengers and bandits' other arms get no row of a batch.
    """
    if "/" in asked or "@" in asked:
        found = workspace.models.get(asked)
        refuse_collected(found)
        target = Target(model=found.model, version=found.version)
        return _Answering(target, found, (Variant(name="batch", model=found.model, version=found.version),))
    try:
        revision = workspace.endpoints.get(asked)
    except NotFound as error:
        msg = f"{error} A version is named as 'delay@champion' or 'delay/3'."
        raise NotFound(msg) from error
    together = mixture.is_mixture(revision.traffic)
    variants = mixture.members_of(revision.traffic, revision.variants) if together else revision.variants[:1]
    versions = [workspace.models.get(f"{one.model}/{one.version}") for one in variants]
    for version in versions:
        refuse_collected(version)
    target = Target(
        model=versions[0].model,
        version=versions[0].version,
        endpoint=asked,
        revision=revision.revision,
        members=tuple(f"{one.model}/{one.version}" for one in versions) if together else (),
    )
    return _Answering(target, versions[0], tuple(variants), revision.traffic if together else None)


def _logging(workspace: Wiring, options: Options, answering: _Answering) -> Logging | None:
    """Return what the prediction log is told of a batch; None: nothing.

    Raises:
        InvalidInput: nothing was asked that has a log.
    """
    if not options.log:
        if options.key:
            msg = "Columns to know outcomes by are for the log, which was not asked for. Add --log, or leave --key out."
            raise InvalidInput(msg, field="key")
        return None
    target = answering.target
    if not target.endpoint:
        msg = f"{target.model}/{target.version} is a version, and the log is an endpoint's. Name an endpoint, or leave the log out."
        raise InvalidInput(msg, field="log")
    return Logging(
        endpoint=target.endpoint,
        revision=target.revision,
        model=target.model,
        version=target.version,
        at=workspace.clock.now(),
        key=options.key,
        members=tuple((one.name, one.model, one.version) for one in answering.variants)
        if target.members
        else (),
        discretion=discretion(workspace.settings.serving),
    )


def _place(workspace: Wiring, output: str) -> tuple[Place, str, Path | None]:
    """Return where a batch works, the table and the file that it makes, if any."""
    if output.startswith("table:"):
        name = output.removeprefix("table:")
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
            msg = f"{name!r} cannot name a table. Expected letters, digits, '_', '.' and '-', as 'table:january'."
            raise InvalidInput(msg, field="output")
        return Place(workspace.root / ".treadle" / "batches" / name), name, None
    path = Path(output)
    if path.suffix == _ENDING:
        return Place(path.with_name(f"{path.name}.batch")), "", path
    if path.exists() and not path.is_dir():
        msg = f"{output} is a file. Expected a new folder, a file that ends in {_ENDING}, or table:NAME."
        raise InvalidInput(msg, field="output")
    return Place(path), "", None


def _plan(
    workspace: Wiring,
    asked: Request,
    answering: _Answering,
    place: Place,
    before: plan.Plan | None,
    *,
    progress: Progress,
) -> plan.Plan:
    """Return the plan for what is asked; what was made into Parquet files before is taken as it is."""
    from treadle.serving.answering import told

    version = answering.version
    source: dict[str, Any]
    if isinstance(asked.rows, Rows):
        found = workspace.datasets.version(asked.rows.dataset, asked.rows.version)
        source = {"dataset": found.dataset, "version": found.version}
        source |= {"split": asked.rows.split, "window": msgspec.to_builtins(asked.rows.window)}
        if before is not None and before.source == source:
            made: Sequence[inputs.Input] = before.inputs
        else:
            progress.step(f"Reading version {found.version} of {found.dataset}")
            frames = _frames(workspace, found, asked.rows, version, size=asked.options.part_rows)
            made = inputs.of_frames(frames, spool=place.spool, shown=f"{found.dataset}@{found.version}")
    else:
        files = inputs.expand(asked.rows)
        source = {"files": [path.name for path in files]}
        made_here = answering.traffic is None and bool(version.signature.computed)
        adding = Adding(workspace, version.model, version.signature) if made_here else None
        made = [_input(path, place, number, before, adding) for number, path in enumerate(files)]
    known = before.inputs if before is not None else ()
    # What several take and answer together is known once they are put together.
    alone = answering.traffic is None
    signature = told(version.signature) if alone else _loader(workspace, answering)().signature
    return plan.make(
        answering.target, made, source=source, signature=signature, options=asked.options, known=known
    )


def _input(
    path: Path, place: Place, number: int, before: plan.Plan | None, adding: Adding | None
) -> inputs.Input:
    """Return a file as an input, as it was before where it is the same, else with the features that it lacks."""
    stat = path.stat()
    identity = {"file": path.name, "size": stat.st_size, "changed": stat.st_mtime_ns}
    whole = identity if adding is None else identity | adding.identity
    if before is not None and number < len(before.inputs):
        known = before.inputs[number]
        if known.identity in (identity, whole):
            return known
    found = inputs.of_file(path, spool=place.spool.with_name(f"spool-{number:05d}.parquet"))
    if adding is None:
        return found
    return adding.added(found, spool=place.spool.with_name(f"spool-{number:05d}-made.parquet"))


def _frames(
    workspace: Wiring, found: DatasetVersion, rows: Rows, version: ModelVersion, *, size: int
) -> Iterator[pl.DataFrame]:
    """Yield a dataset's rows in the order in which they landed, a part's worth at a time, with the model's features."""
    model = workspace.project.models.get(version.model)
    with_features = model is not None and model.data.name == rows.dataset
    scan = workspace.datasets.scan(rows.dataset, version=found.version, split=rows.split, window=rows.window)
    start = 0
    while True:
        stretch = scan.filter((pl.col("_seq") >= start) & (pl.col("_seq") < start + size))
        with workspace.tables.reading(f"{rows.dataset}/rows"):
            frame = stretch.collect()
        if frame.is_empty():
            rest = scan.filter(pl.col("_seq") >= start).select(pl.col("_seq").min()).collect().item()
            if rest is None:
                return
            start = int(rest)
            continue
        start += size
        if with_features:
            assert model is not None
            frame = Frames(workspace.datasets).with_features(model, frame)
        yield frame.select(pl.exclude(r"^_.*$"))
