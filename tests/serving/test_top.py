"""`treadle top` against a real server, as a program, without a terminal and in a narrow one."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCSWINSZ

import pytest
from serving_cases import PREDICT, ROW, Load

TREADLE = [sys.executable, "-m", "treadle.app.cli.main", "top"]


def top(server, *arguments, **environment):
    return subprocess.run(
        [*TREADLE, "--url", f"http://127.0.0.1:{server.port}", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


def test_one_look_shows_what_is_served(revise, launch):
    revise(("champion", 7, 1.0))
    revise(("champion", 7, 1.0), name="quiet")
    server = launch(workers=2, token="s3cret", metrics="token")
    with Load(server.port, rate=100, headers="authorization: Bearer s3cret\r\n"):
        seen = json.loads(top(server, "--json", "--token", "s3cret").stdout)
        text = top(server, TREADLE_TOKEN="s3cret").stdout

    (one,) = seen["served"]
    assert (one["endpoint"], one["version"], one["variant"]) == ("delay", "7", "champion")
    assert 20 < one["requests"] < 400
    assert 0 < one["p50"] <= one["p99"] < 5
    assert (seen["workers"], seen["deaths"], seen["problems"]) == (2, 0, [])
    assert seen["revisions"] == {"delay": 1, "quiet": 1}
    assert "delay" in text
    assert "quiet" in text


def test_what_keeps_it_from_looking_is_one_line(revise, launch):
    revise(("champion", 7, 1.0))
    server = launch(token="s3cret")
    refused = top(server)
    server.stop()
    gone = top(server, "--json")

    assert refused.returncode != 0
    assert "--token" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert json.loads(gone.stdout)["error"]["message"].endswith("Start one with: treadle serve")


@pytest.mark.parametrize("columns", [24, 100])
def test_a_terminal_is_filled_and_left_clean(revise, launch, columns):
    revise(("champion", 7, 1.0))
    server = launch()
    server.call(PREDICT, {"rows": [ROW]})
    ours, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, struct.pack("HHHH", 12, columns, 0, 0))
    command = [*TREADLE, "--url", f"http://127.0.0.1:{server.port}", "--every", "0.2"]
    environment = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES"}}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        shown = b""
        while shown.count(b"\x1b[J") < 2:
            shown += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
    os.close(theirs)
    with suppress(OSError):
        shown += os.read(ours, 65536)
    os.close(ours)

    page = shown.decode().replace("\x1b[H", "").replace("\x1b[K", "").split("\x1b[J")[0]
    assert code == 0
    assert b"Traceback" not in shown
    assert "workers" in page or columns == 24
    assert max(len(line) for line in page.split("\r\n")) <= columns
