"""Trees as their users see them: versions of a folder, and what becomes of bad input."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput, NotFound, SourceUnreadable
from treadle.core.settings import aws_options
from treadle.data.tree import intake
from treadle.data.trees import Tree, Trees
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.contents import open_contents


@pytest.fixture
def anywhere(objects_url: str, tmp_path: Path, ledger: Ledger, clock: ManualClock) -> Trees:
    """The service over each kind of store."""
    contents = open_contents(objects_url, root=tmp_path, options=aws_options())
    return Trees(ledger=ledger, contents=contents, clock=clock, root=tmp_path, state=tmp_path / ".treadle")


def paths(trees, version=None):
    return [file.path for file in trees.files("photos", version=version)]


def test_what_a_folder_held_can_be_read_and_checked_out_again(anywhere, tree, write, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "WHOLE", 10_000)
    monkeypatch.setattr(intake, "PIECE", 4_000)
    held = {
        "a.txt": b"one",
        "deep/er/b.bin": os.urandom(5_000),
        "empty": b"",
        "large.bin": os.urandom(15_000),
    }
    for path, data in held.items():
        write(path, data)

    made = anywhere.add(tree)
    done = anywhere.checkout("photos", to=Path("out"))

    assert (made.version, made.files, made.size) == (1, 4, 20_003)
    assert {path: anywhere.read("photos", path) for path in held} == held
    assert {path: (tmp_path / "out" / path).read_bytes() for path in held} == held
    assert (done.written, done.files) == (4, 4)
    assert anywhere.verify("photos") == []
    assert anywhere.checkout("photos", to=Path("out")).written == 0


def test_versions_say_what_changed_and_stay(trees, tree, write):
    write("a", "1")
    write("b", "1")
    trees.add(tree)
    write("a", "2")
    write("c", "3")
    write("b").unlink()

    made = trees.add(tree)

    assert (made.version, made.added, made.changed, made.removed, made.parents) == (
        2,
        1,
        1,
        1,
        ("tree_version:photos/1",),
    )
    found = trees.difference("photos", 1)
    assert (found.added, found.changed, found.removed) == (("c",), ("a",), ("b",))
    assert (paths(trees, 1), paths(trees, 2)) == (["a", "b"], ["a", "c"])
    assert (trees.read("photos", "a", version=1), trees.read("photos", "a")) == (b"1", b"2")


def test_an_unchanged_folder_makes_no_version_and_writes_nothing(trees, tree, write, ledger):
    write("a", "1")
    trees.add(tree)
    written = []
    event.listen(
        ledger._backend.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_: written.append(statement),
    )

    assert trees.add(tree) is None
    assert trees.status(tree).is_unchanged
    assert [
        text for text in written if not text.lstrip().upper().startswith(("SELECT", "BEGIN", "PRAGMA"))
    ] == []


def test_a_touched_file_is_read_again_and_is_no_change(trees, tree, write):
    write("a", "1")
    trees.add(tree)
    write("a", "1", at=1_600_000_000)

    assert trees.add(tree) is None


def test_a_file_changed_within_the_tick_of_its_clock_is_seen(trees, tree, write):
    now = 4_000_000_000
    write("a", "1", at=now)
    trees.add(tree)
    place = write("a", "1", at=now)
    before = place.stat()
    trees.add(tree)
    with place.open("r+") as file:
        file.write("2")
    os.utime(place, (now, now))

    assert (place.stat().st_size, place.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert trees.add(tree).changed == 1


def test_equal_folders_have_equal_digests_however_they_came_about(trees, tree, write):
    write("a", "1")
    first = trees.add(tree)
    write("b", "2")
    trees.add(tree)
    write("b").unlink()

    assert trees.add(tree).digest == first.digest


def test_patterns_choose(trees, write):
    for path in ("a.jpg", "b.png", "raw/c.jpg", "raw/old/d.jpg", "cache/e.jpg", "x.tmp", "y.jpg.part"):
        write(path, path)

    trees.add(Tree("photos", source="photos", include=["*.jpg"], exclude=["cache", "raw/**/d.*"]))

    assert paths(trees) == ["a.jpg", "raw/c.jpg"]


def test_the_projects_own_state_is_no_data(trees, tmp_path):
    (tmp_path / "a").write_text("1")
    everything = Tree("photos", source=".")

    trees.add(everything)

    assert not [path for path in paths(trees) if path.startswith((".treadle", "objects/trees"))]


def test_what_is_no_file_is_told_and_left_out(trees, tree, write, tmp_path):
    write("good", "1")
    folder = tmp_path / "photos"
    (tmp_path / "secret").write_text("secret")
    (folder / "outside").symlink_to(tmp_path / "secret")
    (folder / "dangling").symlink_to("nothing")
    (folder / "loop").symlink_to(folder)
    (folder / "inside").symlink_to("good")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"caf\xe9")).write_text("1")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(os.fsencode(folder / "door"))

        made = trees.add(tree)

    assert paths(trees) == ["good", "inside"]
    assert trees.read("photos", "inside") == b"1"
    assert [problem.partition(":")[0] for problem in made.problems] == [
        "caf\\xe9",
        "dangling",
        "door",
        "loop",
        "outside",
        "pipe",
    ]
    assert trees.add(tree) is None
    assert len(trees.status(tree).problems) == 6


@pytest.mark.parametrize("hidden", ["deep/a", "deep"])
def test_what_cannot_be_read_stays_as_it_was_known(hidden, tree, clock):
    if os.geteuid():
        pytest.skip("Only root can become somebody who may not read")
    # Not below pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory() as folder, Ledger.open("sqlite:///l.db", root=Path(folder)) as ledger:
        root = Path(folder)
        store = open_contents("objects", root=root, options={})
        trees = Trees(ledger=ledger, contents=store, clock=clock, root=root, state=root / "state")
        (root / "photos/deep").mkdir(parents=True)
        (root / "photos/deep/a").write_text("1")
        (root / "photos/b").write_text("1")
        trees.add(tree)
        (root / "photos/deep/a").write_text("3")
        (root / "photos/b").write_text("2")

        with _as_nobody(root, without=root / "photos" / hidden):
            made = trees.add(tree)

        assert (made.changed, made.removed) == (1, 0)
        assert made.problems == (f"{hidden}: it cannot be read (Permission denied)",)
        assert trees.read("photos", "deep/a") == b"1"
        assert trees.add(tree).changed == 1
        assert trees.read("photos", "deep/a") == b"3"


@contextmanager
def _as_nobody(root, *, without):
    """Be a user to whom everything below a folder belongs, but for one path."""
    for path in (root, *root.rglob("*")):
        os.chown(path, 65534, 65534)
    mode = without.stat().st_mode
    without.chmod(0)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        without.chmod(mode)


def test_a_file_that_changes_while_it_is_read_is_read_again(trees, tree, write, monkeypatch):
    place = write("a", "1")
    _grow(monkeypatch, place, times=2)

    trees.add(tree)

    assert trees.read("photos", "a") == b"1++"


def test_a_file_that_never_stands_still_is_told_and_left_out(trees, tree, write, monkeypatch):
    place = write("a", "1")
    write("b", "1")
    _grow(monkeypatch, place, times=100)

    made = trees.add(tree)

    assert paths(trees) == ["b"]
    assert made.problems == ("a: it changes while it is read; it is tried again next time",)


def _grow(monkeypatch, place, *, times):
    """Let a file grow just after it was looked at, a number of times."""
    real, left = intake.Intake._all, [times]

    def growing(self, file, size):
        if left[0] and os.fstat(file).st_ino == place.stat().st_ino:
            left[0] -= 1
            with place.open("a") as other:
                other.write("+")
        return real(self, file, size)

    monkeypatch.setattr(intake.Intake, "_all", growing)


def test_a_file_that_vanishes_is_no_problem(trees, tree, write, monkeypatch):
    write("a", "1")
    place = write("b", "1")
    real = intake.Intake._one
    monkeypatch.setattr(
        intake.Intake, "_one", lambda self, wanted: (place.unlink(missing_ok=True), real(self, wanted))[1]
    )

    made = trees.add(tree)

    assert (paths(trees), made.problems) == (["a"], ())


def test_names_may_be_long_and_strange(trees, tree, write, tmp_path):
    names = ["ü" * 127, "a" * 255, "new\nline", " ", "back\\slash", "-rf", "$(x)", "☃/☃"]
    for name in names:
        write(name, name)

    trees.add(tree)
    trees.checkout("photos", to=Path("out"))

    assert sorted(paths(trees)) == sorted(names)
    assert {name: (tmp_path / "out" / name).read_text() for name in names} == {name: name for name in names}


def test_a_folder_that_is_suddenly_empty_is_refused(trees, tree, write):
    write("a", "1").unlink()
    assert trees.add(tree) is None
    write("a", "1")
    trees.add(tree)
    write("a").unlink()

    with pytest.raises(InvalidInput, match="holds no file, and version 1 had 1"):
        trees.add(tree)

    assert trees.add(tree, empty=True).files == 0
    assert trees.checkout("photos", to=Path("out")).files == 0


def test_a_folder_that_is_not_there_is_said(trees, tree):
    with pytest.raises(SourceUnreadable, match="photos cannot be read: No such file"):
        trees.add(tree)
    with pytest.raises(SourceUnreadable, match="mounted"):
        trees.status(tree)


def test_what_does_not_exist_is_named(trees, tree, write):
    with pytest.raises(NotFound, match="treadle trees add photos"):
        trees.version("photos")
    write("a", "1")
    trees.add(tree)

    with pytest.raises(NotFound, match="Its versions are 1 to 1"):
        trees.version("photos", 2)
    with pytest.raises(NotFound, match="has no file 'b'"):
        trees.read("photos", "b")


def test_status_says_what_adding_would_do_and_stores_nothing(trees, tree, write, contents):
    write("a", "1")
    assert trees.status(tree).added == ("a",)
    write("b", "1")
    trees.add(tree)
    before = dict(contents.list())
    write("a", "2")
    write("c", "3")
    write("b").unlink()

    for _ in range(2):
        found = trees.status(tree)
        assert (found.added, found.changed, found.removed) == (("c",), ("a",), ("b",))

    assert dict(contents.list()) == before
    assert trees.add(tree).stored == 2


def test_adding_at_once_loses_nothing_and_makes_one_version(trees, tree, write):
    for number in range(50):
        write(f"{number}", f"{number}")
    barrier = threading.Barrier(4)

    def add(_):
        barrier.wait()
        return trees.add(tree)

    with ThreadPoolExecutor(4) as pool:
        made = [version for version in pool.map(add, range(4)) if version]

    assert [version.version for version in made] == [1]
    assert trees.verify("photos") == []
