"""Objects when bits flip, writers are killed, disks fill up and servers go away."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import obstore
import pytest

import services
from treadle.core.clock import monotonic
from treadle.core.errors import DigestMismatch, NotFound, StoreFull, StoreReadOnly, StoreUnavailable
from treadle.core.ids import digest_of_bytes
from treadle.core.settings import aws_options
from treadle.store.objects.objects import Objects, _key
from treadle.store.places import place_of
from treadle.store.s3 import store_of

_WRITER = """
import sys
from pathlib import Path
from treadle.store.objects.objects import Objects

objects = Objects.open(sys.argv[1], root=Path("."), options={})
number = int(sys.argv[2])
while True:
    number += 1
    data = number.to_bytes(4, "big") * 100_000
    print("putting", flush=True)
    print(objects.put(data), flush=True)
"""


def test_a17_flipped_bits_are_refused(objects: Objects, objects_url: str, tmp_path: Path) -> None:
    data = os.urandom(4096)
    digest = objects.put(data)
    places = random.Random(17)

    for _ in range(100):
        damaged = bytearray(data)
        damaged[places.randrange(len(data))] ^= 1 << places.randrange(8)
        _overwrite(objects_url, digest, bytes(damaged))

        with pytest.raises(DigestMismatch, match=digest):
            objects.get(digest)
        with pytest.raises(DigestMismatch):
            objects.fetch(digest, tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("damage", [b"", b"short"], ids=["emptied", "cut"])
def test_putting_again_mends_a_damaged_object(objects: Objects, objects_url: str, damage: bytes) -> None:
    digest = objects.put(b"short and long")
    _overwrite(objects_url, digest, damage)

    objects.put(b"short and long")

    assert objects.get(digest) == b"short and long"


def test_fetching_keeps_the_file_that_is_there_when_it_fails(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    with pytest.raises(NotFound):
        objects.fetch(digest_of_bytes(b"absent"), tmp_path / "file")

    assert [path.name for path in tmp_path.glob("file*")] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_killed_writer_leaves_whole_objects_and_nothing_else(tmp_path: Path) -> None:
    folder, moments = tmp_path / "objects", random.Random(4)
    acknowledged: set[str] = set()

    for number in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(folder), str(number * 100_000)],
            text=True,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        threading.Event().wait(moments.uniform(0, 0.05))
        writer.kill()
        acknowledged |= {line.strip() for line in writer.communicate()[0].splitlines() if len(line) >= 71}

    objects = Objects.open(str(folder), root=tmp_path, options={})
    there = dict(objects.list())
    assert acknowledged <= set(there)
    assert [digest for digest in there if digest_of_bytes(objects.get(digest)) != digest] == []
    assert list(folder.rglob(".part-*")) == []


def test_a_full_disk_loses_nothing_and_passes(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="4m") as disk:
        objects = Objects.open("objects", root=disk, options={})
        before = objects.put(b"before")
        ballast = services.fill(disk)

        with pytest.raises(StoreFull, match="no space is left"):
            objects.put(b"x" * 100_000)
        assert objects.get(before) == b"before"
        assert [digest for digest, _ in objects.list()] == [before]
        ballast.unlink()

        assert objects.get(objects.put(b"x" * 100_000)) == b"x" * 100_000


def test_a_full_disk_where_an_object_is_fetched_to_is_said(tmp_path: Path) -> None:
    objects = Objects.open("objects", root=tmp_path, options={})
    digest = objects.put(os.urandom(200_000))
    with services.small_disk(tmp_path / "cache", size="64k") as cache:
        with pytest.raises(StoreFull, match="cache"):
            objects.fetch(digest, cache / "file")

        assert list(cache.iterdir()) == []


def test_a_read_only_folder_says_so_and_can_be_read(tmp_path: Path) -> None:
    with services.small_disk(tmp_path / "disk", size="4m") as disk:
        objects = Objects.open("objects", root=disk, options={})
        before = objects.put(b"before")
        services.make_read_only(disk)

        with pytest.raises(StoreReadOnly, match=r"objects\.url"):
            objects.put(b"after")

        assert objects.get(before) == b"before"


def test_a_folder_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("not a folder")

    with pytest.raises(StoreUnavailable, match="objects"):
        Objects.open("objects", root=tmp_path, options={}).put(b"x")


@pytest.mark.slow
def test_s3_that_goes_away_is_given_up_in_time(tmp_path: Path) -> None:
    with services.Seaweed(tmp_path / "seaweed") as server:
        objects = Objects.open(f"s3://{server.bucket()}/x", root=tmp_path, options=server.options)
        digest = objects.put(b"hello")
    start = monotonic()

    for act in (lambda: objects.put(b"x"), lambda: objects.get(digest), lambda: list(objects.list())):
        with pytest.raises(StoreUnavailable, match=r"s3://.*connection refused.*AWS_ENDPOINT_URL"):
            act()

    assert monotonic() - start < 30


def _overwrite(url: str, digest: str, data: bytes) -> None:
    if url.startswith("s3://"):
        store = store_of(place_of(url, root=Path()), options=aws_options())
        obstore.put(store, _key(digest), data)
    else:
        (Path(url) / _key(digest)).write_bytes(data)
