"""Signing in with a real OpenID Connect provider on loopback."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

import treadle as td
from http_cases import Open
from services import free_ports


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while True:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration", timeout=5)
                break
            except httpx.HTTPError:
                assert time.monotonic() < end
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def client(opened: Open, issuer: str, shop: Path) -> TestClient:
    with td.open(shop) as ws:
        ws.team.add("ann@example.org", "operator")
        ws.team.add("root", "admin")
    return opened(oidc_issuer=issuer, oidc_client="treadle", oidc_secret="s3cret")


def to_provider(client: TestClient, name: str) -> str:
    """Begin here, sign in there, and return where the provider leads back to."""
    way = client.get("/oidc/begin?next=/%3Fx%3D1", follow_redirects=False).headers["location"]
    assert "code_challenge=" in way
    signed = httpx.post(way, data={"sub": name})
    assert signed.status_code in {302, 303}, signed.text
    return signed.headers["location"]


def test_somebody_signs_in_elsewhere(client: TestClient) -> None:
    back = to_provider(client, "ann@example.org")
    assert client.get("/").status_code == 401

    done = client.get(back)

    assert done.status_code == 200
    assert re.search(r'content="0; url=/\?x=1"', done.text)
    assert client.get("/").status_code == 200
    assert client.get("/api/v1").json()["user"] == "ann@example.org"


def test_somebody_whom_the_project_does_not_know_is_refused(client: TestClient, shop: Path) -> None:
    done = client.get(to_provider(client, "eve@example.org"))

    assert done.status_code == 401
    assert "no user of this project" in done.text
    with td.open(shop) as ws:
        assert ws.audit(kind="team")[0].subject == "user:eve@example.org"


def test_a_way_counts_once_and_for_the_browser_that_began_it(client: TestClient) -> None:
    back = to_provider(client, "ann@example.org")
    other = TestClient(client.app, base_url="http://localhost:8500")

    assert other.get(back).status_code == 401
    assert client.get(back).status_code == 200
    client.cookies.clear()
    assert client.get(back).status_code == 401


def test_a_code_of_another_sign_in_is_refused(client: TestClient) -> None:
    first, second = to_provider(client, "ann@example.org"), to_provider(client, "ann@example.org")
    stolen = re.search(r"code=([^&]+)", first)[1]

    mixed = re.sub(r"code=[^&]+", f"code={stolen}", second)

    assert client.get(mixed).status_code == 401
    assert client.get("/").status_code == 401


def test_another_provider_s_word_does_not_count(opened: Open, shop: Path, issuer: str) -> None:
    with td.open(shop) as ws:
        ws.team.add("root", "admin")
    client = opened(oidc_issuer=issuer.replace("127.0.0.1", "localhost"), oidc_client="treadle")

    assert client.get("/oidc/begin", follow_redirects=False).status_code in {303, 401}
