"""Attacks of `FAULTS.md` on the team server: who may what, paths, secrets, scripts, and requests that are meant to break it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from starlette.testclient import TestClient

import treadle as td
from http_cases import BASE, Open
from served import served
from treadle.app.http.application import application
from treadle.app.http.door.guard import OPEN
from treadle.app.http.source import Source
from treadle.app.ui.page import pages
from treadle.app.wire.table import HERE, OPERATIONS
from treadle.core import hooks
from treadle.core.addresses import Allowed
from treadle.core.clock import SystemClock
from treadle.core.people import ROLES
from treadle.core.settings import UiSettings
from treadle.serving.access_log import AccessLog

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
#: Every address beside the pages: who adds one says here that its tests are made.
ROUTES = {
    *(
        "/static/{name}",
        "/live",
        "/live/runs/{run}",
        "/sign-in",
        "/sign-in/style.css",
        "/sign-out",
        "/livez",
        "/readyz",
    ),
    *("/do/{operation}", "/api/v1", "/api/v1/{operation}", "/api/v1/bytes/{digest}", "/api/v1/work/{name}"),
    *("/oidc/begin", "/oidc/done"),
}
#: Paths that lead somewhere else where somebody joins them carelessly.
ELSEWHERE = [
    start + middle + end
    for start in ("", "/", "./", "x/", "\\", "file:", "C:\\", "//", "~", "%00", "\x00")
    for middle in (
        "../",
        "..\\",
        "%2e%2e/",
        "..%2f",
        "%252e%252e%252f",
        "....//",
        "..;/",
        "\u2025/",
        "/./../",
        "..\x00/",
    )
    for end in ("canary", "../canary", "../../../../etc/passwd", "con", "a" * 4096)
]


def named(address: str) -> str:
    """Return an address with something in place of its parts in braces."""
    return "/".join("x" if part.startswith("{") else part for part in address.split("/"))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize("role", ROLES)
def test_a8_each_role_may_what_it_may_and_nothing_else(
    opened: Open, tokens: dict[str, str], role: str
) -> None:
    client = opened(bearer(tokens[role]))
    wrong = []

    for name, operation in OPERATIONS.items():
        # An argument that is none is found after the role was looked at, and before anything is done.
        answer = client.post(f"/api/v1/{name}", json={"no such argument": 1})
        may = ROLES.index(role) >= ROLES.index(operation.role)
        if answer.status_code != (400 if may else 403):
            wrong.append((name, answer.status_code))

    assert wrong == []


def test_a8_every_refusal_is_noted(opened: Open, tokens: dict[str, str], shop: Path) -> None:
    client = opened(bearer(tokens["viewer"]))

    client.post("/api/v1/promote", json={"version": "buys/1", "reason": "r"})

    with td.open(shop) as ws:
        found = ws.audit(kind="team")[0]
    assert (found.subject, found.what, found.actor) == ("operation:promote", "refused", "the-viewer")


def test_a8_a_scope_narrows_a_token(opened: Open, tokens: dict[str, str], shop: Path) -> None:
    with td.open(shop) as ws:
        token = ws.team.create_token("narrow", "the-admin", scopes=("viewer", "alerts.*"))
    client = opened(bearer(token))

    codes = [
        client.post(f"/api/v1/{name}", json={"no such argument": 1}).status_code
        for name in ("status", "alerts.silence", "promote", "team.tokens")
    ]

    assert codes == [400, 400, 403, 403]


def test_a8_a_token_of_another_project_is_nobodys(
    opened: Open, tokens: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "treadle.toml").write_text("")
    (other / "project.py").write_text("")
    with td.open(other) as ws:
        ws.team.add("the-admin", "admin")
        foreign = ws.team.create_token("t", "the-admin")
    there = TestClient(application(Source(other), UiSettings(rate=0.0)), base_url=BASE)

    assert opened(bearer(foreign)).post("/api/v1/status", json={}).status_code == 401
    assert there.post("/api/v1/status", json={}, headers=bearer(tokens["admin"])).status_code == 401


def test_a8_somebody_s_work_is_theirs(opened: Open, tokens: dict[str, str]) -> None:
    lines = {"accept": "application/x-ndjson", "treadle-work": "work-of-the-operator"}
    mine, other = opened(bearer(tokens["operator"])), None
    mine.post("/api/v1/status", json={}, headers=lines)

    other = TestClient(mine.app, base_url=BASE, headers=bearer(tokens["admin"]))

    assert mine.get("/api/v1/work/work-of-the-operator").status_code == 200
    assert other.get("/api/v1/work/work-of-the-operator").status_code == 404


def test_a7_nothing_but_a_named_list_is_answered_without_a_token(
    opened: Open, tokens: dict[str, str]
) -> None:
    client = opened(oidc_issuer="http://127.0.0.1:1", oidc_client="x")
    known = {route.path for route in client.app.routes}

    answered = {
        (method, path)
        for path in known
        for method in METHODS
        if client.request(method, named(path), follow_redirects=False).status_code not in {401, 403}
    }

    assert known == ROUTES | {page.path for page in pages()}
    assert {path for _, path in answered} <= set(OPEN)


def test_a6_strangers_are_refused_on_every_route_and_method(opened: Open) -> None:
    client = opened()
    strange = [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]

    let_in = [
        (method, route.path, headers)
        for route in client.app.routes
        for method in METHODS
        for headers in strange
        if client.request(method, named(route.path), headers=headers).status_code not in {403, 421}
    ]

    assert let_in == []


def test_a7_what_works_only_there_is_refused(opened: Open, tokens: dict[str, str]) -> None:
    client = opened(bearer(tokens["admin"]))

    assert {client.post(f"/api/v1/{name}", json={}).status_code for name in HERE} == {501}
    for name in (
        "__class__",
        "team.__init__",
        "ledger.close",
        "close",
        "project.file",
        "_whole",
        "settings",
        "a.b.c",
    ):
        assert client.post(f"/api/v1/{name}", json={}).status_code in {404, 501}


@pytest.mark.slow
def test_a3_no_path_leads_elsewhere(opened: Open, shop: Path) -> None:
    canary = shop.parent / "canary"
    canary.write_text("a bird in a mine")
    client = opened()
    before = set(shop.parent.iterdir())
    codes, texts = set(), []

    for path in ELSEWHERE:
        for route in ("/static/", "/api/v1/bytes/", "/api/v1/work/", "/models/", "/runs/"):
            for written in (quote(path, safe="/%;:~"), quote(path, safe="")):
                answer = client.get(route + written)
                codes.add(answer.status_code)
                texts.append(answer.text)
        digest = client.put(
            "/api/v1/bytes/" + quote(path, safe=""),
            content=b"x",
            headers={"content-type": "application/octet-stream"},
        )
        codes.add(digest.status_code)
    for name, given in (
        ("runs.log", "run"),
        ("runs.metrics", "run"),
        ("datasets.read", "name"),
        ("trees.files", "name"),
        ("models.get", "reference"),
        ("predictions.scan", "endpoint"),
        ("jobs.result", "name"),
        ("drifts.history", "model"),
    ):
        for path in ELSEWHERE[::7]:
            answer = client.post(f"/api/v1/{name}", json={given: path})
            codes.add(answer.status_code)
            texts.append(answer.text)

    assert not any("a bird in a mine" in text or "root:" in text for text in texts)
    assert {code for code in codes if code >= 500} == set()
    assert set(shop.parent.iterdir()) == before


SECRETS = [
    f"s3cret-{number:02}-{hashlib.sha256(str(number).encode()).hexdigest()[:12]}" for number in range(30)
]


def test_a16_planted_secrets_are_nowhere(
    shop: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Thirty secrets stand in settings, variables, headers, forms and errors; none of them in what is sent or logged."""
    secret = iter(SECRETS)
    for section, key in (
        ("serving", "token"),
        ("jobs", "secret"),
        ("ui", "oidc_secret"),
        ("serving", "redact_key"),
    ):
        monkeypatch.setenv(f"TREADLE_{section.upper()}__{key.upper()}", next(secret))
    monkeypatch.setenv("TREADLE_QUEUE__URL", f"amqp://me:{next(secret)}@127.0.0.1:1/q")
    monkeypatch.setenv("TREADLE_ONLINE__URL", f"redis://me:{next(secret)}@127.0.0.1:1/0")
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_PASSWORD",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "PGPASSWORD",
    ):
        monkeypatch.setenv(name, next(secret))
    log = AccessLog("ui.jsonl", shop, td.open(shop).clock)
    client = TestClient(application(Source(shop), UiSettings(rate=0.0), log=log), base_url=BASE)
    with td.open(shop) as ws:
        ws.team.add("ann", "admin")
        mine = ws.team.create_token("t", "ann")
    caplog.set_level(logging.DEBUG, "treadle")
    sent = []

    def keep(answer) -> None:
        sent.append(answer.text + str(answer.headers))

    for text in [next(secret) for _ in range(19)]:  # in headers, cookies, queries and bodies
        keep(
            client.post(
                "/api/v1/audit", json={"limit": 1}, headers={**bearer(mine), "x-forwarded-user": text}
            )
        )
        keep(client.get("/", headers={**bearer(f"tdu_{text}"), "cookie": f"treadle_session_8500={text}"}))
        keep(client.get("/", headers={**bearer(mine), "x-api-key": text}))
        keep(client.post("/sign-in", data={"token": text}))
    monkeypatch.setattr(td.Workspace, "status", lambda self: raised(next(secret)))
    for name in (
        "status",
        "check",
        "alerts.open",
        "online.freshness",
        "jobs.recent",
        "experiments.list",
        "promises.standings",
    ):
        keep(client.post(f"/api/v1/{name}", json={}, headers=bearer(mine)))
    for page in pages():
        keep(client.get(named(page.path), headers={**bearer(mine), "accept": "text/html"}))
    log.close()

    kept = "".join(sent) + (shop / "ui.jsonl").read_text()
    assert [one for one in (*SECRETS, mine) if one in kept] == []
    assert [one for one in (*SECRETS, mine) if one in caplog.text] == []


