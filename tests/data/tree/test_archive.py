"""Archives as sources of trees: what an honest one holds is a tree, and a hostile one is refused with nothing stored (A4)."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import time
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.data.tree import intake
from treadle.data.trees import ArchiveLimits, Tree, Trees

FILES = {
    "a.txt": b"one",
    "deep/er/b.bin": bytes(range(256)) * 40,
    "deep/run.sh": b"#!/bin/sh\n",
    "empty": b"",
}
KINDS = ["zip", "tar", "tar.gz", "tgz"]
LONG_AGO = 1_500_000_000
#: Bytes of a bomb when it is unpacked: a thousandth of it is landed.
BOMB = 80 * 2**20

Pack = Callable[..., Tree]


def tarred(members: list[tuple[tarfile.TarInfo, bytes]], **options: Any) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", **options) as archive:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def zipped(members: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    target = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for member, data in members:
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def as_tar(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, mode
    return member


def as_zip(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo("name")
    member.filename = member.orig_filename = name
    member.external_attr = mode << 16
    return member


def packed(kind: str, files: dict[str, bytes], *, prefix: str = "") -> bytes:
    """Return an archive of files; a name that ends in .sh can be executed."""
    modes = {name: 0o755 if name.endswith(".sh") else 0o644 for name in files}
    if kind == "zip":
        return zipped([(as_zip(prefix + n, stat.S_IFREG | modes[n]), data) for n, data in files.items()])
    plain = tarred([(as_tar(prefix + n, mode=modes[n]), data) for n, data in files.items()])
    return plain if kind == "tar" else gzip.compress(plain, 1)


@pytest.fixture
def land(tmp_path: Path) -> Pack:
    """Land an archive, as if long ago, and return the tree that it is the source of."""

    def one(kind: str, data: bytes, *, at: int = LONG_AGO, **options: Any) -> Tree:
        place = tmp_path / f"landed.{kind}"
        place.write_bytes(data)
        os.utime(place, (at, at))
        return Tree("photos", source=place.name, **options)

    return one


def state(root: Path) -> dict[str, tuple[int, int]]:
    """Every file of the project but the archive, and when it was written."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(("landed.", "ledger."))
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_the_tree_of_its_files(trees: Trees, land: Pack, kind: str, write, tree, tmp_path):
    for name, data in FILES.items():
        write(name, data).chmod(0o755 if name.endswith(".sh") else 0o644)
    folder = trees.add(tree)

    found = trees.add(land(kind, packed(kind, FILES, prefix="" if kind == "zip" else "./")))
    trees.checkout("photos", to=tmp_path / "out")

    assert folder is not None
    assert found is None, "the same files are the same version, wherever they came from"
    assert {file.path: trees.read("photos", file.path) for file in trees.files("photos")} == FILES
    assert os.access(tmp_path / "out" / "deep/run.sh", os.X_OK)
    assert not os.access(tmp_path / "out" / "a.txt", os.X_OK)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_changed_is_stored_and_an_unchanged_archive_is_not_opened(
    trees: Trees, land: Pack, kind: str, monkeypatch
):
    first = trees.add(land(kind, packed(kind, FILES)))
    with monkeypatch.context() as closed:
        closed.setattr("builtins.open", lambda *_, **__: pytest.fail("it was opened"))
        again = trees.add(land_again := Tree("photos", source=f"landed.{kind}"))
        unchanged = trees.status(land_again)
    changed = land(kind, packed(kind, {**FILES, "a.txt": b"two", "new": b"12345"}), at=LONG_AGO + 1)
    told = trees.status(changed)
    second = trees.add(changed)

    assert again is None
    assert (unchanged.is_unchanged, unchanged.files) == (True, len(FILES))
    assert (told.added, told.changed, told.removed) == (("new",), ("a.txt",), ())
    assert (first.files, first.stored) == (4, sum(map(len, FILES.values())))
    assert (second.added, second.changed, second.stored) == (1, 1, 8)


