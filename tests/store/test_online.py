from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

import services
from treadle.core.errors import Conflict, NotFound, SettingsError, StoreFull, StoreUnavailable
from treadle.store.online.backend import ORDER
from treadle.store.online.breaker import Breaker
from treadle.store.online.online import Online

NAME, HEAD = b"treadle/shop/prices/2f0c/", b"head"


def value(order: int, text: bytes = b"") -> bytes:
    return order.to_bytes(ORDER) + text


def items(count: int, *, order: int = 1, size: int = 0) -> list[tuple[bytes, bytes]]:
    return [(NAME + f"{n:06}".encode(), value(order, b"x" * size)) for n in range(count)]


@pytest.fixture
def embedded(tmp_path: Path) -> Online:
    """An embedded store with a namespace."""
    store = Online.open("online", root=tmp_path)
    store.note(NAME, HEAD)
    return store


def test_the_url_says_which_back_end(tmp_path: Path) -> None:
    shown = [
        Online.open(url, root=tmp_path).shown
        for url in (
            "online",
            "file:///var/a%20b",
            "redis://user:secret@host:6379/3",
            "rediss://:secret@host/0",
        )
    ]

    assert shown == [str(tmp_path / "online"), "/var/a b", "redis://host:6379/3", "rediss://host/0"]


def test_an_unknown_url_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Available: embedded, redis"):
        Online.open("memcached://host", root=tmp_path)
    with pytest.raises(SettingsError, match="online.url is not a Redis URL"):
        Online.open("redis://host:port/0", root=tmp_path)


