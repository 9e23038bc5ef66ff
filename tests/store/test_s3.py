"""Buckets that lie, refuse, or do not answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

import services
from pace import within
from treadle.core.clock import monotonic
from treadle.core.errors import SettingsError, StoreReadOnly, StoreUnavailable
from treadle.store import s3 as s3_store
from treadle.store.objects.objects import Objects
from treadle.store.places import place_of
from treadle.store.tables.tables import Tables

_KEYS = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


class _IgnoresConditions(BaseHTTPRequestHandler):
    """An S3 look-alike that overwrites whatever the headers say."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/missing/"):
            self._answer(404, b"<Error><Code>NoSuchBucket</Code><Message>None.</Message></Error>")
        else:
            self._answer(200, b"")

    def do_DELETE(self) -> None:
        self._answer(204, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def bad_bucket() -> Iterator[dict[str, str]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _IgnoresConditions) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield _at(server.server_port)
        server.shutdown()
        thread.join()


@pytest.fixture
def silence() -> Iterator[dict[str, str]]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield _at(server.getsockname()[1])


def test_r12_a_bucket_that_ignores_conditions_is_refused(bad_bucket: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"ignores If-None-Match.*tables\.url"):
        Tables.open("s3://bucket/tables", root=tmp_path, options=bad_bucket)


def test_r12_objects_need_no_conditions(bad_bucket: dict[str, str], tmp_path: Path) -> None:
    objects = Objects.open("s3://bucket/objects", root=tmp_path, options=bad_bucket)

    assert objects.put(b"x").startswith("sha256:")


def test_the_probe_leaves_nothing(s3: str, tmp_path: Path, seaweed: services.Seaweed) -> None:
    Tables.open(s3, root=tmp_path, options=seaweed.options)

    store = s3_store.store_of(place_of(s3, root=tmp_path), options=seaweed.options)

    assert [page for page in store.list() if page] == []


def test_a_wrong_secret_is_said_at_once(s3: str, tmp_path: Path, seaweed: services.Seaweed) -> None:
    options = {**seaweed.options, "AWS_SECRET_ACCESS_KEY": "wrong"}
    objects = Objects.open(s3, root=tmp_path, options=options)
    start = monotonic()

    with pytest.raises(StoreReadOnly, match="AWS_SECRET_ACCESS_KEY"):
        Tables.open(s3, root=tmp_path, options=options)
    with pytest.raises(StoreReadOnly, match="AWS_SECRET_ACCESS_KEY"):
        objects.put(b"x")

    assert monotonic() - start < within(5)


def test_a_bucket_that_does_not_exist_is_said(bad_bucket: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist"):
        Tables.open("s3://missing/x", root=tmp_path, options=bad_bucket)


@pytest.mark.slow
def test_a_silent_server_is_given_up(silence: dict[str, str], tmp_path: Path) -> None:
    start = monotonic()

    with pytest.raises(StoreUnavailable, match="timed out"):
        Objects.open("s3://bucket/x", root=tmp_path, options=silence).put(b"x")

    assert monotonic() - start < within(25, busy=4)


def test_an_unknown_option_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="aws_nonsense"):
        Objects.open("s3://bucket/x", root=tmp_path, options={**_KEYS, "AWS_NONSENSE": "1"})


@pytest.mark.parametrize("name", ["AWS_PAGER", "AWS_PROFILE", "AWS_MAX_ATTEMPTS"])
def test_options_of_other_tools_do_no_harm(
    name: str, s3: str, tmp_path: Path, seaweed: services.Seaweed
) -> None:
    options = {**seaweed.options, name: "3"}

    tables = Tables.open(s3, root=tmp_path, options=options)
    tables.append("t", pl.DataFrame({"a": [1]}), base=None)

    assert tables.scan("t").collect().height == 1


def _at(port: int) -> dict[str, str]:
    return {**_KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