def test_a_large_member_is_kept_in_pieces(trees: Trees, land: Pack, monkeypatch):
    monkeypatch.setattr(intake, "WHOLE", 100)
    monkeypatch.setattr(intake, "PIECE", 40)
    data = os.urandom(333)

    trees.add(land("zip", packed("zip", {"large": data})))
    again = trees.add(Tree("photos", source="landed.zip"), rehash=True)

    assert trees.read("photos", "large") == data
    assert again is None
    assert trees.verify("photos") == []


def test_patterns_choose_within_archives(trees: Trees, land: Pack):
    trees.add(land("tar", packed("tar", FILES), exclude=["er", "*.sh"]))

    assert [file.path for file in trees.files("photos")] == ["a.txt", "empty"]


def test_what_makes_no_sense_for_an_archive_is_refused():
    with pytest.raises(InvalidDeclaration, match="link=True has no meaning for an archive"):
        Tree("photos", source="photos.zip", link=True)
    with pytest.raises(InvalidDeclaration, match="limits are those of an archive"):
        Tree("photos", source="photos", limits=ArchiveLimits())
    with pytest.raises(InvalidDeclaration, match="members=0"):
        ArchiveLimits(members=0)


def test_an_archive_that_is_not_there_or_a_folder_is_said(trees: Trees, tmp_path: Path):
    with pytest.raises(SourceUnreadable, match="cannot be read: No such file"):
        trees.add(Tree("photos", source="gone.zip"))
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(SourceUnreadable, match="is no archive"):
        trees.add(Tree("photos", source="folder.zip"))


NAMES = {
    "../out": "leads out of the folder",
    "a/../../out": "leads out of the folder",
    "a/..": "leads out of the folder",
    "/etc/passwd": "is absolute",
    "//etc/passwd": "is absolute",
    "C:/out": "is absolute",
    "..\\out": "has a backslash",
    "a" * 300: "too long",
    "/".join(["deep"] * 2000): "too long",
}


@pytest.fixture
def refused(trees: Trees, land: Pack, tmp_path: Path) -> Callable[..., str]:
    """Add an honest archive, then a hostile one in its place; return what is said, once nothing has changed."""

    def add(kind: str, data: bytes, **options: Any) -> str:
        trees.add(land(kind, packed(kind, FILES)))
        before, versions = state(tmp_path), trees.versions("photos")
        begun = time.process_time()
        with pytest.raises(SourceUnreadable, match="Nothing of it was stored") as error:
            trees.add(land(kind, data, at=LONG_AGO + 1, **options))
        assert time.process_time() - begun < 20
        assert state(tmp_path) == before
        assert trees.versions("photos") == versions
        assert not (tmp_path.parent / "out").exists()
        return str(error.value)

    return add


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:12])
def test_a4_names_that_lead_elsewhere(refused, kind: str, name: str):
    said = refused(kind, packed(kind, {"first": b"good", name: b"evil"}))

    assert NAMES[name] in said


def test_a4_a_name_with_a_zero_byte(refused):
    # As bytes: Python would not write one. Readers that stop at it see another name than those that do not.
    data = packed("zip", {"evil#.txt": b"evil"}).replace(b"evil#.txt", b"evil\0.txt")

    assert "has a zero byte" in refused("zip", data)


@pytest.mark.parametrize("names", [("a", "a"), ("a", "./a"), ("a", "a/b"), ("a/b", "a"), ("a//b", "a/b")])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a4_two_members_of_one_name(refused, kind: str, names: tuple[str, str]):
    members = [(name, b"evil") for name in names]
    data = (
        zipped([(as_zip(n), d) for n, d in members])
        if kind == "zip"
        else tarred([(as_tar(n), d) for n, d in members])
    )

    said = refused(kind, data)

    assert "two members" in said or "is a file in it, and a folder" in said


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (as_tar("l", tarfile.SYMTYPE, "/etc"), "a symbolic link"),
        (as_tar("l", tarfile.SYMTYPE, "first"), "a symbolic link"),
        (as_tar("l", tarfile.LNKTYPE, "../../etc/passwd"), "a hard link"),
        (as_tar("l", tarfile.CHRTYPE), "a device"),
        (as_tar("l", tarfile.BLKTYPE), "a device"),
        (as_tar("l", tarfile.FIFOTYPE), "a named pipe"),
        (as_zip("l", stat.S_IFLNK | 0o777), "a symbolic link"),
        (as_zip("l", stat.S_IFCHR | 0o666), "a device"),
    ],
)
def test_a4_links_and_devices(refused, member: Any, what: str):
    if isinstance(member, zipfile.ZipInfo):
        said = refused(
            "zip", zipped([(as_zip("first"), b"good"), (member, b"/etc"), (as_zip("l/x"), b"evil")])
        )
    else:
        # The write goes through the link, where links are made.
        said = refused("tar", tarred([(as_tar("first"), b"good"), (member, b""), (as_tar("l/x"), b"evil")]))

    assert f"'l' is {what}" in said


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a4_a_bomb_of_a_thousand_to_one(refused, kind: str):
    data = packed(kind, {"bomb": bytes(BOMB)})

    said = refused(kind, data)

    assert len(data) < BOMB / 200
    assert "unpacks to more than 200 times its" in said


