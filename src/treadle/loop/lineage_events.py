"""A run as events of the OpenLineage standard: pure, from records to JSON.

Written by the standard's schemas (https://openlineage.io/spec/2-0-2/OpenLineage.json and the facets that `_FACETS` names); only
facets that it defines are used.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from treadle.core.records import ModelVersion, Record, Run, Verdict, Window

Event = dict[str, Any]
Kind = Literal["START", "COMPLETE", "FAIL", "ABORT"]

_SPEC = "https://openlineage.io/spec"
#: Facet, as events call it → where its schema stands.
_FACETS = {
    "dataSource": "1-0-1/DatasourceDatasetFacet",
    "datasetType": "1-0-1/DatasetTypeDatasetFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "executionParameters": "1-0-0/ExecutionParametersRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "nominalTime": "1-0-1/NominalTimeRunFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "symlinks": "1-0-1/SymlinksDatasetFacet",
    "tags": "1-0-0/TagsRunFacet",
    "test": "1-0-1/TestRunFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
}


class Input(Record, frozen=True, kw_only=True):
    """A dataset, feature view or tree of files that a run read."""

    name: str
    version: int
    #: Address of its table, as `file:///…/tables/flights/rows` or `s3://bucket/tables/flights/rows`; empty: it is no table.
    uri: str = ""
    #: Column → type; None: this version cannot be read any more.
    columns: dict[str, str] | None = None


class Told(Record, frozen=True, kw_only=True):
    """All that the events of a run say."""

    #: Of jobs and of datasets: the project's name, unless told otherwise.
    namespace: str
    #: Release of Treadle.
    release: str
    run: Run
    inputs: tuple[Input, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    #: The version that came out of it.
    made: ModelVersion | None = None


def run_id(run: Run) -> str:
    """Return the UUID of a run (version 7): its moment, and 74 bits of the digest of its id; it is the same for ever."""
    milliseconds = int(run.started_at.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    rest = int.from_bytes(hashlib.sha256(run.id.encode()).digest()[:10], "big")
    bits = milliseconds << 80 | rest
    bits = bits & ~(0xF << 76) | 7 << 76
    return str(UUID(int=bits & ~(0x3 << 62) | 0x2 << 62))


def start(told: Told) -> Event:
    """Return the event of a run's begin."""
    return _event(told, "START", at=told.run.started_at, run=_begun(told), outputs=[])


def end(told: Told) -> Event:
    """Return the event of a run's end; one that gates turned down is complete, with tests that failed."""
    run = told.run
    outputs = [_output(told, told.made)] if told.made is not None else []
    at = run.finished_at or run.started_at
    return _event(told, kind_of(run), at=at, run={**_begun(told), **_ended(told)}, outputs=outputs)


def kind_of(run: Run) -> Kind:
    """Return the kind of the event that comes next of a run."""
    if run.status == "running":
        return "START"
    if run.status != "failed":
        return "COMPLETE"
    return "ABORT" if run.given_up else "FAIL"


