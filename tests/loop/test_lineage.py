"""Real servers take the OpenLineage events of real runs, which are what the standard's own classes would say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attr
import msgspec
import pytest
import tiny
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from treadle.app.checks import checks
from treadle.app.lineage import lineage
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import monotonic
from treadle.core.errors import RunFailed, SettingsError
from treadle.core.records import Run, Window
from treadle.loop.lineage_events import Input, Told, end, run_id
from treadle.loop.lineage_server import LineageServer

INLINE = {"compute.engine": "inline"}
KEY = "opensesame-4711"


class Server:
    """Takes events, or answers with `status`, or hangs as long as `hangs` is set."""

    def __init__(self) -> None:
        self.status, self.events, self.headers, self.paths = 201, [], [], []
        self.hangs, self.over = False, threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.hangs:
                    outer.over.wait(60)
                    return
                outer.headers.append(dict(self.headers))
                outer.paths.append(self.path)
                if outer.status < 300:
                    outer.events.append(json.loads(body))
                self.answer(outer.status)

            def do_GET(self) -> None:
                self.answer(405 if outer.status < 300 else outer.status)

            def answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def kinds(self) -> list[str]:
        return [event["eventType"] for event in self.events]

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()
    monkeypatch.setenv("OPENLINEAGE_URL", found.url)
    yield found
    found.close()


@pytest.fixture
def workspace(tmp_path: Path, server: Server) -> Iterator[Workspace]:
    with open_workspace(tiny.make(tmp_path / "tiny"), overrides=INLINE) as found:
        yield found


#: Facet, as events call it → the official client's class of it.
CLASSES = {
    "dataSource": facet_v2.datasource_dataset.DatasourceDatasetFacet,
    "datasetType": facet_v2.dataset_type_dataset.DatasetTypeDatasetFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "executionParameters": facet_v2.execution_parameters_run.ExecutionParametersRunFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "nominalTime": facet_v2.nominal_time_run.NominalTimeRunFacet,
    "outputStatistics": facet_v2.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "processing_engine": facet_v2.processing_engine_run.ProcessingEngineRunFacet,
    "schema": facet_v2.schema_dataset.SchemaDatasetFacet,
    "symlinks": facet_v2.symlinks_dataset.SymlinksDatasetFacet,
    "tags": facet_v2.tags_run.TagsRunFacet,
    "test": facet_v2.test_run.TestRunFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
}
#: Field of a facet that lists things → their class.
PARTS = {
    "fields": facet_v2.schema_dataset.SchemaDatasetFacetFields,
    "identifiers": facet_v2.symlinks_dataset.Identifier,
    "parameters": facet_v2.execution_parameters_run.ExecutionParameter,
    "tags": facet_v2.tags_run.TagsRunFacetFields,
    "tests": facet_v2.test_run.TestExecution,
}


def must_be_valid(event: dict[str, Any]) -> None:
    """Make the event of the official client's classes, which know its fields, and compare what they write."""
    made = event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]],
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(runId=event["run"]["runId"], facets=facets(event["run"]["facets"])),
        job=event_v2.Job(**{**event["job"], "facets": facets(event["job"]["facets"])}),
        inputs=[event_v2.InputDataset(**dataset(one, "inputFacets")) for one in event["inputs"]],
        outputs=[event_v2.OutputDataset(**dataset(one, "outputFacets")) for one in event["outputs"]],
    )

    assert clean(json.loads(Serde.to_json(made))) == clean(event)


def dataset(found: dict[str, Any], more: str) -> dict[str, Any]:
    return {**found, "facets": facets(found["facets"]), more: facets(found[more])}


def facets(found: dict[str, Any]) -> dict[str, Any]:
    return {name: facet(CLASSES[name], fields) for name, fields in found.items()}


def facet(kind: type[Any], fields: dict[str, Any]) -> Any:
    given = {name: value for name, value in fields.items() if not name.startswith("_")}
    for name in given.keys() & PARTS.keys():
        given[name] = [PARTS[name](**part) for part in given[name]]
    made = kind(**given, producer=fields["_producer"])
    assert fields["_schemaURL"] == kind._get_schema()
    known = {field.name: field for field in attr.fields(kind)}
    assert all(isinstance(given[name], str) for name in given if known[name].type == "str")
    return made


