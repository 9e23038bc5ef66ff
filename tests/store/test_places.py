"""Where a store's URL leads."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.core.errors import NotFound, SettingsError
from treadle.store.objects.objects import Objects
from treadle.store.places import Place, place_of

_ROOT = Path("/project")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (".treadle/objects", Place(kind="folder", path=Path("/project/.treadle/objects"))),
        ("/mnt/data", Place(kind="folder", path=Path("/mnt/data"))),
        ("file:///mnt/a%20b", Place(kind="folder", path=Path("/mnt/a b"))),
        ("s3://team", Place(kind="s3", path=_ROOT, bucket="team")),
        ("s3://team/a/b/", Place(kind="s3", path=_ROOT, bucket="team", prefix="a/b")),
    ],
)
def test_a_url_leads_to_a_place(url: str, place: Place) -> None:
    assert place_of(url, root=_ROOT) == place


@pytest.mark.parametrize("url", ["", "s3://", "s3:///x"])
def test_a_url_without_a_place_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        place_of(url, root=_ROOT)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(NotFound, match="folder, s3"):
        Objects.open("gopher://x/y", root=_ROOT, options={})
