"""The disk that loses its power: what is certain on it, and what is not."""

from __future__ import annotations

import itertools
import random
import stat
from pathlib import Path

import pytest
from cut import Cut
from disk import BLOCK, Disk
from tracing import parse

ROOT = "/disk"


def hexed(text: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


def after(*lines: str) -> Disk:
    """Return a disk that has seen calls, in the notation of strace with names as they are."""
    disk = Disk(Path(ROOT))
    for moment in parse("\n".join(f"7 {line}" for line in lines)):
        disk.see(moment)
    return disk


def opened(name: str, number: int, flags: str = "O_WRONLY|O_CREAT") -> str:
    return f"openat(AT_FDCWD, {hexed(f'{ROOT}/{name}')}, {flags}, 0644) = {number}"


def written(number: int, text: str, offset: int) -> str:
    return f"pwrite64({number}, {hexed(text)}, {len(text)}, {offset}) = {len(text)}"


FOLDER = f"openat(AT_FDCWD, {hexed(ROOT)}, O_RDONLY|O_DIRECTORY) = 9"
RENAMED = f"rename({hexed(f'{ROOT}/a')}, {hexed(f'{ROOT}/b')}) = 0"


@pytest.fixture
def left(tmp_path):
    """Return the set of everything that may be left of a disk: names with their contents."""

    places = (tmp_path / f"{number}" for number in itertools.count())

    def states(disk: Disk) -> set[frozenset[tuple[str, bytes]]]:
        found = set()
        for number in range(300):
            folder = Cut.drawn(random.Random(number)).left(disk, to=next(places))
            found.add(frozenset((path.name, path.read_bytes()) for path in folder.iterdir()))
        return found

    return states


def test_nothing_is_certain_before_a_sync(left):
    found = left(after(opened("a", 3), written(3, "x" * 600, 0)))

    contents = {content for state in found for _, content in state}
    assert frozenset() in found
    assert {b"", b"x" * 600, bytes(600), b"x" * 512 + bytes(88)} <= contents


def test_the_fsync_of_a_file_keeps_its_content_and_not_its_name(left):
    found = left(after(opened("a", 3), written(3, "new", 0), "fsync(3) = 0"))

    assert found == {frozenset(), frozenset({("a", b"new")})}


def test_the_fsync_of_the_folder_keeps_the_name_and_not_the_content(left):
    found = left(after(opened("a", 3), FOLDER, "fsync(9) = 0", written(3, "new", 0)))

    assert {name for state in found for name, _ in state} == {"a"}
    assert {b"", b"new"} <= {content for state in found for _, content in state}


def test_a_rename_happens_or_does_not(left):
    begin = (opened("a", 3), written(3, "new", 0), "fsync(3) = 0", FOLDER, "fsync(9) = 0")

    assert left(after(*begin, RENAMED)) == {frozenset({("a", b"new")}), frozenset({("b", b"new")})}
    assert left(after(*begin, RENAMED, "fsync(9) = 0")) == {frozenset({("b", b"new")})}


def test_a_block_that_was_there_is_the_old_or_the_new_or_torn_and_never_zeroes(left):
    begin = (opened("a", 3), written(3, "o" * BLOCK, 0), "fsync(3) = 0", FOLDER, "fsync(9) = 0")

    found = left(after(*begin, written(3, "n" * BLOCK, 0)))

    contents = {content for state in found for _, content in state}
    assert {len(content) for content in contents} == {BLOCK}
    assert {b"o" * BLOCK, b"n" * BLOCK, b"n" * 512 + b"o" * (BLOCK - 512)} <= contents
    assert not any(b"\0" in content for content in contents)


def test_a_sync_covers_what_had_ended_when_it_began_and_nothing_later(left):
    late = written(3, "l", 1).replace("= 1", "").rstrip()
    lines = [opened("a", 3), FOLDER, "fsync(9) = 0", written(3, "e", 0), "fsync(3 <unfinished ...>"]

    disk = after(*lines, f"{late} = 1", "<... fsync resumed>) = 0")

    contents = {content for state in left(disk) for _, content in state}
    assert {b"e", b"el"} <= contents
    assert all(content.startswith(b"e") for content in contents)


def test_syncfs_makes_everything_certain():
    made = f"mkdir({hexed(f'{ROOT}/sub')}, 0755) = 0"

    disk = after(opened("a", 3), written(3, "new", 0), made, FOLDER, "syncfs(9) = 0")

    assert disk.root.changes == []
    assert disk.root.names.keys() == {"a", "sub"}


def test_a_write_to_a_file_that_was_opened_with_dsync_is_certain_at_once(left):
    disk = after(opened("a", 3, "O_WRONLY|O_CREAT|O_DSYNC"), FOLDER, "fsync(9) = 0", written(3, "new", 0))

    assert left(disk) == {frozenset({("a", b"new")})}


def test_a_nameless_file_is_there_once_it_is_linked(left):
    link = f"linkat(3, {hexed('/proc/self/fd/3')}, AT_FDCWD, {hexed(f'{ROOT}/a')}, AT_SYMLINK_FOLLOW) = 0"
    begin = (opened(".", 3, "O_WRONLY|O_TMPFILE"), written(3, "new", 0), "fsync(3) = 0")

    assert left(after(*begin)) == {frozenset()}
    assert left(after(*begin, link)) == {frozenset(), frozenset({("a", b"new")})}


def test_modes_and_times_come_with_fsync_and_not_with_fdatasync(tmp_path):
    sealed = "utimensat(3, NULL, [{tv_sec=1, tv_nsec=0}, {tv_sec=1, tv_nsec=0}], 0) = 0"
    lines = [opened("a", 3), FOLDER, "fsync(9) = 0", "fchmod(3, 0444) = 0", sealed]

    found = {}
    for call in ("fdatasync", "fsync"):
        disk = after(*lines, f"{call}(3) = 0")
        cut = Cut(random.Random(1), names="none", contents="none", attributes="none")
        found[call] = (cut.left(disk, to=tmp_path / call) / "a").stat()

    assert stat.S_IMODE(found["fsync"].st_mode) == 0o444
    assert found["fsync"].st_mtime == 1
    assert found["fdatasync"].st_mtime != 1


def test_what_a_failed_fsync_did_not_write_no_later_one_does(left):
    begin = (opened("a", 3), FOLDER, "fsync(9) = 0", written(3, "new", 0))
    failed = "fsync(3) = -1 EIO (Input/output error)"

    again = left(after(*begin, failed, "fsync(3) = 0"))
    anew = left(after(*begin, failed, written(3, "new", 0), "fsync(3) = 0"))

    assert again == {frozenset({("a", b"new")}), frozenset({("a", bytes(3))})}
    assert anew == {frozenset({("a", b"new")})}


def test_a_change_through_memory_is_refused():
    mapped = "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0x7f0000000000"

    with pytest.raises(AssertionError, match="through memory"):
        after(opened("a", 3, "O_RDWR|O_CREAT"), mapped)
