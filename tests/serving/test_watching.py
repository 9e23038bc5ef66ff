"""The access log and the traces of a real server."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest
from serving_cases import PREDICT, ROW

from treadle.serving.tracing import begin, wanted

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_each_request_is_a_line_and_none_has_secrets_or_bodies(revise, launch, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(access_log="logs/access.jsonl", token="s3cret", workers=2)
    headers = {"Authorization": "Bearer s3cret", "traceparent": PARENT}
    server.call(PREDICT, {"rows": [ROW, ROW], "id": "r1", "subject": "ann"}, headers=headers)
    server.call(PREDICT + "?token=hidden", {"rows": [{**ROW, "distance": "far"}]}, headers=headers)
    server.call(PREDICT, {"rows": [ROW]}, headers={"Authorization": "Bearer guessed"})
    assert server.stop() == 0

    text = (tmp_path / "logs" / "access.jsonl").read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line["path"] == PREDICT]

    assert sorted(line["status"] for line in lines) == [200, 400, 401]
    answered = next(line for line in lines if line["status"] == 200)
    assert answered["client"].startswith("127.0.0.1:")
    assert 0 < answered["seconds"] < 5
    assert {key: answered[key] for key in ("id", "trace", "endpoint", "version", "variant", "rows")} == {
        "id": "r1",
        "trace": TRACE,
        "endpoint": "delay",
        "version": 7,
        "variant": "champion",
        "rows": 2,
    }
    for secret in ("s3cret", "guessed", "hidden", "1400", "ann"):
        assert secret not in text


def test_a_line_is_one_line_whatever_a_caller_sends(revise, launch, tmp_path):
    revise(("champion", 7, 1.0))
    server = launch(access_log="access.jsonl")
    for evil in ("a\r\n{}", "\x1b[31mred", "\u0085next", "\u2028line", "\x9b31m", "\x7f"):
        server.call(f"/v1/endpoints/{quote(evil)}/predict", {"rows": [ROW]})
        server.call(PREDICT, {"rows": [ROW], "id": evil})
    server.stop()

    data = (tmp_path / "access.jsonl").read_bytes()

    assert len([json.loads(line) for line in data.splitlines()]) >= 12
    assert len(data.decode().splitlines()) == data.count(b"\n")
    assert all(32 <= byte < 127 or byte == 10 for byte in data)


def test_a_log_that_cannot_be_written_disturbs_nobody(revise, launch, tmp_path):
    revise(("champion", 7, 1.0))
    (tmp_path / "taken").write_text("a file where the folder should be")
    server = launch(access_log="taken/access.jsonl")

    assert [server.call(PREDICT, {"rows": [ROW]})[0] for _ in range(3)] == [200] * 3
    assert server.stop() == 0


class Collector:
    """Takes spans as an OpenTelemetry collector does."""

    def __enter__(self):
        spans = self.spans = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                data = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    import gzip

                    data = gzip.decompress(data)
                sent = ExportTraceServiceRequest.FromString(data)
                for resource in sent.resource_spans:
                    service = {a.key: a.value.string_value for a in resource.resource.attributes}[
                        "service.name"
                    ]
                    spans.extend((service, span) for scope in resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"


def test_a_request_is_a_span_of_the_callers_trace_with_its_parts_inside(
    revise, launch, monkeypatch, tmp_path
):
    pytest.importorskip("opentelemetry.sdk")
    revise(("champion", 7, 1.0))
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "delays")
        server = launch(access_log="access.jsonl")
        server.call(PREDICT, {"rows": [ROW], "id": "r1"}, headers={"traceparent": PARENT})
        server.call(PREDICT, {"rows": []})
        assert server.stop() == 0

    asked = [span for _, span in collector.spans if span.name.startswith("POST")]
    (good,) = [span for span in asked if span.trace_id.hex() == TRACE]
    parts = {span.name: span for _, span in collector.spans if span.parent_span_id == good.span_id}
    told = {a.key: a.value.string_value or a.value.int_value for a in good.attributes}
    lines = map(json.loads, (tmp_path / "access.jsonl").read_text().splitlines())
    assert {service for service, _ in collector.spans} == {"delays"}
    assert good.parent_span_id.hex() == "00f067aa0ba902b7"
    assert good.name == "POST /v1/endpoints/{endpoint}/predict"
    assert list(parts) == ["decode", "model", "log"]
    assert good.start_time_unix_nano == parts["decode"].start_time_unix_nano
    assert parts["decode"].end_time_unix_nano == parts["model"].start_time_unix_nano
    assert parts["log"].end_time_unix_nano <= good.end_time_unix_nano
    assert (told["treadle.version"], told["treadle.request.id"], told["http.response.status_code"]) == (
        7,
        "r1",
        200,
    )
    (other,) = [span.trace_id.hex() for span in asked if span is not good]
    assert {line["trace"] for line in lines if line["path"] == PREDICT} == {TRACE, other}


@pytest.mark.parametrize(
    "variables",
    [{}, {"OTEL_SERVICE_NAME": "x"}, {"OTEL_TRACES_EXPORTER": "none"},
     {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}],
)  # fmt: skip
def test_without_being_asked_nothing_is_traced(variables):
    assert not wanted(variables)
    assert begin(variables) is None


def test_an_exporter_that_is_unknown_is_only_said(caplog):
    assert begin({"OTEL_TRACES_EXPORTER": "zipkin"}) is None
    assert "Expected otlp, console or none" in caplog.text