def clean(value: Any) -> Any:
    """Return JSON without what is empty: some classes write it, and it says nothing."""
    if isinstance(value, dict):
        kept = {name: clean(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part not in (None, {}, [])}
    return [clean(part) for part in value] if isinstance(value, list) else value


def test_a_run_is_told_with_what_it_read_and_made(workspace: Workspace, server: Server) -> None:
    turn = workspace.run("buys")

    begun, ended = server.events
    (read,), (made,) = ended["inputs"], ended["outputs"]
    assert server.kinds() == ["START", "COMPLETE"]
    for event in server.events:
        must_be_valid(event)
        assert event["run"]["runId"] == run_id(turn.run)
        assert (event["job"]["namespace"], event["job"]["name"]) == ("tiny", "buys")
    assert datetime.fromisoformat(begun["eventTime"]) == turn.run.started_at
    assert datetime.fromisoformat(ended["eventTime"]) == turn.run.finished_at
    assert (read["namespace"], read["name"]) == ("tiny", "visits")
    assert read["facets"]["version"]["datasetVersion"] == "1"
    assert {f["name"]: f["type"] for f in read["facets"]["schema"]["fields"]}["pages"] == "Float64"
    table = Path(read["facets"]["dataSource"]["uri"].removeprefix("file://"))
    assert (table / "_delta_log").is_dir()
    assert (made["name"], made["facets"]["version"]["datasetVersion"]) == ("models/buys", "1")
    tests = ended["run"]["facets"]["test"]["tests"]
    assert len(tests) == len(workspace.verdicts.list(run=turn.run.id)) > 0
    tags = {tag["key"]: tag["value"] for tag in ended["run"]["facets"]["tags"]["tags"]}
    assert tags["treadle.run"] == turn.run.id
    assert float(tags["treadle.metric.rows"]) == turn.run.metrics["rows"]
    assert [one.sent for one in workspace.mirror()] == [0]


def test_views_and_trees_are_inputs_too(tmp_path: Path, server: Server) -> None:
    root = tiny.make(tmp_path / "tiny")
    file, view = (
        root / "project.py",
        'td.FeatureView("crowds", source=td.Files("crowds/*.csv"), entity="shop", ',
    )
    view += 'time="counted_at", fields=["people"])'
    (root / "crowds").mkdir()
    (root / "crowds" / "1.csv").write_text("shop,counted_at,people\nnorth,2020-01-06T00:00:00Z,7\n")
    (root / "words").mkdir()
    (root / "words" / "1.txt").write_text("hello")
    more = f'crowds = {view}\nwords = td.Tree("words", source="words")\n\n\n@td.model(\n    features=[crowds], trees=[words],'
    file.write_text(file.read_text().replace("@td.model(", more))
    with open_workspace(root, overrides=INLINE) as workspace:
        run = workspace.run("buys").run

    must_be_valid(server.events[-1])
    told = {one["name"]: one["facets"] for one in server.events[-1]["inputs"]}
    assert {name: int(found["version"]["datasetVersion"]) for name, found in told.items()} == run.data
    assert {field["name"] for field in told["crowds"]["schema"]["fields"]} == {"shop", "counted_at", "people"}
    assert told["words"].keys() == {"version", "datasetType"}


def test_a_run_is_told_with_its_window_and_parameters_and_where_its_rows_are() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    window = Window(start=at - timedelta(days=90), end=at)
    run = Run(
        id="run_1", model="buys", status="failed", started_at=at, reason="by hand", window=window,
        params={"c": 1.5, "kernel": "rbf"}, metrics={"loss": 0.1}, data={"visits": 3},
    )  # fmt: skip
    read = Input(name="visits", version=3, uri="s3://shop/tables/visits/rows", columns={"pages": "Float64"})
    event = end(Told(namespace="shop", release="1.0", run=run, inputs=(read,)))

    must_be_valid(event)
    facets = event["run"]["facets"]
    assert facets["nominalTime"]["nominalStartTime"] == "2025-12-01T12:00:00+00:00"
    assert facets["executionParameters"]["parameters"] == [
        {"key": "c", "value": "1.5"}, {"key": "kernel", "value": "rbf"}
    ]  # fmt: skip
    assert event["inputs"][0]["facets"]["symlinks"]["identifiers"] == [
        {"namespace": "s3://shop", "name": "tables/visits/rows", "type": "TABLE"}
    ]
    assert event["run"]["runId"] == run_id(run) != run_id(msgspec.structs.replace(run, id="run_2"))
    assert event["run"]["runId"][14] == "7"


def test_the_documented_event_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "rooms" / "loop.md").read_text()
    block = page.partition("## Lineage")[2].partition("```json\n")[2].partition("```")[0]

    must_be_valid(json.loads(block))


def test_a_run_that_fails_says_why(workspace: Workspace, server: Server) -> None:
    (workspace.root / "mood.txt").write_text("raises")

    with pytest.raises(RunFailed):
        workspace.run("buys")

    must_be_valid(server.events[-1])
    said = server.events[-1]["run"]["facets"]["errorMessage"]
    assert server.kinds() == ["START", "FAIL"]
    assert "the moon is wrong" in said["message"]
    assert "ZeroDivisionError" in said["stackTrace"]
    assert server.events[-1]["outputs"] == []


