"""What a tree stores: each content once, shared or copied, said when damaged, collected when nothing needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import insert

from treadle.core.errors import DigestMismatch, NotFound
from treadle.data.tree import intake
from treadle.data.tree.additions import Additions
from treadle.data.trees import Tree
from treadle.store.ledger.tables import model_versions


def test_equal_files_are_stored_once(trees, tree, write):
    for number in range(20):
        write(f"copy{number}", b"x" * 1000)

    made = trees.add(tree)
    write("another/copy", b"x" * 1000)

    assert (made.size, made.stored) == (20_000, 1000)
    assert trees.add(tree).stored == 0


def test_one_percent_more_files_store_about_one_percent(trees, tree, write, contents):
    for number in range(1_000):
        write(f"{number % 10}/img_{number:05}", f"{number:01000}")
    trees.add(tree)
    before = dict(contents.list())
    for number in range(1_000, 1_010):
        write(f"{number % 10}/img_{number:05}", f"{number:01000}")

    trees.add(tree)

    fresh = {digest: size for digest, size in contents.list() if digest not in before}
    assert len(fresh) <= 10 + 10 + 1
    assert sum(fresh.values()) < 0.08 * sum(before.values())


def test_a_large_file_that_grows_stores_its_end(trees, tree, write, monkeypatch):
    monkeypatch.setattr(intake, "WHOLE", 100_000)
    monkeypatch.setattr(intake, "PIECE", 10_000)
    data = os.urandom(1_000_000)
    write("large", data)
    trees.add(tree)
    write("large", data + os.urandom(10_000))

    made = trees.add(tree)

    assert made.stored <= 10_000 + 32 * 101
    assert trees.read("photos", "large", version=1) == data


def test_a_large_file_that_did_not_change_is_not_read_again(trees, tree, write, monkeypatch):
    monkeypatch.setattr(intake, "WHOLE", 100)
    monkeypatch.setattr(intake, "PIECE", 40)
    write("large", bytes(1000))
    trees.add(tree)

    monkeypatch.setattr(intake.Intake, "_read", lambda *_: pytest.fail("it was read"))

    assert trees.add(tree) is None


def test_writing_into_a_file_leaves_what_was_stored(trees, tree, write):
    place = write("a", "old")
    trees.add(tree)
    with place.open("r+") as file:
        file.write("new")

    trees.add(tree)

    assert (trees.read("photos", "a", version=1), trees.read("photos", "a", version=2)) == (b"old", b"new")


class TestLinked:
    @pytest.fixture
    def tree(self):
        return Tree("photos", source="photos", link=True)

    def test_a_linked_file_is_shared_and_read_only(self, trees, tree, write):
        place = write("a", "1")

        trees.add(tree)

        assert (place.stat().st_nlink, place.stat().st_mode & 0o777) == (2, 0o444)
        assert trees.add(tree) is None

    def test_checking_out_does_not_make_the_folder_look_changed(self, trees, tree, write):
        write("a", "1")
        trees.add(tree)
        trees.checkout("photos", to=Path("out"))

        assert trees.status(tree).is_unchanged
        assert trees.add(tree) is None

    def test_replacing_a_linked_file_leaves_what_was_stored(self, trees, tree, write):
        write("a", "old")
        trees.add(tree)
        write("a", "new")

        trees.add(tree)

        assert trees.read("photos", "a", version=1) == b"old"

    def test_writing_into_a_linked_file_all_the_same_is_noticed_everywhere(self, trees, tree, write):
        place = write("a", "old")
        write("b", "good")
        trees.add(tree)
        place.chmod(0o644)
        with place.open("r+") as file:
            file.write("new")

        made = trees.add(tree)

        assert (made.version, made.changed) == (2, 1)
        assert [text.partition(":")[0] for text in trees.verify("photos", version=1)] == ["a"]
        assert trees.verify("photos", version=2) == []
        with pytest.raises(DigestMismatch, match="damaged"):
            trees.read("photos", "a", version=1)
        with pytest.raises(DigestMismatch, match="damaged"):
            trees.checkout("photos", version=1, to=Path("out"))

    def test_a_file_that_is_still_being_written_is_copied(self, trees, tree, write):
        place = write("a", "1", at=4_000_000_000)

        trees.add(tree)

        assert place.stat().st_nlink == 1

    def test_a_program_is_copied_and_stays_a_program(self, trees, tree, write, tmp_path):
        place = write("run.sh", "#!/bin/sh")
        place.chmod(0o755)

        trees.add(tree)
        trees.checkout("photos", to=Path("out"))

        assert place.stat().st_mode & 0o777 == 0o755
        assert os.access(tmp_path / "out/run.sh", os.X_OK)
        assert trees.files("photos")[0].executable


def test_a_damaged_store_is_said_and_mended_from_the_folder(trees, tree, write, tmp_path):
    write("a", "old")
    trees.add(tree)
    (stored,) = [
        path
        for path in (tmp_path / "objects/trees").rglob("*")
        if path.is_file() and path.read_bytes() == b"old"
    ]
    stored.chmod(0o644)
    stored.write_bytes(b"bad")

    (damage,) = trees.verify("photos")
    assert "a: The content blake3:" in damage
    assert trees.add(tree) is None
    assert trees.add(tree, rehash=True) is None

    assert trees.verify("photos") == []
    assert trees.read("photos", "a") == b"old"


def test_a_lost_content_is_named(trees, tree, write, tmp_path):
    write("a", "old")
    trees.add(tree)
    for path in (tmp_path / "objects/trees").rglob("*"):
        if path.is_file() and path.read_bytes() == b"old":
            path.unlink()

    with pytest.raises(NotFound, match="There is no content blake3:"):
        trees.read("photos", "a")
    assert len(trees.verify("photos")) == 1


def test_a_lost_stat_cache_costs_a_reading_and_nothing_else(trees, tree, write, tmp_path):
    write("a", "1")
    trees.add(tree)
    (cache,) = (tmp_path / ".treadle/trees").iterdir()
    cache.write_bytes(b"\0" * 100)

    assert trees.add(tree) is None
    assert cache.stat().st_size != 100


class TestCollect:
    @pytest.fixture(autouse=True)
    def versions(self, trees, tree, write):
        for number in range(1, 5):
            write("a", f"a{number}")
            write(f"b{number}", f"b{number}")
            trees.add(tree)

    def test_a_dry_run_says_and_does_nothing(self, trees, contents):
        before = dict(contents.list())

        found = trees.collect("photos", keep=[2])

        assert (found.versions, found.kept, found.dry_run) == ((1, 3), (2, 4), True)
        assert (found.contents, found.size > 4) == (6, True)
        assert dict(contents.list()) == before
        assert trees.verify("photos", version=1) == []

    def test_what_no_version_needs_goes_and_the_others_stay_whole(self, trees, contents):
        would = trees.collect("photos", keep=[2])
        before = len(list(contents.list()))

        found = trees.collect("photos", keep=[2], dry_run=False)

        assert (found.contents, found.size) == (would.contents, would.size)
        assert len(list(contents.list())) == before - found.contents
        assert trees.verify("photos", version=2) + trees.verify("photos", version=4) == []
        with pytest.raises(NotFound, match="was given up on"):
            trees.read("photos", "a", version=3)
        assert trees.collect("photos", keep=[2], dry_run=False).contents == 0

    def test_what_a_model_was_made_from_stays(self, trees, ledger):
        body = '{"parents": ["run:run_1", "tree_version:photos/3", "tree_version:photosX1/1"], "other": 1}'
        with ledger.write() as connection:
            connection.execute(
                insert(model_versions).values(
                    model="m", version=1, digest="d", run="run_1", created_at=0, body=body
                )
            )

        found = trees.collect("photos", keep=[], dry_run=False)

        assert (found.versions, found.kept) == ((1, 2), (3, 4))
        assert trees.verify("photos", version=3) == []

    def test_other_trees_keep_what_they_share(self, trees, tmp_path, write):
        write("a", "a1")
        trees.add(Tree("others", source="photos"))

        trees.collect("photos", keep=[], dry_run=False)

        assert trees.verify("others") == []

    def test_garbage_collected_while_adding_is_stored_again(self, trees, tree, write, monkeypatch):
        write("c", "c")
        real, once = Additions._commit, [True]

        def late(self, version, survey, lease):
            if once.pop() if once else False:
                trees.collect("photos", keep=[], dry_run=False)
            return real(self, version, survey, lease)

        monkeypatch.setattr(Additions, "_commit", late)

        assert trees.add(tree).version == 5
        assert trees.verify("photos") == []

    def test_a_damaged_manifest_stops_a_collection(self, trees, tmp_path, contents):
        before = set(contents.list())
        root = tmp_path / "objects/trees"
        name = trees.version("photos").digest.removeprefix("blake3:")
        (root / name[:2] / name).unlink()

        with pytest.raises(NotFound):
            trees.collect("photos", keep=[], dry_run=False)

        assert len(before) - len(set(contents.list())) == 1
        assert trees.versions("photos")[0].collected_at is None

    def test_a_version_that_is_not_there_cannot_be_kept(self, trees):
        with pytest.raises(NotFound, match="no version 9"):
            trees.collect("photos", keep=[9])
