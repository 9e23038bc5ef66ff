"""Manifests: what they share, and what is refused in one that was tampered with."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.core.errors import DigestMismatch, NotFound
from treadle.data.tree import manifest as manifests
from treadle.data.tree.manifest import Entry, LeafRef, Root
from treadle.store.objects.contents import digest_of

PART = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8
).filter(lambda part: part not in {".", ".."})
PATHS = st.lists(st.lists(PART, min_size=1, max_size=3).map("/".join), unique=True, max_size=40)


def entry(path, text="x"):
    return Entry(path, digest_of(text.encode()), len(text))


def reader(*made):
    known = {digest: data for one in made for digest, data in one.contents.items()}

    def read(digest):
        if digest not in known:
            raise NotFound("no such content")
        return known[digest]

    return read


def forged(entries, **changed):
    """Return a manifest that nobody would build, and what reads it."""
    leaf = msgspec.msgpack.encode(entries)
    given = {
        "files": len(entries),
        "size": 0,
        "leaves": [LeafRef(entries[0].path, digest_of(leaf), len(entries))],
    }
    return Root(**given | changed), {digest_of(leaf): leaf}.__getitem__


@settings(max_examples=50)
@given(PATHS, st.randoms(use_true_random=False))
def test_what_is_built_in_any_order_is_one_manifest_and_reads_back(paths, shuffled):
    entries = [
        entry(path, path) for path in paths if not any(path.startswith(f"{other}/") for other in paths)
    ]
    made = manifests.build(entries)
    shuffled.shuffle(entries)

    again = manifests.build(entries)

    assert again.digest == made.digest
    read = reader(made)
    found = manifests.read_entries(manifests.read_root(made.digest, read), read)
    assert found == sorted(entries, key=lambda one: one.path.encode())
    assert [manifests.find(made.root, one.path, read) for one in found] == found
    assert manifests.find(made.root, "not/there", read) is None


@settings(max_examples=50)
@given(st.dictionaries(PART, st.sampled_from("ab")), st.dictionaries(PART, st.sampled_from("ab")))
def test_a_difference_is_the_difference(before, after):
    was, now = (
        manifests.build(entry(path, text) for path, text in files.items()) for files in (before, after)
    )

    gone, came = manifests.difference(was.root, now.root, reader(was, now))

    assert set(gone) == {path for path in before if before[path] != after.get(path)}
    assert set(came) == {path for path in after if after[path] != before.get(path)}


def test_a_change_touches_its_leaf_and_the_root():
    entries = [entry(f"{number // 100:03}/{number:06}") for number in range(20_000)]
    before = manifests.build(entries)
    later = manifests.build([*entries[:7_000], entry("070/007000", "changed"), *entries[7_001:]])

    fresh = later.contents.keys() - before.contents.keys()

    assert len(before.root.leaves) > 40
    assert len(fresh) == 2
    assert max(map(len, before.contents.values())) < 100_000


def hostile_paths():
    shapes = [
        "..",
        "../x",
        "a/../b",
        "a/..",
        "/etc/passwd",
        "//x",
        "a//b",
        "a/",
        ".",
        "./a",
        "a/.",
        "",
        "a\0b",
        "\0",
    ]
    names = random.Random(3)
    parts = ["..", ".", "", "a", "b", "\0", "...", "c d"]
    made = {"/".join(names.choice(parts) for _ in range(names.randint(1, 5))) for _ in range(5_000)}
    bad = {path for path in made if {"..", ".", ""} & set(path.split("/")) or "\0" in path}
    return [*shapes, ".treadle-tree", *sorted(bad)]


def test_a3_no_path_of_a_manifest_leaves_the_folder():
    for path in hostile_paths():
        root, read = forged([entry(path)])
        with pytest.raises(DigestMismatch, match="tampered with"):
            manifests.read_entries(root, read)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("b"), entry("a")],
        [entry("a"), entry("a")],
        [entry("a"), entry("a-b"), entry("a/b")],
        [Entry("a", b"short", 1)],
        [Entry("a", digest_of(b""), -1)],
        [Entry("a", digest_of(b""), 1, False, b"short")],
    ],
    ids=["out of order", "twice", "file and folder", "digest", "size", "parts"],
)
def test_what_no_release_writes_is_refused(entries):
    root, read = forged(entries)

    with pytest.raises(DigestMismatch, match="no manifest of a tree"):
        manifests.read_entries(root, read)


def test_a_root_that_tells_otherwise_is_refused():
    root, read = forged(
        [entry("a")], leaves=[LeafRef("a", digest_of(msgspec.msgpack.encode([entry("a")])), 2)]
    )

    with pytest.raises(DigestMismatch, match="its root says otherwise"):
        manifests.read_entries(root, read)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, msgspec.msgpack.encode({"files": "x"})])
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(DigestMismatch, match="no manifest of a tree"):
        manifests.read_root(digest_of(data), lambda _: data)
