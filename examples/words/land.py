"""Lands words of four languages, ten thousand rows at a time, the most frequent ones first.

They come from the installed package `pyspellchecker`, which is read as data and never imported.

    python examples/words/land.py landing
"""

from __future__ import annotations

import argparse
import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import polars as pl

LANGUAGES = {"de": "german", "en": "english", "es": "spanish", "fr": "french"}
WORDS, AT_ONCE = 5_000, 10_000


def land(folder: Path) -> None:
    """Write the words that belong to one of the languages only."""
    words = pl.concat(_words(code, name) for code, name in LANGUAGES.items())
    single = words.filter(pl.len().over("word") == 1).sort("rank", "language").drop("rank")
    folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(single.iter_slices(AT_ONCE)):
        rows.write_csv(folder / f"words-{number:02}.csv")


def _words(code: str, name: str) -> pl.DataFrame:
    found = find_spec("spellchecker")
    assert found is not None
    assert found.origin is not None
    packed = Path(found.origin).parent / "resources" / f"{code}.json.gz"
    counts = json.loads(gzip.decompress(packed.read_bytes()))
    frame = pl.DataFrame({"word": list(counts), "count": list(counts.values())})
    letters = frame.filter(pl.col("word").str.contains(r"^\p{L}{4,}$"))
    top = letters.sort("count", "word", descending=[True, False]).head(WORDS)
    return top.select("word", pl.lit(name).alias("language")).with_row_index("rank")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    land(parser.parse_args().folder)
