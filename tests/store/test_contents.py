"""The contents of trees' files: whole or refused, whatever was there before, beside the other objects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import services
from treadle.core.errors import DigestMismatch, InvalidInput, NotFound, StoreFull, StoreReadOnly
from treadle.core.settings import aws_options
from treadle.store.files import clone
from treadle.store.objects import contents as names
from treadle.store.objects.contents import digest_of, open_contents
from treadle.store.objects.folder_contents import SEAL
from treadle.store.objects.objects import Objects


@pytest.fixture
def contents(objects_url, tmp_path):
    return open_contents(objects_url, root=tmp_path, options=aws_options())


@pytest.fixture
def folder(tmp_path):
    return open_contents("store", root=tmp_path, options={})


def place(folder, digest):
    return Path(folder.shown, "trees", digest.hex()[:2], digest.hex())


@pytest.mark.parametrize("data", [b"", b"hello", bytes(range(256)) * 40_000], ids=["empty", "small", "10 MB"])
def test_what_is_put_is_read(contents, data):
    digest = digest_of(data)

    contents.put(digest, data)
    contents.put(digest, memoryview(data))
    contents.flush()

    assert contents.read(digest) == data
    assert contents.sound(digest, len(data))
    assert list(contents.list()) == [(digest, len(data))]
    contents.delete(digest)
    contents.delete(digest)
    assert list(contents.list()) == []
    assert not contents.sound(digest, len(data))
    with pytest.raises(NotFound, match="There is no content blake3:"):
        contents.read(digest)


def test_objects_and_contents_do_not_see_each_other(contents, objects_url, tmp_path):
    objects = Objects.open(objects_url, root=tmp_path, options=aws_options())
    contents.put(digest_of(b"a"), b"a")
    kept = objects.put(b"b")

    assert [digest for digest, _ in objects.list()] == [kept]
    assert [digest for digest, _ in contents.list()] == [digest_of(b"a")]


def test_a_content_is_lent_into_an_open_folder(contents, tmp_path):
    digest = digest_of(b"hello")
    contents.put(digest, b"hello")
    (tmp_path / "out").mkdir()
    handle = os.open(tmp_path / "out", os.O_RDONLY)
    for number, way in enumerate(contents.ways(tmp_path / "out")):
        contents.lend(digest, 5, name=f"{number}", folder=handle, way=way, mode=0o644)

        assert (tmp_path / "out" / f"{number}").read_bytes() == b"hello"
        with pytest.raises(FileExistsError):
            contents.lend(digest, 5, name=f"{number}", folder=handle, way=way, mode=0o644)
    with pytest.raises(NotFound):
        contents.lend(digest_of(b"x"), 1, name="x", folder=handle, way="copy", mode=0o644)
    os.close(handle)

    assert not (tmp_path / "out/x").exists()


def test_a17_a_damaged_content_is_refused(folder, tmp_path):
    data = os.urandom(1000)
    digest = digest_of(data)
    folder.put(digest, data)
    path = place(folder, digest)
    handle = os.open(tmp_path, os.O_RDONLY)
    for number in range(100):
        bad = bytearray(data)
        bad[number * 10] ^= 1
        path.chmod(0o644)
        path.write_bytes(bad)

        with pytest.raises(DigestMismatch, match="damaged"):
            folder.read(digest)
        with pytest.raises(DigestMismatch, match="damaged"):
            folder.lend(digest, 1000, name="x", folder=handle, way="link", mode=0o644)
        assert not folder.sound(digest, 1000)
    folder.put(digest, data)
    os.close(handle)

    assert folder.read(digest) == data


def test_a_content_is_sealed_and_a_broken_seal_is_seen_without_reading(folder):
    digest = digest_of(b"hello")
    folder.put(digest, b"hello")
    path = place(folder, digest)

    assert (path.stat().st_mode & 0o777, path.stat().st_mtime_ns) == (0o444, SEAL)
    assert folder.sound(digest, 5)
    path.chmod(0o644)
    path.write_bytes(b"jello")
    assert not folder.sound(digest, 5)


def test_what_a_killed_writer_left_is_written_over(folder):
    digest = digest_of(b"hello")
    place(folder, digest).parent.mkdir(parents=True)
    place(folder, digest).write_bytes(b"hel")

    folder.put(digest, b"hello")

    assert folder.read(digest) == b"hello"


def test_a_file_is_not_adopted_over_what_is_there(folder, tmp_path):
    digest = digest_of(b"hello")
    folder.put(digest, b"hello")
    (tmp_path / "file").write_bytes(b"hello")
    before = place(folder, digest).stat().st_ino
    with (tmp_path / "file").open("rb") as file:
        found = folder.adopt(digest, file.fileno(), str(tmp_path / "file"), way="link")

    assert found is None
    assert place(folder, digest).stat().st_ino == before
    assert (tmp_path / "file").stat().st_mode & 0o200


def test_a_file_on_another_disk_is_not_adopted(folder, tmp_path):
    with services.small_disk(tmp_path / "disk", size="1m") as disk:
        (disk / "file").write_bytes(b"hello")
        with (disk / "file").open("rb") as file:
            assert folder.adopt(digest_of(b"hello"), file.fileno(), str(disk / "file"), way="link") is None
        assert (disk / "file").stat().st_mode & 0o200


def test_clones_share_until_one_is_written_to(tmp_path):
    with services.cloning_disk(tmp_path / "disk") as disk:
        store = open_contents("store", root=disk, options={})
        data = os.urandom(100_000)
        (disk / "file").write_bytes(data)
        with (disk / "file").open("r+b") as file:
            assert store.adopt(digest_of(data), file.fileno(), str(disk / "file"), way="clone") == "clone"
            file.write(b"changed")

        assert store.ways(disk)[0] == "clone"
        assert store.read(digest_of(data)) == data
        assert store.sound(digest_of(data), len(data))
        handle = os.open(disk, os.O_RDONLY)
        store.lend(digest_of(data), len(data), name="out", folder=handle, way="clone", mode=0o644)
        os.close(handle)
        (disk / "out").write_bytes(b"mine")
        assert store.read(digest_of(data)) == data


def test_a_disk_that_cannot_clone_says_no(tmp_path):
    with services.small_disk(tmp_path / "disk", size="1m") as disk:
        (disk / "a").write_bytes(b"x")
        with (disk / "a").open("rb") as source, (disk / "b").open("wb") as target:
            assert not clone(source.fileno(), target.fileno())


def test_a_full_disk_leaves_nothing_that_counts(tmp_path):
    with services.small_disk(tmp_path / "disk", size="1m") as disk:
        folder = open_contents("store", root=disk, options={})
        folder.put(digest_of(b"before"), b"before")
        ballast = services.fill(disk)
        data = os.urandom(100_000)

        with pytest.raises(StoreFull, match="no space is left"):
            folder.put(digest_of(data), data)
        assert not folder.sound(digest_of(data), len(data))
        ballast.unlink()
        folder.put(digest_of(data), data)

        assert folder.read(digest_of(data)) == data
        assert folder.read(digest_of(b"before")) == b"before"


def test_a_read_only_disk_says_so(tmp_path):
    with services.small_disk(tmp_path / "disk", size="1m") as disk:
        folder = open_contents("store", root=disk, options={})
        folder.put(digest_of(b"a"), b"a")
        services.make_read_only(disk)

        with pytest.raises(StoreReadOnly):
            folder.put(digest_of(b"b"), b"b")

        assert folder.read(digest_of(b"a")) == b"a"


def test_what_was_left_long_ago_is_swept(folder, tmp_path):
    digest = digest_of(b"a")
    folder.put(digest, b"a")
    part = place(folder, digest).with_name(".part-0123456789abcdef")
    part.write_bytes(b"left")

    folder.sweep()

    assert part.exists(), "it may be somebody's present work"
    assert list(folder.list()) == [(digest, 1)]


@pytest.mark.parametrize(
    "text", ["", "blake3:", "blake3:../../etc/passwd", "sha256:" + "0" * 64, "blake3:" + "g" * 64]
)
def test_what_is_no_digest_is_refused(text):
    with pytest.raises(InvalidInput, match="is not a digest"):
        names.parsed(text)


def test_a_digest_is_what_b3sum_prints():
    # From the test vectors of BLAKE3's authors: 251 bytes repeated, here the first 1,025.
    data = bytes(number % 251 for number in range(1025))

    assert digest_of(data).hex() == "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"
    assert names.parsed(names.shown(digest_of(data))) == digest_of(data)
