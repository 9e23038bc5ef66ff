from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime

import pytest

from treadle.core import hooks
from treadle.core.addresses import Allowed
from treadle.core.clock import monotonic


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_trickles_is_given_up(scheme):
    over = threading.Event()

    def trickle(listener):
        caller, _ = listener.accept()
        with caller:
            # For TLS the head of a long record, for HTTP of a long line.
            caller.sendall(b"\x16\x03\x03\x40\x00" if scheme == "https" else b"HTTP/1.1 ")
            while not over.wait(0.1):
                try:
                    caller.sendall(b"2")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=trickle, args=(listener,), daemon=True)
        thread.start()
        end = threading.Timer(15, over.set)
        end.start()
        began = monotonic()
        failure = hooks.post(
            f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/", b"{}", delivery="d", secret="s",
            at=datetime(2013, 1, 1, tzinfo=UTC), timeout=0.5,
        )  # fmt: skip
        took = monotonic() - began
        over.set()
        end.cancel()
        thread.join(5)

    assert failure is not None
    assert failure.may_pass
    assert took < 10


def post(url, **more):
    at = datetime(2013, 1, 1, tzinfo=UTC)
    return hooks.post(url, b"{}", delivery="d", secret="s", at=at, **more)


@pytest.mark.parametrize("allowed", [None, Allowed("slow.example")])
def test_finding_the_host_counts_as_a_part_of_the_time(monkeypatch, allowed):
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.wait(60) and [])

    failure = post("http://slow.example/", timeout=0.2, allowed=allowed)

    answers.set()
    assert failure.may_pass
    assert "no resolver answered" in failure.said


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_went_wrong_names_no_address(monkeypatch, scheme):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    strange = post(f"{scheme}://inside.example:{port}/", allowed=Allowed())
    refused = post(f"{scheme}://inside.example:{port}/", allowed=Allowed("inside.example"))

    assert "not public" in strange.said
    assert "cannot be reached" in refused.said
    assert "127.0" not in strange.said + refused.said
