"""Pages of strangers may ask nothing of a server that trusts its machine (fault A6); programs and its own pages may."""

from __future__ import annotations

import http.client
import json
from contextlib import closing

import pytest
from serving_wiring import build

from treadle.core.errors import Forbidden, Misdirected, SettingsError
from treadle.core.settings import ServingSettings
from treadle.serving.origins import Origins

PREDICT = "/v1/endpoints/fares/predict"
ROWS = {"rows": [{"distance": 1400, "temp": None, "carrier": "UA"}]}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def ask(server, method, path, *, body=None, **headers):
    """Return the status of a request whose headers are exactly these; `host` too."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"host": f"127.0.0.1:{server.port}", "content-length": str(len(data)), **headers}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(data)
        answer = connection.getresponse()
        answer.read()
        return answer.status


@pytest.mark.parametrize(
    ("foreign", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8080", "origin": "http://evil.example:8080"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "10.0.0.7"}, 421),
    ],
    ids=str,
)
def test_a6_strangers_pages_are_refused_on_every_route_with_every_method(shared, tmp_path, foreign, status):
    paths = {route.path for route in build(tmp_path, ServingSettings()).routes}
    paths = {path.replace("{endpoint}", "fares").replace("{version}", "7") for path in paths} | {"/", "/none"}

    found = {
        (m, path): ask(shared, m, path.replace("{job}", "j"), **foreign) for path in paths for m in METHODS
    }

    assert len(found) > 150
    assert {key: got for key, got in found.items() if got != status} == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "localhost"},
        {"host": "LOCALHOST:8080"},
        {"host": "[::1]:8080"},
        {"host": "shop.localhost"},
        {"host": "127.1.2.3"},
        {"host": "localhost:8080", "origin": "http://localhost:8080"},
        {"host": "localhost", "origin": "https://LOCALHOST:443"},
    ],
    ids=str,
)
def test_programs_and_its_own_pages_are_answered(shared, headers):
    assert ask(shared, "POST", PREDICT, body=ROWS, content_type="application/json", **headers) == 200


@pytest.mark.parametrize(
    "media", ["text/plain", "multipart/form-data; boundary=x", "text/plain;charset=UTF-8"]
)
def test_what_a_page_could_send_without_asking_first_is_no_json(shared, media):
    assert ask(shared, "POST", PREDICT, body=ROWS, content_type=media) == 415


def test_names_that_are_set_are_answered_to_and_may_be_where_pages_are():
    named = Origins("models.team, Other.Team")

    named.check({"host": "models.team", "origin": "https://models.team"}, guarded=False)
    named.check({"host": "127.0.0.1:8080", "origin": "https://other.team:8443"}, guarded=False)
    with pytest.raises(Misdirected, match="serving.hosts"):
        named.check({"host": "models.team.evil"}, guarded=False)
    with pytest.raises(Forbidden, match=r"a page of 'https://team'"):
        named.check({"host": "models.team", "origin": "https://team"}, guarded=False)


def test_a_server_that_asks_for_a_token_may_have_any_name_but_no_strangers_pages():
    Origins().check({"host": "models.team:8080", "origin": "http://models.team:8080"}, guarded=True)
    Origins().check({"host": "models.team", "origin": "https://models.team"}, guarded=True)
    with pytest.raises(Forbidden):
        Origins().check({"host": "models.team", "origin": "https://evil.example"}, guarded=True)


@pytest.mark.parametrize("junk", ["[", "[::1", "a b", "@", "http://", "\x80", ":", "//", "user@localhost@x"])
def test_what_is_no_host_is_a_strangers(junk):
    with pytest.raises(Misdirected):
        Origins().check({"host": junk}, guarded=False)
    with pytest.raises(Forbidden):
        Origins().check({"host": "localhost", "origin": f"http://{junk}"}, guarded=False)


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        ("Models.Team., 10.0.0.7", "models.team:8443"),
        ("a.team, 10.0.0.7", "10.0.0.7"),
        ("[2001:db8::1]", "[2001:db8::1]:8080"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_name_of_the_setting_is_known_however_it_is_written(hosts, host):
    Origins(hosts).check({"host": host}, guarded=False)


@pytest.mark.parametrize(
    "hosts", ["models.team:8443", "https://models.team", "models.team/x", "a@b", "a..b", "[]"]
)
def test_what_no_browser_asks_for_is_refused_as_a_setting(hosts):
    with pytest.raises(SettingsError, match="without scheme and port"):
        Origins(hosts)