def raised(text: str) -> None:
    raise RuntimeError(f"postgresql://me:{text}@db refused")


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "{{7*7}}"]
)
def test_a15_what_stands_in_an_address_is_no_script(opened: Open, text: str) -> None:
    client = opened()

    for page in pages():
        for address in (named(page.path).replace("/x", "/" + quote(text, safe="")), named(page.path)):
            answer = client.get(f"{address}?kind={quote(text)}&after={quote(text)}&q={quote(text)}")
            assert answer.status_code < 500, (address, answer.text[:300])
            if not answer.headers["content-type"].startswith("text/html"):
                assert answer.headers["x-content-type-options"] == "nosniff"
                continue
            assert "<script>alert" not in answer.text
            assert "<img src=x" not in answer.text
            assert 'href="javascript:' not in answer.text


def test_a13_what_is_searched_for_is_never_sql(opened: Open) -> None:
    client = opened()
    payloads = [
        "' OR 1=1 --",
        "'; DROP TABLE runs; --",
        "\\",
        "%",
        "_",
        "a' UNION SELECT 1",
        "\x00",
        "𝕊" * 100,
        "((((",
        "a=1 and",
    ]

    for text in payloads:
        for name, given in (
            ("audit", {"subject": text}),
            ("audit", {"kind": text}),
            ("audit_page", {"after": text}),
            ("runs.find", {"where": [text]}),
            ("runs.find", {"where": [f"metrics.x < {text}"], "sort": text}),
            ("runs.page", {"after": text}),
            ("alerts.history", {"rule": text}),
            ("decisions.list", {"model": text}),
        ):
            answer = client.post(f"/api/v1/{name}", json=given)
            assert answer.status_code < 500, (name, given, answer.text)
    assert client.post("/api/v1/runs.list", json={}).json() != []


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 5_000,
        b'{"limit": ' + b"9" * 100_000 + b"}",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"limit": 1e999}',
        b'{"limit": {"$": "record", "of": "os:system", "v": {}}}',
        b'{"kind": {"$": "frame", "digest": "../../etc/passwd"}}',
    ],
    ids=range(9),
)
def test_a11_bodies_that_are_meant_to_break_it(opened: Open, body: bytes) -> None:
    began = time.monotonic()

    answer = opened().post("/api/v1/audit", content=body, headers={"content-type": "application/json"})

    assert 400 <= answer.status_code < 500
    assert time.monotonic() - began < 5