def test_opening_touches_nothing(tmp_path: Path) -> None:
    Online.open("online", root=tmp_path)
    Online.open("redis://127.0.0.1:1/0", root=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_store_that_fails_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [0.0], []

    class Failing:
        fails = True

        def get(self, keys: list[bytes]) -> list[bytes | None]:
            asked.append(now[0])
            if self.fails:
                raise StoreUnavailable("it is gone")
            return [None for _ in keys]

    monkeypatch.setattr("treadle.store.online.breaker.monotonic", lambda: now[0])
    backend = Failing()
    store = Online(backend)  # type: ignore[arg-type]

    for moment in (0.0, 0.1, 0.2, 0.3, 0.4, 1.1, 1.3, 1.4, 2.4):
        now[0] = moment
        with pytest.raises(StoreUnavailable, match="it is gone"):
            store.get([b"key"])
    backend.fails = False
    now[0] = 3.5
    found = [store.get([b"key"]) for _ in range(3)]

    assert asked == [0.0, 0.1, 0.2, 1.3, 2.4, 3.5, 3.5, 3.5]
    assert found == [[None]] * 3


def test_one_failure_in_between_is_no_reason_to_stop() -> None:
    breaker = Breaker(failures=2, first=0.0)

    for _ in range(5):
        breaker.failed(StoreUnavailable("it was slow"))
        breaker.wait()
        breaker.passed()

    assert not breaker.is_open


def test_two_workspaces_in_one_process_share_the_file(tmp_path: Path, embedded: Online) -> None:
    other = Online.open(str(tmp_path / "online"), root=tmp_path)

    embedded.put(NAME, items(1), head=HEAD)
    embedded.close()

    assert other.get([NAME + b"000000"]) == [value(1)]


def test_many_threads_may_open_it_at_once(tmp_path: Path) -> None:
    stores = [Online.open("online", root=tmp_path) for _ in range(8)]
    gate = threading.Barrier(8)
    failures = []

    def use(store: Online) -> None:
        gate.wait()
        try:
            store.note(NAME, HEAD)
            store.put(NAME, items(10), head=HEAD)
        except StoreUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert stores[0].state(NAME) == (HEAD, 10)


_WRITER = """
import sys
from pathlib import Path
from treadle.store.online.backend import ORDER
from treadle.store.online.online import Online

store = Online.open("online", root=Path(sys.argv[1]))
name, head = b"treadle/shop/prices/2f0c/", b"head"
store.note(name, head)
print("begins", flush=True)
for number in range(1, 10_000):
    order = number.to_bytes(ORDER)
    store.put(name, [(name + f"{n:06}".encode(), order + bytes([number % 256]) * 50) for n in range(300)], head=head)
    print(number, flush=True)
"""


@pytest.mark.parametrize("puts", [0, 1, 7])
def test_a_killed_writer_leaves_whole_batches(tmp_path: Path, puts: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(puts + 1)][-1]
    process.send_signal(signal.SIGKILL)
    rest = process.communicate()[0].splitlines()
    acked = int((rest or [told])[-1]) if (rest or [told])[-1].strip().isdigit() else 0
    store = Online.open("online", root=tmp_path)

    found = set(store.get([key for key, _ in items(300)]))

    assert len(found) == 1
    (only,) = found
    order = int.from_bytes(only[:ORDER]) if only else 0
    assert order in {acked, acked + 1}
    store.note(NAME, b"next")
    assert store.put(NAME, items(300, order=order + 1), head=b"next") == 300


_OTHER = """
import sys
from pathlib import Path
from treadle.store.online.online import Online

store = Online.open("online", root=Path(sys.argv[1]))
name = b"treadle/shop/prices/2f0c/"
for line in sys.stdin:
    if line.strip() == "put":
        print(store.put(name, [(name + b"new", bytes(28))], head=b"head"), flush=True)
    else:
        print([value is not None for value in store.get([name + key.encode() for key in line.split()])], flush=True)
"""


def test_another_process_follows_when_the_file_is_written_anew(tmp_path: Path, embedded: Online) -> None:
    embedded.put(NAME, items(3), head=HEAD)
    other = subprocess.Popen(
        [sys.executable, "-c", _OTHER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(line: str) -> str:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(f"{line}\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    before = ask("000000 000001 000002")
    embedded.delete(NAME, [NAME + b"000001"], head=HEAD)
    embedded.tidy()
    after = ask("000000 000001 000002")
    embedded.delete(NAME, [NAME + b"000002"], head=HEAD)
    embedded.tidy()
    written = ask("put")
    other.communicate()

    assert before == "[True, True, True]"
    assert after == "[True, False, True]"
    assert written == "1"
    assert embedded.get([NAME + b"000000", NAME + b"new"]) == [value(1), bytes(28)]
    assert [path.name for path in (tmp_path / "online").glob("*.mdb")] == ["values-3.mdb"]


def test_a_process_that_died_while_it_wrote_the_file_anew_leaves_the_old_one(
    tmp_path: Path, embedded: Online
) -> None:
    embedded.put(NAME, items(3), head=HEAD)
    embedded.delete(NAME, [NAME + b"000001"], head=HEAD)
    (tmp_path / "online" / "values-2.mdb").write_bytes(b"half of it")

    reopened = Online.open("online", root=tmp_path)
    before = reopened.get([NAME + b"000000"])
    reopened.tidy()

    assert before == [value(1)]
    assert reopened.get([NAME + b"000000", NAME + b"000001"]) == [value(1), None]
    assert [path.name for path in (tmp_path / "online").glob("*.mdb")] == ["values-3.mdb"]


def test_only_the_owner_may_read_the_files(tmp_path: Path, embedded: Online) -> None:
    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "online").iterdir()}

    assert modes == dict.fromkeys(modes, 0)


def test_a_full_disk_is_told_and_gone_on_from(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="4m") as folder:
        store = Online.open(str(folder / "online"), root=folder)
        store.note(NAME, HEAD)
        store.put(NAME, items(100), head=HEAD)
        ballast = services.fill(folder)

        with pytest.raises(StoreFull, match="online store"):
            store.put(NAME, items(2_000, order=2, size=500), head=HEAD)
        before = store.get([NAME + b"000000", NAME + b"000099"])
        ballast.unlink()
        written = store.put(NAME, items(2_000, order=2, size=500), head=HEAD)

        assert before == [value(1), value(1)]
        assert written == 2_000
        assert store.state(NAME) == (HEAD, 2_000)
        store.close()


def test_a_folder_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "online").write_text("a file")

    with pytest.raises(StoreUnavailable, match="online"):
        Online.open("online", root=tmp_path).get([b"key"])


def test_a_forked_child_has_connections_of_its_own(
    redis_server: services.PrivateRedis, tmp_path: Path
) -> None:
    redis_server.flush()
    store = Online.open(redis_server.url, root=tmp_path, timeout=10)
    store.note(NAME, HEAD)
    store.put(NAME, items(200), head=HEAD)
    asked = [key for key, _ in items(200)]
    store.get(asked)

    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of forks beside threads; the child does nothing but read.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        right = all(store.get([key]) == [value(1)] for key in asked)
        os.write(writing, b"1" if right else b"0")
        os._exit(0)
    right = all(store.get([key]) == [value(1)] for key in asked)
    os.waitpid(child, 0)

    assert right
    assert os.read(reading, 1) == b"1"
    store.close()


def test_a_server_that_was_restarted_is_no_failure(tmp_path: Path) -> None:
    with services.PrivateRedis(tmp_path / "redis") as server:
        store = Online.open(server.url, root=tmp_path, timeout=10)
        store.get([b"key"])
        server.kill()
        server.start()

        assert store.get([b"key"]) == [None]
        store.note(NAME, HEAD)
        store.close()


def test_a_server_that_takes_no_more_is_full(redis_server: services.PrivateRedis, tmp_path: Path) -> None:
    redis_server.flush()
    store = Online.open(redis_server.url, root=tmp_path, timeout=10)
    store.note(NAME, HEAD)
    client = store._backend._client
    client.config_set("maxmemory", "1mb")

    try:
        with pytest.raises(StoreFull, match="127.0.0.1"):
            store.put(NAME, items(2_000, size=2_000), head=HEAD)
    finally:
        client.config_set("maxmemory", "0")
        store.close()


def test_a_zombie_is_kept_out_of_redis_and_of_files(online: Online) -> None:
    online.note(NAME, b"first")
    online.note(NAME, b"second")

    with pytest.raises(Conflict, match="Repeat the command"):
        online.put(NAME, items(1), head=b"first")
