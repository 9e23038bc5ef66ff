"""The MLflow mirror without a server: what its variables mean, and how it names things."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from treadle.core.errors import InvalidInput, MirrorRefused, MirrorUnavailable, SettingsError
from treadle.registry.mirrors import _mlflow_bodies as bodies
from treadle.registry.mirrors import _mlflow_fetch as fetching
from treadle.registry.mirrors._mlflow_client import Client, Server, server
from treadle.registry.mirrors.mlflow import Mirror
from treadle.testing.mirrors import SECRET

BASIC = "Basic bWU6b3BlbnNlc2FtZS00NzEx"


@pytest.mark.parametrize(
    ("uri", "variables", "place", "authorization"),
    [
        ("http://host:5000/", {}, "http://host:5000", ""),
        ("https://host/mlflow/", {"MLFLOW_TRACKING_TOKEN": "t"}, "https://host/mlflow", "Bearer t"),
        (f"http://me:{SECRET}@host:5000", {}, "http://host:5000", BASIC),
        (
            "http://host",
            {
                "MLFLOW_TRACKING_USERNAME": "me",
                "MLFLOW_TRACKING_PASSWORD": SECRET,
                "MLFLOW_TRACKING_TOKEN": "t",
            },
            "http://host",
            BASIC,
        ),
        ("http://[::1]:5000", {}, "http://[::1]:5000", ""),
    ],
)
def test_a_server_is_let_in_as_mlflow_is(
    uri: str, variables: dict[str, str], place: str, authorization: str
) -> None:
    found = server(uri, variables)

    assert (found.address, found.authorization) == (place, authorization)
    assert SECRET not in repr(found)
    assert BASIC not in repr(found)


@pytest.mark.parametrize(
    "uri",
    ["mlruns", "sqlite:///a.db", "databricks", "file:///tmp", "http://", "http://a:b:c", "http://h:99999"],
)
def test_what_is_no_server_is_refused(uri: str) -> None:
    with pytest.raises(SettingsError, match="names no server that answers over HTTP"):
        Mirror({"MLFLOW_TRACKING_URI": uri})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MLFLOW_TRACKING_AWS_SIGV4", "true"),
        ("MLFLOW_TRACKING_AUTH", "plugin"),
        ("MLFLOW_TRACKING_CLIENT_CERT_PATH", "/a"),
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "0"),
        ("MLFLOW_TRACKING_TOKEN", "two\nlines"),
    ],
)
def test_what_cannot_be_done_is_said(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable) as caught:
        Mirror({"MLFLOW_TRACKING_URI": "https://host", variable: value})

    assert "two" not in str(caught.value)


def test_without_an_address_it_is_off() -> None:
    assert Mirror({"MLFLOW_EXPERIMENT_NAME": "x"}).place == ""


def test_different_names_stay_different() -> None:
    names = ["a?b", "a%b", "a_b", "a/../b", "a//b", "/a", ".", "..", "", "x" * 300, "x" * 301, "a:b", "ä"]

    keys = [bodies.key(name) for name in names]

    assert len(set(keys)) == len(names)
    assert all(len(key) <= 250 for key in keys)
    assert [bodies.key(name) for name in ("a:b", "ä", "a/b c-d.e")] == ["a:b", "ä", "a/b c-d.e"]


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("mlflow-artifacts:/1/ab/artifacts", "1/ab/artifacts"),
        ("mlflow-artifacts://host:5000/1/ab", "1/ab"),
        ("mlflow-artifacts://elsewhere/1/ab", ""),
        ("mlflow-artifacts:/1/../2", ""),
        ("s3://bucket/1/ab", ""),
        ("/mlruns/1/ab", ""),
    ],
)
def test_artefacts_go_through_this_server_or_not_at_all(uri: str, folder: str) -> None:
    found, why = fetching.folder_of(uri, "http://host:5000")

    assert (found, bool(why)) == (folder, not folder)


@pytest.mark.parametrize(
    "text", ["delay", "delay@champion", "models:/delay", "models:/a/b@c", "models:/delay/0", "runs:/1/model"]
)
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="names no model of MLflow"):
        Mirror({"MLFLOW_TRACKING_URI": "http://host"}).fetch(text)


@pytest.mark.parametrize(
    ("described", "flavour", "runs_code"),
    [
        (
            b"flavors:\n  onnx: {data: model.onnx}\n  python_function: {loader_module: mlflow.onnx}\n",
            "onnx",
            False,
        ),
        (
            b"flavors:\n  python_function: {loader_module: x}\n  sklearn: {pickled_model: m.pkl}\n",
            "sklearn",
            True,
        ),
        (b"flavors:\n  python_function: {loader_module: x}\n", "python_function", True),
    ],
)
def test_what_reading_a_model_would_do_is_known(described: bytes, flavour: str, runs_code: bool) -> None:
    with _answering({"MLmodel": described, "model.onnx": b"x"}) as client:
        found = fetching.fetch("models:/m/1", registry=client, tracking=client)

    assert (found.flavour, found.runs_code) == (flavour, runs_code)


@pytest.mark.parametrize(
    "described", [b"\xff\x00", b"[1", b"flavors: 3", b"!!python/object/apply:os.system ['true']", b""]
)
def test_a_damaged_description_is_refused(described: bytes) -> None:
    with (
        _answering({"MLmodel": described}) as client,
        pytest.raises(MirrorRefused, match="is no (whole )?MLflow model"),
    ):
        fetching.fetch("models:/m/1", registry=client, tracking=client)


@pytest.mark.parametrize("path", ["../../etc/passwd", "a/../../b"])
def test_a_file_outside_the_model_is_refused(path: str) -> None:
    with _answering({path: b"x"}) as client, pytest.raises(MirrorRefused, match="outside its folder"):
        fetching.fetch("models:/m/1", registry=client, tracking=client)


def test_more_than_is_allowed_is_not_read() -> None:
    with (
        _answering({"MLmodel": b"x" * 1000}) as client,
        pytest.raises(MirrorRefused, match="more than 10 bytes"),
    ):
        client.get_file("1/model/MLmodel", most=10)


def test_a_slow_answer_is_cut_off_by_the_whole_of_its_time() -> None:
    with _answering({"MLmodel": b"x" * 40}, pause=0.05) as client, pytest.raises(MirrorUnavailable):
        client.text("/slow")


class _answering:
    """A server that answers as MLflow does about one version, whose files are these."""

    def __init__(self, files: dict[str, bytes], *, pause: float = 0.0) -> None:
        import json

        version = {"name": "m", "version": "1", "run_id": "r", "tags": []}
        ended = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path.endswith("/model-versions/get"):
                    body = json.dumps({"model_version": version}).encode()
                elif path.endswith("get-download-uri"):
                    body = b'{"artifact_uri": "mlflow-artifacts:/1/model"}'
                elif path.endswith("/artifacts"):
                    body = json.dumps({"files": [{"path": name, "is_dir": False} for name in files]}).encode()
                else:
                    body = files.get(path.rpartition("/1/model/")[2], b"x" * 40)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for at in range(0, len(body), len(body) if not pause else 1) if body else ():
                    ended.wait(pause)
                    self.wfile.write(body[at : at + (1 if pause else len(body))])

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._ended = ended
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Client:
        self._thread.start()
        return Client(Server(f"http://127.0.0.1:{self._server.server_port}", timeout=0.5))

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