def test_a_run_that_gates_turn_down_is_complete_with_a_test_that_failed(
    workspace: Workspace, server: Server
) -> None:
    workspace.run("buys")
    tiny.land(workspace.root, 1)
    (workspace.root / "mood.txt").write_text("backwards")
    turn = workspace.run("buys")

    ended = server.events[-1]
    must_be_valid(ended)
    assert (turn.run.status, ended["eventType"]) == ("rejected", "COMPLETE")
    assert "fail" in {test["status"] for test in ended["run"]["facets"]["test"]["tests"]}


def test_a_run_that_was_given_up_is_aborted(workspace: Workspace, server: Server) -> None:
    workspace.ingest("visits")
    run = workspace.runs.start("buys", reason="by hand", data={"visits": 1})  # of other code, or of none
    turn = workspace.run("buys")

    told = [event for event in server.events if event["run"]["runId"] == run_id(run)]
    for event in told:
        must_be_valid(event)
    assert workspace.runs.get(run.id).given_up
    assert [event["eventType"] for event in told] == ["START", "ABORT"]
    assert run_id(turn.run) != run_id(run)


def test_a_run_is_told_of_while_it_goes_on(workspace: Workspace, server: Server) -> None:
    (workspace.root / "mood.txt").write_text("waits")
    training = threading.Thread(target=workspace.run, args=("buys",), daemon=True)
    training.start()

    wait(lambda: server.kinds() == ["START"])
    for name in ("go", "on"):
        (workspace.root / name).touch()
    training.join(60)

    assert server.kinds() == ["START", "COMPLETE"]


@pytest.mark.parametrize("trouble", ["gone", 500, 401, 404, "hangs"])
def test_a_server_in_trouble_fails_no_run_and_is_told_later(
    workspace: Workspace, server: Server, trouble: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", KEY)
    place = server.url
    if trouble == "gone":
        monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    server.hangs, server.status = trouble == "hangs", trouble if isinstance(trouble, int) else 201
    began = monotonic()
    turn = workspace.run("buys")
    took = monotonic() - began
    (state,) = workspace.status().mirrors
    (check,) = [one for one in checks(workspace) if one.what == "lineage"]

    server.hangs, server.status = False, 201
    server.over.set()
    monkeypatch.setenv("OPENLINEAGE_URL", place)
    with open_workspace(workspace.root, overrides=INLINE) as later:
        (sent,) = later.mirror()

    assert turn.run.status == "succeeded"
    assert took < 60
    assert (state.runs, server.kinds()) == (1, ["START", "COMPLETE"])
    assert state.error
    assert KEY not in state.error + check.said
    assert check.ok == (trouble in ("hangs", 404))
    assert (sent.sent, sent.waiting, sent.error) == (2, 0, "")
    assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"
    assert set(server.paths) == {"/api/v1/lineage"}


def test_an_event_that_is_refused_holds_up_no_other(workspace: Workspace, server: Server) -> None:
    server.status = 422
    workspace.run("buys")
    (state,) = workspace.status().mirrors
    server.status = 201
    tiny.land(workspace.root, 1)
    workspace.run("buys")

    (after,) = workspace.status().mirrors
    assert (state.error, len(state.refused), len(after.refused)) == ("", 1, 1)
    assert "422" in after.refused[0]
    assert server.kinds() == ["START", "COMPLETE"]
    (sent,) = workspace.mirror()
    assert (sent.sent, sent.refused) == (2, ())
    assert len(server.events) == 4


def test_an_event_whose_note_was_lost_is_sent_again_the_same(workspace: Workspace, server: Server) -> None:
    workspace.run("buys")
    before = list(server.events)

    workspace.mirror(again=True)

    assert server.events == [*before, *before]


def test_the_variables_mean_what_they_mean(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.run("buys")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "shop")
    monkeypatch.setenv("OPENLINEAGE_ENDPOINT", "api/v2/lineage?x=1")
    with open_workspace(workspace.root) as other:
        found = lineage(other)
        (run,) = other.runs.list()
        assert found is not None
        assert {event["job"]["namespace"] for event in found.events(run)} == {"shop"}
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "True")
    with open_workspace(workspace.root) as other:
        assert lineage(other) is None


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OPENLINEAGE_URL": "marquez:5000"}, "OPENLINEAGE_URL"),
        ({"OPENLINEAGE_URL": f"http://me:{KEY}@host"}, "holds a user or a password"),
        ({"OPENLINEAGE_URL": "http://host", "OPENLINEAGE_API_KEY": f"{KEY}\n1"}, "one line"),
    ],
)
def test_variables_that_are_wrong_are_named(variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        LineageServer(variables)

    assert KEY not in str(caught.value)


def test_wrong_variables_fail_no_run(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "marquez:5000")

    assert workspace.run("buys").run.status == "succeeded"
    assert "OPENLINEAGE_URL" in workspace.status().mirrors[0].error
    assert not next(one for one in checks(workspace) if one.what == "lineage").ok


def wait(until: Callable[[], bool]) -> None:
    end = datetime.now(UTC) + timedelta(seconds=60)
    while not until():
        assert datetime.now(UTC) < end
        threading.Event().wait(0.05)
