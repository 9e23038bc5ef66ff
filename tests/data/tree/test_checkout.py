"""Checking out: only what differs is touched, nothing of the user's is lost, and nothing outside is reached."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

import services
from treadle.core.errors import AlreadyExists, Busy, DigestMismatch, InvalidInput, StoreFull
from treadle.data.tree import checkout, placing
from treadle.data.tree.index import INDEX

FIRST = {"a": "a1", "b": "b1", "deep/c": "c1", "deep/d": "d1"}
SECOND = {"a": "a2", "b": "b1", "deep/d": "d1", "new/e": "e2"}


@pytest.fixture
def out(trees, tree, write, tmp_path):
    """The folder with version 1 of two."""
    for path, text in FIRST.items():
        write(path, text)
    trees.add(tree)
    write("a", "a2")
    write("new/e", "e2")
    write("deep/c").unlink()
    trees.add(tree)
    trees.checkout("photos", version=1, to=Path("out"))
    return tmp_path / "out"


def held(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != INDEX
    }


def test_going_to_another_version_touches_only_what_differs(trees, out):
    before = {path: (out / path).stat().st_ctime_ns for path in ("b", "deep/d")}

    done = trees.checkout("photos", to=Path("out"))

    assert held(out) == SECOND
    assert (done.written, done.kept, done.removed, done.left) == (2, 2, 1, 0)
    assert {path: (out / path).stat().st_ctime_ns for path in before} == before


def test_going_back_leaves_no_empty_folder(trees, out):
    trees.checkout("photos", to=Path("out"))
    trees.checkout("photos", version=1, to=Path("out"))

    assert held(out) == FIRST
    assert not (out / "new").exists()


def test_files_of_the_user_stay(trees, out):
    (out / "mine").write_text("mine")
    (out / "deep/mine").write_text("mine")

    done = trees.checkout("photos", to=Path("out"))

    assert (held(out)["mine"], held(out)["deep/mine"], done.left) == ("mine", "mine", 2)


def test_a_file_that_was_changed_is_not_overwritten_unless_told(trees, out):
    (out / "a").unlink()
    (out / "a").write_text("mine")
    (out / "deep/c").unlink()
    (out / "deep/c").write_text("mine too")
    before = held(out)

    with pytest.raises(AlreadyExists, match="a is there and differs.*Nothing was touched"):
        trees.checkout("photos", to=Path("out"))
    assert held(out) == before
    trees.checkout("photos", to=Path("out"), overwrite=True)

    assert held(out) == {**SECOND, "deep/c": "mine too"}


def test_a_folder_of_the_users_is_brought_up_and_never_emptied(trees, tree, write, tmp_path):
    place = write("a", "1")
    write("gone", "1")
    trees.add(tree)
    write("gone").unlink()
    trees.add(tree)
    inode = place.stat().st_ino

    trees.checkout("photos", version=1, to=Path("photos"))
    assert held(tmp_path / "photos") == {"a": "1", "gone": "1"}
    trees.checkout("photos", version=2, to=Path("photos"))

    assert held(tmp_path / "photos") == {"a": "1"}
    assert place.stat().st_ino == inode
    assert trees.add(tree) is None


def test_a_linked_checkout_is_read_only_and_a_copied_one_is_not(trees, out, tmp_path):
    trees.checkout("photos", to=Path("copy"), mode="copy")

    assert (out / "b").stat().st_mode & 0o222 == 0
    assert (out / "b").stat().st_nlink == 2
    assert (tmp_path / "copy/b").stat().st_mode & 0o200
    (tmp_path / "copy/b").write_text("changed")
    assert trees.verify("photos") == []


def test_writing_into_a_linked_checkout_all_the_same_is_noticed(trees, out):
    (out / "b").chmod(0o644)
    (out / "b").write_text("changed")

    with pytest.raises(DigestMismatch, match="damaged"):
        trees.checkout("photos", to=Path("other"))
    assert len(trees.verify("photos")) == 1


def test_a_mode_that_cannot_be_is_refused(trees, out, tmp_path):
    with services.small_disk(tmp_path / "disk", size="1m") as disk:
        with pytest.raises(InvalidInput, match="allow copy"):
            trees.checkout("photos", to=disk, mode="link")
        assert trees.checkout("photos", to=disk).mode == "copy"
        assert held(disk) == SECOND


def test_files_and_folders_may_change_places(trees, tree, write, tmp_path):
    write("x", "file")
    write("y/z/deep", "below")
    trees.add(tree)
    write("x").unlink()
    write("y/z/deep").unlink()
    (tmp_path / "photos/y/z").rmdir()
    (tmp_path / "photos/y").rmdir()
    write("x/inner", "below")
    write("y", "file")
    trees.add(tree)
    for version in (1, 2, 1):
        trees.checkout("photos", version=version, to=Path("out"))

        assert (
            held(tmp_path / "out")
            == [
                {"x": "file", "y/z/deep": "below"},
                {"x/inner": "below", "y": "file"},
            ][version - 1]
        )


def test_a_folder_in_the_way_that_holds_something_else_is_refused(trees, tree, write, tmp_path):
    write("x", "file")
    trees.add(tree)
    (tmp_path / "out/x").mkdir(parents=True)
    (tmp_path / "out/x/mine").write_text("mine")

    for overwrite in (False, True):
        with pytest.raises(AlreadyExists, match="x is a folder that holds something else"):
            trees.checkout("photos", to=Path("out"), overwrite=overwrite)
    (tmp_path / "out/x/mine").unlink()
    trees.checkout("photos", to=Path("out"))

    assert held(tmp_path / "out") == {"x": "file"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("link", ["deep", "a", "deep/d"])
def test_a4_a_planted_symbolic_link_is_not_followed(link, overwrite, trees, tree, write, tmp_path):
    for path, text in FIRST.items():
        write(path, text)
    trees.add(tree)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "d").write_text("precious")
    (tmp_path / "out" / link).parent.mkdir(parents=True)
    (tmp_path / "out" / link).symlink_to(victim if link == "deep" else victim / "d")

    if link == "deep" or not overwrite:
        with pytest.raises(AlreadyExists):
            trees.checkout("photos", to=Path("out"), overwrite=overwrite)
    else:
        trees.checkout("photos", to=Path("out"), overwrite=True)
        assert held(tmp_path / "out") == FIRST

    assert held(victim) == {"d": "precious"}


def test_a4_a_symbolic_link_planted_during_the_checkout_is_not_followed(
    trees, tree, write, tmp_path, monkeypatch
):
    for path, text in FIRST.items():
        write(path, text)
    trees.add(tree)
    victim = tmp_path / "victim"
    victim.mkdir()
    real = checkout._carried_out

    def late(*given, **more):
        (tmp_path / "out/deep").symlink_to(victim)
        return real(*given, **more)

    monkeypatch.setattr(checkout, "_carried_out", late)

    with pytest.raises(AlreadyExists, match="came into"):
        trees.checkout("photos", to=Path("out"))

    assert held(victim) == {}


@pytest.mark.parametrize("at", range(6))
def test_an_interrupted_checkout_goes_on_to_any_version(at, trees, out, monkeypatch):
    real, left = placing.Placing._one, [at]

    def stopping(self, *given, **more):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, *given, **more)

    monkeypatch.setattr(placing.Placing, "_one", stopping)
    if at < 2:
        with pytest.raises(KeyboardInterrupt):
            trees.checkout("photos", version=2, to=Path("out"))
    monkeypatch.undo()

    trees.checkout("photos", version=1 if at % 2 else 2, to=Path("out"))

    wanted = FIRST if at % 2 else SECOND
    assert held(out) == wanted


def test_a_damaged_index_makes_files_the_users(trees, out):
    (out / INDEX).write_bytes(b"\0" * 50)

    with pytest.raises(AlreadyExists, match="a is there and differs"):
        trees.checkout("photos", to=Path("out"))

    assert held(out) == FIRST


def test_two_checkouts_to_one_folder_take_turns(trees, out):
    handle = os.open(out, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    with pytest.raises(Busy, match="Another process is checking out"):
        trees.checkout("photos", to=Path("out"))
    os.close(handle)

    assert trees.checkout("photos", to=Path("out")).written == 2


def test_a_full_disk_is_said_and_passes(trees, tree, write, tmp_path):
    for number in range(20):
        write(f"{number}", os.urandom(10_000))
    trees.add(tree)
    with services.small_disk(tmp_path / "disk", size="256k") as disk:
        ballast = services.fill(disk)
        os.truncate(ballast, 128 * 1024)

        with pytest.raises(StoreFull, match="No space is left"):
            trees.checkout("photos", to=disk / "out")
        assert [
            path for path in (disk / "out").iterdir() if path.is_file() and path.name.startswith(".part")
        ] == []
        ballast.unlink()

        done = trees.checkout("photos", to=disk / "out")
        assert done.files == 20
        assert 0 < done.written < 20


def test_more_equal_files_than_a_file_can_have_names(trees, tree, write, tmp_path, monkeypatch):
    for number in range(5):
        write(f"{number}", "same")
    trees.add(tree)
    real, names = os.link, [2]

    def full(*given, **more):
        if not names[0]:
            raise OSError(31, "Too many links")
        names[0] -= 1
        return real(*given, **more)

    monkeypatch.setattr(os, "link", full)

    trees.checkout("photos", to=Path("out"))

    assert held(tmp_path / "out") == {str(number): "same" for number in range(5)}


def test_a_checkout_to_what_is_no_folder_is_refused(trees, out, tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(AlreadyExists):
        trees.checkout("photos", to=Path("file"))

    assert (tmp_path / "file").read_text() == "mine"