def test_a18_a_session_is_kept_as_a_digest_and_folders_are_private(opened: Open, shop: Path) -> None:
    client = opened()
    data = b"x" * 100
    digest = hashlib.sha256(data).hexdigest()
    kind = {"content-type": "application/octet-stream"}

    assert client.put(f"/api/v1/bytes/{digest}", content=data, headers=kind).status_code == 204
    assert client.put(f"/api/v1/bytes/{'0' * 64}", content=data, headers=kind).status_code >= 400
    assert client.get(f"/api/v1/bytes/{digest}").headers["content-disposition"] == "attachment"
    folder = shop / ".treadle" / "sent"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


@pytest.mark.slow
def test_a11_a_gigabyte_and_a_slow_loris_are_refused_and_the_server_goes_on(shop: Path) -> None:
    app = application(Source(shop), UiSettings(rate=0.0, body_timeout=1.0))
    with served(app) as url:
        port = urlsplit(url).port
        assert port is not None
        json_ = {"content-type": "application/json"}
        said = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        said.request("POST", "/api/v1/status", headers={**json_, "content-length": str(1 << 30)})
        assert said.getresponse().status == 413
        said.close()
        sent = poured(port)
        slow = [dripping(port) for _ in range(50)]
        began = time.monotonic()
        good = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        good.request("GET", "/livez")
        assert good.getresponse().status == 200
        good.close()
        ends = [one.recv(4096) for one in slow]
        for one in slow:
            one.close()

    assert sent < 100 << 20
    assert time.monotonic() - began < 60
    assert all(b"408" in text.partition(b"\r\n")[0] for text in ends)


def poured(port: int) -> int:
    """Send a gigabyte in pieces without saying how much it is; return how much was taken."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(
            b"POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        piece, sent = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n", 0
        with contextlib.suppress(OSError):
            for _ in range(1024):
                sock.sendall(piece)
                sent += 1 << 20
        return sent


def dripping(port: int) -> socket.socket:
    """Begin a request whose body never comes."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=60)
    sock.sendall(
        b"POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    return sock


def test_a5_no_web_hook_reaches_this_machine_however_it_is_written() -> None:
    """A listener on loopback is the witness: nobody comes."""
    came: list[object] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    port = listener.getsockname()[1]
    done = threading.Event()

    def witness() -> None:
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                came.append(listener.accept()[1])

    thread = threading.Thread(target=witness)
    thread.start()
    hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ]
    hosts += [
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "0",
        "169.254.169.254",
        "10.0.0.1",
        "[fe80::1]",
    ]
    for host in hosts:
        failure = hooks.post(
            f"http://{host}:{port}/",
            b"{}",
            delivery="d",
            secret="",
            at=SystemClock().now(),
            timeout=2.0,
            allowed=Allowed(),
        )
        assert failure is not None
    done.set()
    thread.join()
    listener.close()

    assert came == []
