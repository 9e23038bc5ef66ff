"""OpenTelemetry: a span for each request, within the caller's trace, and one each for decoding, model and log.

The `OTEL_*` variables mean what they always mean. Without any of them that names an exporter nothing is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from treadle.core.clock import SystemClock, monotonic
from treadle.core.errors import MissingExtra
from treadle.core.optional import require
from treadle.serving.notes import Notes
from treadle.serving.web import Response

_log = logging.getLogger("treadle.serving")

_ASKS = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted(variables: Mapping[str, str]) -> bool:
    """Say whether the `OTEL_*` variables ask for traces.

    >>> wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}), wanted({"OTEL_SERVICE_NAME": "x"})
    (True, False)
    """
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return variables.get("OTEL_TRACES_EXPORTER") != "none" and any(variables.get(name) for name in _ASKS)


def begin(variables: Mapping[str, str]) -> Tracing | None:
    """Return what traces requests, if the `OTEL_*` variables ask for it; what keeps it from working is only logged."""
    if not wanted(variables):
        return None
    try:
        return Tracing(_exporter(variables))
    except (MissingExtra, ValueError) as error:
        _log.warning("requests are not traced, though OTEL_* variables ask for it: %s", error)
        return None


class Tracing:
    """Makes spans of requests that have ended."""

    def __init__(self, exporter: Any) -> None:
        """Send spans to an exporter, in the background.

        Raises:
            MissingExtra: OpenTelemetry is not installed.
        """
        sdk = require("opentelemetry.sdk.trace", extra="otel")
        batches = require("opentelemetry.sdk.trace.export", extra="otel")
        resources = require("opentelemetry.sdk.resources", extra="otel")
        self._trace = require("opentelemetry.trace", extra="otel")
        self._propagate = require("opentelemetry.propagate", extra="otel")
        resource = resources.Resource.create()
        if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
            resource = resource.merge(resources.Resource({"service.name": "treadle"}))
        self._provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(batches.BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("treadle.serving")

    def saw(self, notes: Notes, response: Response, ended: float) -> None:
        """Make a request's spans."""
        scope = notes.scope
        if notes.route in {"/livez", "/readyz", "/metrics"}:
            return
        # Spans have moments of the wall clock, and the request was measured by another one.
        shift = SystemClock().now().timestamp() - monotonic()
        context = self._propagate.extract(dict(scope.headers.items()))
        span = self._tracer.start_span(
            f"{scope.method} {notes.route}".strip(),
            context=context,
            kind=self._trace.SpanKind.SERVER,
            start_time=_nanos(notes.received + shift),
            attributes=_attributes(notes, response),
        )
        notes.trace = f"{span.get_span_context().trace_id:032x}"
        if not span.is_recording():
            return
        if response.status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        inside = self._trace.set_span_in_context(span)
        begun = notes.received
        for name, end in (("decode", notes.decoded), ("model", notes.answered), ("log", notes.logged)):
            if end:
                part = self._tracer.start_span(name, context=inside, start_time=_nanos(begun + shift))
                part.end(_nanos(end + shift))
                begun = end
        span.end(_nanos(ended + shift))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _attributes(notes: Notes, response: Response) -> dict[str, str | int]:
    scope, answer = notes.scope, notes.answer
    found: dict[str, str | int] = {
        "http.request.method": scope.method,
        "http.route": notes.route,
        "url.path": scope.path[:200],
        "url.scheme": scope.scheme,
        "http.response.status_code": response.status,
        "client.address": scope.client.rpartition(":")[0],
    }
    if notes.endpoint:
        found["treadle.endpoint"] = notes.endpoint
    if answer is not None:
        found |= {
            "treadle.request.id": answer.id,
            "treadle.revision": answer.revision,
            "treadle.model": answer.variant.model,
            "treadle.version": answer.variant.version,
            "treadle.variant": answer.variant.name,
            "treadle.rows": answer.batch.rows,
        }
    return found


def _exporter(variables: Mapping[str, str]) -> Any:
    kind = variables.get("OTEL_TRACES_EXPORTER", "otlp")
    if kind == "console":
        return require("opentelemetry.sdk.trace.export", extra="otel").ConsoleSpanExporter()
    if kind != "otlp":
        msg = f"OTEL_TRACES_EXPORTER is {kind!r}. Expected otlp, console or none."
        raise ValueError(msg)
    protocol = variables.get(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", variables.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    )
    way = "grpc" if protocol == "grpc" else "http"
    return require(f"opentelemetry.exporter.otlp.proto.{way}.trace_exporter", extra="otel").OTLPSpanExporter()


def _nanos(seconds: float) -> int:
    return int(seconds * 1e9)
