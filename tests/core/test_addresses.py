from __future__ import annotations

import ipaddress
import socket
import threading
from contextlib import ExitStack

import pytest

from treadle.core.addresses import Allowed, connected, is_public, resolve
from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, SettingsError

#: Ways to write addresses that are not for strangers (fault A5).
CORPUS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0", "localhost"),
    *("10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "198.18.0.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::1", "::", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
    *("fec0::1", "::ffff:0:7f00:1"),
    *("fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
]


@pytest.mark.parametrize("host", CORPUS)
def test_what_is_not_public_is_refused_however_it_is_written(host):
    with pytest.raises(InvalidInput, match="not public|cannot be found"):
        resolve(host, 80, Allowed())


def test_public_addresses_are_fine():
    for text in ("93.184.215.14", "2606:4700:4700::1111", "64:ff9b::5db8:d70e"):
        assert is_public(ipaddress.ip_address(text)), text


def test_what_is_allowed_may_be_reached(monkeypatch):
    assert resolve("127.0.0.1", 80, Allowed("127.0.0.0/8")) == ["127.0.0.1"]
    assert resolve("::ffff:127.0.0.1", 80, Allowed("127.0.0.1")) == ["::ffff:127.0.0.1"]
    found = [(socket.AF_INET, 0, 0, "", ("10.1.2.3", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert resolve("Hooks.Internal", 80, Allowed("hooks.internal, 192.168.0.0/16")) == ["10.1.2.3"]
    with pytest.raises(InvalidInput, match="an address that is not public") as refused:
        resolve("other.internal", 80, Allowed("hooks.internal"))
    assert "10.1.2.3" not in str(refused.value)  # strangers are not told what names mean inside


def test_a_resolver_that_does_not_answer_is_given_up(monkeypatch):
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.wait(60) and [])

    with pytest.raises(InvalidInput, match="no resolver answered within 0.05 s"):
        resolve("slow.example", 80, Allowed(), timeout=0.05)

    answers.set()


@pytest.mark.parametrize("text", ["10.0.0.0/99", "http://x", "1.2.3"])
def test_what_cannot_be_allowed_is_told(text):
    with pytest.raises(SettingsError, match="no network, address or host name"):
        Allowed(text)


def test_an_address_that_says_nothing_leaves_time_for_the_next():
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.2", 0), backlog=0))
        port = silent.getsockname()[1]
        stack.enter_context(socket.create_server(("127.0.0.1", port)))
        for _ in range(3):  # nobody accepts them: who comes after them hears nothing
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))

        with connected(["127.0.0.2", "127.0.0.1"], port, monotonic() + 2) as found:
            assert found.getpeername()[0] == "127.0.0.1"