def test_a4_a_bomb_that_lies_about_its_size(refused):
    data = packed("zip", {"bomb": bytes(2**20)})
    lies = data.replace(struct.pack("<L", 2**20), struct.pack("<L", 10))

    assert "cannot be read to its end" in refused("zip", lies)


def test_a4_bytes_and_members_beyond_the_limits(refused):
    many = packed("tar.gz", {f"{n}": b"" for n in range(3_000)})

    assert "more than 2,999 members" in refused("tar.gz", many, limits=ArchiveLimits(members=2_999))
    large = packed("zip", {"large": os.urandom(2_000_000)})
    assert "more than 1,000,000 bytes" in refused("zip", large, limits=ArchiveLimits(size=1_000_000))


def test_a4_a_million_members(refused):
    name = b"a"
    entry = (
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0)
        + name
    )
    directory = entry * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)

    data = directory + end
    tracemalloc.start()
    begun = time.process_time()
    said = refused("zip", data)
    took, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "more than 100,000 members" in said
    assert peak < 2 * len(directory)
    assert took < 5


def test_a4_encrypted_members(refused):
    data = bytearray(packed("zip", {"secret": b"x"}))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + at] |= 1

    assert "is encrypted" in refused("zip", bytes(data))


def header(name: str, kind: bytes, size: int) -> bytes:
    member = as_tar(name, kind)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


END = bytes(1024)
HEADERS = {
    "a name of a gigabyte": header("l", tarfile.GNUTYPE_LONGNAME, 2**30) + bytes(2**20),
    "names of names": header("l", tarfile.GNUTYPE_LONGNAME, 1) + b"x" * 512,
    "a size below zero": b"",
    "a file with holes": header("holes", tarfile.GNUTYPE_SPARSE, 0) + END,
    "cut off": packed("tar", {"a": b"x" * 2000})[:1500],
    "damaged in its middle": packed("tar", {"a": b"x"})[:1024] + b"?" * 512 + packed("tar", {"b": b"y"}),
    "no archive": b"PK\3\4 is no tar",
    "empty": b"",
}
_sparse = as_tar("holes")
_sparse.pax_headers = {
    "GNU.sparse.major": "1",
    "GNU.sparse.minor": "0",
    "GNU.sparse.name": "x",
    "GNU.sparse.realsize": "9",
}
_sparse.size = 2**21
HEADERS["a map of holes of many megabytes"] = (
    _sparse.tobuf(tarfile.PAX_FORMAT) + b"9999999\n" + b"0\n" * (2**20 - 4)
)
HEADERS["names of names"] = HEADERS["names of names"] * 5_000 + END
_below = bytearray(header("a", tarfile.REGTYPE, 0))
_below[124:136] = b"\xff" * 11 + b"\x00"  # base 256: minus 256
_below[148:156] = b"%06o\0 " % (256 + sum(_below[:148]) + sum(_below[156:512]))
HEADERS["a size below zero"] = bytes(_below) + END


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
def test_a4_headers_made_to_do_harm(refused, data: bytes):
    tracemalloc.start()

    refused("tar", data)

    assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    tracemalloc.stop()
