from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from treadle.core.errors import InvalidInput, TooLarge
from treadle.serving import body

TEXT = b"x,y\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(1000))


def read(data, encoding="gzip", limit=100_000):
    class Incoming:
        async def __call__(self):
            return data

        async def __aiter__(self):
            yield data

    headers = {"content-length": str(len(data)), "content-encoding": encoding}
    return asyncio.run(body.read(Incoming(), headers, limit=limit))


def test_compressed_bodies_are_unpacked():
    assert read(gzip.compress(TEXT)) == TEXT
    assert read(zlib.compress(TEXT), "deflate") == TEXT
    assert read(gzip.compress(TEXT), limit=len(TEXT)) == TEXT
    with pytest.raises(TooLarge):
        read(gzip.compress(TEXT), limit=len(TEXT) - 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(TEXT)[:-2000], "in the middle"),
        (gzip.compress(TEXT)[:-4], "in the middle"),
        (gzip.compress(TEXT) + gzip.compress(b"7,7\n"), "more behind"),
    ],
    ids=["cut", "without-its-sum", "two"],
)
def test_a_compressed_body_that_is_not_whole_is_refused(data, why):
    with pytest.raises(InvalidInput, match=why):
        read(data)
