"""What a server takes on and what it refuses, under more load than it can answer and from callers that stall."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from time import perf_counter

import pytest
import serving_load
from serving_cases import PREDICT, ROW, Load
from trials import until

from pace import FULL, within


@pytest.fixture
def slow(revise, tmp_path):
    """An endpoint whose model takes its time; it writes down each row that it is asked for."""

    def make(**how):
        (tmp_path / "models").mkdir(exist_ok=True)
        how = {"calls": str(tmp_path / "calls"), **how}
        (tmp_path / "models" / "delay-1.json").write_text(json.dumps(how))
        revise(("champion", 1, 1.0))

    return make


def rss(server) -> int:
    """Bytes of memory that a server's workers have now."""
    workers, _ = server.children()
    lines = [line for pid in workers for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def counted(server, name) -> float:
    text = server.call("/metrics")[1]["text"]
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def request(distance=1400, *, rows=1, headers=""):
    body = json.dumps({"rows": [{**ROW, "distance": distance}] * rows}).encode()
    return serving_load.request_bytes(PREDICT, body, headers)


async def _many(port, requests):
    """Send requests at once, each over a connection of its own; return (seconds, status) of each."""

    async def one(data):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = perf_counter()
        writer.write(data)
        status, _ = await serving_load.read_answer(reader)
        writer.close()
        return perf_counter() - sent, status

    return await asyncio.gather(*(one(data) for data in requests))


def test_s5_an_overload_is_refused_at_once_and_what_is_taken_on_is_answered(
    slow, launch, record_testsuite_property
):
    """Five times as many callers as the server takes on, each of whom asks again as soon as it was answered or refused."""
    slow(seconds=0.02)
    server = launch(max_in_flight=16)
    seconds = 60 if FULL else 2
    with Load(server.port, connections=16) as peak:
        threading.Event().wait(seconds)
    before = rss(server)

    with Load(server.port, connections=80, rate=5 * len(peak.seen.answers) / seconds) as over:
        threading.Event().wait(seconds)
    after = rss(server)
    taken = [end - sent for sent, end, status, _ in over.seen.answers if status == 200]
    refused = [end - sent for sent, end, status, _ in over.seen.answers if status == 503]
    with Load(server.port, connections=4, rate=20) as calm:
        calm.more(20)

    goodput = len(taken) / len(peak.seen.answers)
    assert {status for _, _, status, _ in over.seen.answers} == {200, 503}
    assert over.seen.broken == 0
    assert len(refused) > (len(taken) if FULL else 10)
    record_testsuite_property("s5_goodput_of_peak", goodput)
    record_testsuite_property("s5_refused_p99_seconds", quantile(refused, 0.99))
    assert goodput >= (0.8 if FULL else 0.2)
    assert quantile(refused, 0.99) <= within(0.05, busy=20)
    # Where this takes long, rows are brought to their table meanwhile: 120 MiB of libraries are loaded for that.
    assert after - before < (64 if FULL else 256) * 1024 * 1024
    assert {status for _, _, status, _ in calm.seen.answers} == {200}
    assert counted(server, 'treadle_requests_rejected_total{reason="busy"}') >= len(refused)


def test_large_bodies_at_once_cost_no_more_memory_than_is_allowed(slow, launch, record_testsuite_property):
    slow(seconds=0.0)
    server = launch(max_rows=300_000)
    row = json.dumps(ROW).encode()
    body = b'{"rows": [' + b",".join([row] * (12_000_000 // (len(row) + 1))) + b"]}"
    server.call(PREDICT, body)
    before, highest, done = rss(server), 0, threading.Event()

    def sent():
        try:
            return server.call(PREDICT, body)[0]
        except OSError:  # refused before all of the body was sent: the connection is closed under it
            return 503

    def watch():
        nonlocal highest
        while not done.wait(0.01):
            highest = max(highest, rss(server))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: sent(), range(20)))
    finally:
        done.set()
        watching.join()

    assert set(answers) <= {200, 503}
    assert 200 in answers
    record_testsuite_property("large_bodies_more_megabytes", (highest - before) // 2**20)
    assert highest - before < 600 * 1024 * 1024
    assert server.call(PREDICT, {"rows": [ROW]})[0] == 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_s7_what_nobody_waits_for_never_reaches_the_model(slow, launch, tmp_path, record_testsuite_property):
    """The model works on four calls; behind them wait callers who go, and requests whose deadline passes."""
    hold = tmp_path / "hold"
    slow(seconds=1.0, holds=str(hold))
    server = launch(max_in_flight=4_000)
    server.call(PREDICT, {"rows": [ROW]})  # from now on it is known to be slow, and is called in threads
    hold.touch()
    rounds, count, sizes = (20, 500, []) if FULL else (2, 50, [])

    with ThreadPoolExecutor(5) as pool, ExitStack() as released:
        released.callback(hold.unlink)  # also where this fails: nobody is to wait for ever
        begun = [pool.submit(server.call, PREDICT, {"rows": [{**ROW, "distance": 1}]}) for _ in range(4)]
        until(lambda: counted(server, "treadle_requests_in_flight") == 4)
        late = pool.submit(
            asyncio.run, _many(server.port, [request(2, headers="treadle-timeout: 0.2\r\n")] * 10)
        )
        for _ in range(rounds):
            with ExitStack() as stack:
                for _ in range(count):
                    gone = stack.enter_context(closing(socket.create_connection(("127.0.0.1", server.port))))
                    gone.sendall(request(3))
                until(lambda: counted(server, "treadle_requests_in_flight") >= 4 + count)
            until(lambda: counted(server, "treadle_requests_in_flight") <= 4 + 10)
            # Connections are closed a moment after their requests were given up.
            most = sizes[0][1] if sizes else 60
            until(lambda most=most: files(server) <= most + 4)
            sizes.append((rss(server), files(server)))
        released.close()
        answers = [future.result()[0] for future in begun]
    calls = (tmp_path / "calls").read_text().split()

    assert answers == [200] * 4
    assert {status for _, status in late.result()} == {504}
    assert (calls.count("2"), calls.count("3")) == (0, 0)
    assert counted(server, 'treadle_requests_rejected_total{reason="gone"}') == rounds * count
    assert counted(server, "treadle_requests_in_flight") == 0
    assert server.call(PREDICT, {"rows": [{**ROW, "distance": 0}]})[0] == 200
    record_testsuite_property("s7_megabytes_by_round", [size // 2**20 for size, _ in sizes])
    until(lambda: files(server) - sizes[0][1] <= 4)  # they are closed a moment after they are let go
    assert sizes[-1][0] - sizes[0][0] < 32 * 2**20


def files(server) -> int:
    """Files and connections that a server's workers have open."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in children)


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan", ""])
def test_a_deadline_that_is_none_is_refused(shared, given):
    status, answer = shared.call(PREDICT, {"rows": [ROW]}, headers={"Treadle-Timeout": given})

    assert (status, answer["error"]["field"]) == (400, "treadle-timeout")


@pytest.mark.slow
def test_s6_callers_that_stall_disturb_nobody_and_are_closed(slow, launch, record_testsuite_property):
    """p99 beside that of a server that nobody stalls, in the same seconds: what else the machine does meets both."""
    slow(seconds=0.0)
    count, seconds, patience = (500, 6, 10.0) if FULL else (100, 2, 6.0)
    server = launch(idle_timeout=patience, body_timeout=patience, max_in_flight=1_000)
    alone = launch(idle_timeout=patience, body_timeout=patience, max_in_flight=1_000)

    with ExitStack() as stack:
        stalled = [stack.enter_context(closing(_stall(server.port, number))) for number in range(2 * count)]
        begun = perf_counter()
        # What they did send has been read, and those who read no answer have got one that they do not read.
        until(lambda: counted(server, "treadle_predictions_total") >= 300 * count)
        with (
            Load(server.port, connections=4, rate=50) as beside,
            Load(alone.port, connections=4, rate=50) as calm,
        ):
            threading.Event().wait(seconds)
        closed = [_closed(one, begun + patience + within(5)) for one in stalled]

    p99 = [quantile([end - sent for sent, end, _, _ in load.seen.answers], 0.99) for load in (calm, beside)]
    record_testsuite_property("s6_p99_ratio", p99[1] / p99[0])
    assert {status for _, _, status, _ in beside.seen.answers} == {200}
    assert closed.count(False) == 0
    if FULL:
        assert p99[1] <= 1.5 * p99[0] + 0.005


def _stall(port, number):
    """Open a connection that begins a request and does not end it, in the head or in the body, or reads no answer."""
    connection = socket.socket()
    if number % 2:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    if number % 2:
        connection.sendall(request(rows=300))
    elif number % 4:
        connection.sendall(b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nhost: localhost\r\n")
    else:
        connection.sendall(request(rows=2)[:-20])
    return connection


def _closed(connection, end):
    """Say whether the other side ends a connection until then: it reads to the end, or was reset."""
    connection.settimeout(max(0.01, end - perf_counter()))
    try:
        while connection.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_a_body_that_trickles_is_given_up(slow, launch):
    slow(seconds=0.0)
    server = launch(body_timeout=1.0)
    with closing(socket.create_connection(("127.0.0.1", server.port))) as connection:
        connection.sendall(request()[:-30])
        for _ in range(30):
            connection.sendall(b" ")
            if select.select([connection], [], [], 0.1)[0]:
                break
        answer = connection.recv(1_000)

    assert b" 408 " in answer
    assert counted(server, 'treadle_requests_rejected_total{reason="slow"}') == 1


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "multipart/form-data; boundary=" + "x" * 9_000}, b"--x\r\n", 415),
        ({"Content-Encoding": "br"}, b"xxxx", 415),
        ({"Content-Encoding": "gzip, gzip"}, b"xxxx", 415),
        ({"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))}, None, 200),
    ],
    ids=["multipart", "brotli", "gzip-twice", "ranges"],
)
def test_a11_what_is_not_read_here_is_said_at_once(shared, headers, body, status):
    path = PREDICT if body else "/livez"
    begun = perf_counter()

    assert shared.call(path, body, headers=headers)[0] == status
    assert perf_counter() - begun < within(1)