def _event(told: Told, kind: Kind, *, at: datetime, run: dict[str, Any], outputs: list[Any]) -> Event:
    job = _facet(told, "jobType", processingType="BATCH", integration="TREADLE", jobType="TRAINING")
    return {
        "eventType": kind,
        "eventTime": at.isoformat(),
        "run": {"runId": run_id(told.run), "facets": run},
        "job": {"namespace": told.namespace, "name": told.run.model, "facets": job},
        "inputs": [_input(told, one) for one in told.inputs],
        "outputs": outputs,
        "producer": _producer(told),
        "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


def _begun(told: Told) -> dict[str, Any]:
    return {
        **_facet(told, "processing_engine", version=told.release, name="treadle"),
        **_nominal(told, told.run.window),
        **_facet(told, "tags", tags=_tags(told)),
    }


def _ended(told: Told) -> dict[str, Any]:
    run = told.run
    facets: dict[str, Any] = {}
    if run.params:
        parameters = [{"key": key, "value": _text(value)} for key, value in run.params.items()]
        facets |= _facet(told, "executionParameters", parameters=parameters)
    if told.verdicts:
        facets |= _facet(told, "test", tests=[_test(one) for one in told.verdicts])
    if run.status == "failed":
        trace = {"stackTrace": run.traceback} if run.traceback else {}
        message = run.error or "The run failed."
        facets |= _facet(told, "errorMessage", message=message, programmingLanguage="PYTHON", **trace)
    return facets


def _nominal(told: Told, window: Window | None) -> dict[str, Any]:
    """Return the stretch of event time that a run sees; one without a begin has no nominal time."""
    if window is None or window.start is None:
        return {}
    start, end = window.start.isoformat(), window.end.isoformat()
    return _facet(told, "nominalTime", nominalStartTime=start, nominalEndTime=end)


def _tags(told: Told) -> list[dict[str, str]]:
    run = told.run
    said = {
        "treadle.run": run.id,
        "treadle.reason": run.reason,
        "treadle.seed": str(run.seed),
        "treadle.code": run.code.digest if run.code else "",
        "treadle.commit": run.code.commit if run.code else "",
        "treadle.window_end": run.window.end.isoformat() if run.window else "",
    }
    if run.status != "running":
        said["treadle.status"] = run.status
        said |= {f"treadle.metric.{name}": repr(value) for name, value in run.metrics.items()}
    return [{"key": key, "value": value, "source": "TREADLE"} for key, value in said.items() if value]


def _test(verdict: Verdict) -> dict[str, Any]:
    parts = (verdict.gate, verdict.reference, verdict.metric, verdict.on, verdict.slice)
    values = {"expected": verdict.reference_value, "actual": verdict.candidate_value}
    return {
        "name": ".".join(part for part in parts if part),
        "status": "pass" if verdict.passed else "fail",
        "severity": "error",
        "type": verdict.gate,
        "description": verdict.reason,
        **{key: repr(value) for key, value in values.items() if value is not None},
        "params": {
            "metric": verdict.metric,
            "n": verdict.n,
            "low": verdict.low,
            "high": verdict.high,
            "alpha": verdict.alpha,
            "margin": verdict.margin,
            "dataset": verdict.dataset,
            "dataset_version": verdict.dataset_version,
        },
    }


def _input(told: Told, one: Input) -> dict[str, Any]:
    facets = {
        **_facet(told, "version", datasetVersion=str(one.version)),
        **_facet(told, "datasetType", datasetType="TABLE" if one.uri else "FILE"),
    }
    if one.uri:
        facets |= _facet(told, "dataSource", name=one.name, uri=one.uri)
        facets |= _facet(told, "symlinks", identifiers=[_physical(one.uri)])
    if one.columns is not None:
        fields = [
            {"name": name, "type": kind, "ordinal_position": number}
            for number, (name, kind) in enumerate(one.columns.items(), 1)
        ]
        facets |= _facet(told, "schema", fields=fields)
    return {"namespace": told.namespace, "name": one.name, "facets": facets, "inputFacets": {}}


def _physical(uri: str) -> dict[str, str]:
    """Return what a table is called by whoever reads it without Treadle, as the standard names tables."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return {"namespace": "file", "name": parts.path, "type": "TABLE"}
    return {
        "namespace": f"{parts.scheme}://{parts.netloc}",
        "name": parts.path.strip("/"),
        "type": "TABLE",
    }


def _output(told: Told, made: ModelVersion) -> dict[str, Any]:
    # The same namespace holds datasets, one of which may have the model's name.
    return {
        "namespace": told.namespace,
        "name": f"models/{made.model}",
        "facets": {
            **_facet(told, "version", datasetVersion=str(made.version)),
            **_facet(told, "datasetType", datasetType="MODEL", subType=made.format.upper()),
        },
        "outputFacets": _facet(told, "outputStatistics", size=made.size),
    }


def _facet(told: Told, facet: str, /, **fields: Any) -> dict[str, Any]:
    place = _FACETS[facet]
    schema = f"{_SPEC}/facets/{place}.json#/$defs/{place.rpartition('/')[2]}"
    return {facet: {"_producer": _producer(told), "_schemaURL": schema, **fields}}


def _producer(told: Told) -> str:
    return f"pkg:pypi/treadle@{told.release}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
