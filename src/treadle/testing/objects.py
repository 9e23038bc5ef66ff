"""What every object back end must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from treadle.core.errors import InvalidInput, NotFound
from treadle.core.ids import digest_of_bytes
from treadle.store.objects.objects import Objects

_ABSENT = digest_of_bytes(b"nobody put this")


class ObjectsContract:
    """Give the fixture `objects` (empty)."""

    @pytest.mark.parametrize(
        "data", [b"", b"hello", bytes(range(256)) * 80_000], ids=["empty", "small", "20 MB"]
    )
    def test_what_is_put_is_got(self, objects: Objects, tmp_path: Path, data: bytes) -> None:
        """Bytes come back the same, in memory and in a file."""
        digest = objects.put(data)

        assert digest == digest_of_bytes(data)
        assert objects.get(digest) == data
        assert objects.fetch(digest, tmp_path / "new" / "file").read_bytes() == data

    def test_a_file_has_the_digest_of_its_bytes(self, objects: Objects, tmp_path: Path) -> None:
        """A file and the same bytes are one object."""
        path = tmp_path / "file"
        path.write_bytes(b"x" * 3_000_000)

        digest = objects.put_file(path)

        assert digest == objects.put(b"x" * 3_000_000)
        assert list(objects.list()) == [(digest, 3_000_000)]

    def test_an_object_that_is_not_there_is_named(self, objects: Objects, tmp_path: Path) -> None:
        """Reading what nobody put is `NotFound`, and leaves no file."""
        with pytest.raises(NotFound):
            objects.get(_ABSENT)
        with pytest.raises(NotFound):
            objects.fetch(_ABSENT, tmp_path / "file")

        assert not objects.exists(_ABSENT)
        assert not (tmp_path / "file").exists()

    def test_what_is_deleted_is_gone(self, objects: Objects) -> None:
        """Deleting twice is as good as once."""
        digest = objects.put(b"hello")

        objects.delete(digest)
        objects.delete(digest)

        assert not objects.exists(digest)
        assert list(objects.list()) == []

    def test_many_may_put_the_same_at_once(self, objects: Objects) -> None:
        """All get the same digest, and there is one object."""
        with ThreadPoolExecutor(8) as pool:
            digests = set(pool.map(lambda _: objects.put(b"same"), range(16)))

        assert len(digests) == 1
        assert [found for found, _ in objects.list()] == list(digests)

    @pytest.mark.parametrize(
        "bad", ["", "sha256:", "sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "G" * 64]
    )
    def test_what_is_no_digest_is_refused(self, objects: Objects, bad: str) -> None:
        """A path cannot be smuggled in as a digest."""
        with pytest.raises(InvalidInput):
            objects.get(bad)
