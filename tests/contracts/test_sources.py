"""Every source keeps the contract of sources, on every place that it can read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

import services
import source_places as places
from treadle.core import plugins
from treadle.testing import sources
from treadle.testing.sources import Offer

#: Plug-in → the places where it is tried.
PLACES = {
    "files": ("folder", "bucket"),
    "frame": ("memory",),
    "stream": ("rabbitmq", "nats"),
    "table": (
        "sqlite",
        "duckdb",
        "postgresql",
        "sqlite without a watermark",
        "postgresql without a watermark",
    ),
}


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory: pytest.TempPathFactory):
    with services.PrivateNats(tmp_path_factory.mktemp("nats")) as server:
        yield server.url


@pytest.fixture(scope="module")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory):
    with services.rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield url


@pytest.mark.parametrize("name", plugins.available("source"))
def test_every_source_is_tried(name: str) -> None:
    assert PLACES.get(name), f"Say in {__file__} where a source {name!r} can be tried"


@pytest.mark.parametrize("place", [place for found in PLACES.values() for place in found])
@pytest.mark.parametrize("check", sources.CHECKS, ids=lambda check: check.__name__)
def test_source(check: Callable[[Offer], None], place: str, request, tmp_path: Path) -> None:
    with build(place, request)(tmp_path) as offer:
        check(offer)


def build(place: str, request: pytest.FixtureRequest) -> Callable[[Path], AbstractContextManager[Offer]]:
    """Return what makes an offer on a place."""
    name, _, without = place.partition(" without ")
    options = {"watermark": None} if without else {}
    if name == "bucket":
        url, seaweed = request.getfixturevalue("s3"), request.getfixturevalue("seaweed")
        return partial(places.bucket, url=url, options=seaweed.options)
    if name in {"postgresql", "rabbitmq", "nats"}:
        options["server"] = request.getfixturevalue(f"{name}_server")
    return partial(getattr(places, name), **options)
