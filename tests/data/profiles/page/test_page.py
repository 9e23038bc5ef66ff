from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from treadle.data.profiles.page.page import page
from treadle.data.profiles.profile import Earlier, profile
from treadle.data.profiles.records import Profile
from treadle.data.profiles.subject import Subject
from treadle.data.profiles.tally import Rows

AT = datetime(2013, 1, 1, tzinfo=UTC)
ROWS = 1_200
VOID = {"meta", "input", "br", "hr", "link"}


class Seen(HTMLParser):
    """What a reader of the page finds: its elements in order, with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, attribute: str) -> Iterator[str]:
        return (found[attribute] or "" for _, found in self.elements if attribute in found)

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(sorted(attributes))) for tag, attributes in self.elements]


def frame(names: list[str], values: list[str]) -> pl.DataFrame:
    """Rows of every type, whose columns and texts are named by the caller."""
    random = np.random.default_rng(6)
    number, word, moment, flag, outcome, prose = names
    word_values = random.choice(values, ROWS)
    return pl.DataFrame(
        {
            "id": range(ROWS),
            number: [None if n % 7 == 0 else float(x) for n, x in enumerate(random.normal(size=ROWS))],
            word: word_values,
            moment: [AT + timedelta(hours=n) for n in range(ROWS)],
            flag: random.random(ROWS) < 0.5,
            outcome: random.choice(values[:2], ROWS),
            prose: [f"{value} {n} " * 9 for n, value in enumerate(word_values)],
            "_version": [1 + (n >= ROWS // 2) for n in range(ROWS)],
            "_split": random.choice(["train", "test"], ROWS),
        }
    )


def described(names: list[str], values: list[str]) -> Profile:
    rows = frame(names, values)
    roles = {"key": ("id",), "time": names[2], "outcomes": (names[4],)}
    before = Earlier(
        Rows.of(rows.filter(pl.col("_version") == 1)),
        Subject(dataset="sales", version=1, created_at=AT, **roles),
    )
    return profile(rows, Subject(dataset="sales", version=2, created_at=AT, **roles), against=before)


PLAIN = ["number", "word", "moment", "flag", "outcome", "prose"]
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)",
    "</style><svg/onload=alert(4)>",
    "javascript:alert(5)",
    "{{7*7}} &lt;b&gt; \u202ereversed\u0000",
]


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen(page(described(PLAIN, ["a", "b", "c"])))


def test_the_page_has_all_its_sections(seen: Seen):
    ids = list(seen.values("id"))

    assert [one for one in ids if one in seen_sections(seen)] == [
        "first",
        "leakage",
        "changes",
        "time",
        "overview",
        "associations",
        "columns",
        "about",
    ]
    assert {f"column-{name}" for name in ["id", *PLAIN]} <= set(ids)
    assert len(ids) == len(set(ids))
    assert seen.open == []


def seen_sections(seen: Seen) -> set[str]:
    return {attributes["id"] or "" for tag, attributes in seen.elements if tag == "section"}


def test_every_link_leads_somewhere_on_the_page(seen: Seen):
    assert {link.removeprefix("#") for link in seen.values("href")} <= set(seen.values("id"))


def test_the_page_needs_nothing_else_and_runs_nothing(seen: Seen):
    tags = {tag for tag, _ in seen.elements}
    names = {name for _, attributes in seen.elements for name in attributes}

    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "base", "use"})
    assert names.isdisjoint({"src", "srcset", "action", "formaction", "data", "xlink:href"})
    assert not [name for name in names if name.startswith("on")]
    assert not re.search(r"https?:|url\(|@import", page(described(PLAIN, ["a", "b", "c"])))
    policies = [found["content"] for tag, found in seen.elements if found.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]


def test_hostile_names_and_values_are_text(seen: Seen):
    hostile = Seen(page(described(ATTACKS, [*ATTACKS[:3]])))

    written = " ".join(hostile.words)
    assert set(hostile.shape) <= set(seen.shape)
    assert all(attack in written for attack in ATTACKS[:5])
    assert not {"\u202e", "\x00"} & set(written)
    assert all(link.startswith("#") for link in hostile.values("href"))
    assert all(re.fullmatch(r"[-.\w:%; ]*", style) for style in hostile.values("style"))


def test_every_picture_is_told_in_words_and_every_table_has_headings(seen: Seen):
    for tag, attributes in seen.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in {"col", "row"}
        if attributes.get("role") == "region":
            assert attributes["aria-label"]
            assert attributes["tabindex"] == "0"


def test_headings_go_down_one_level_at_a_time(seen: Seen):
    levels = [int(tag[1]) for tag, _ in seen.elements if re.fullmatch("h[1-6]", tag)]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_a_profile_of_next_to_nothing_is_a_page_too():
    for rows in (
        pl.DataFrame(schema={"x": pl.Int64}),
        pl.DataFrame({"x": [None]}),
        pl.DataFrame({"x": [[1]], "y": [1.5]}),
        pl.DataFrame({"at": [AT]}),
    ):
        found = Seen(page(profile(rows, Subject(dataset="d", time="at" if "at" in rows.columns else None))))

        assert found.open == []


def test_the_numbers_on_the_page_are_those_of_the_profile():
    found = described(PLAIN, ["a", "b", "c"])

    written = " ".join(Seen(page(found)).words)

    missing = found.column("number").missing_rows
    assert f"14.3 % ({missing})" in written
    assert "What changed since version 1" in written
    assert "Version 2 has 1,200 rows, version 1 600; 600 came after version 1" in written


def test_a_page_is_the_same_every_time():
    assert page(described(PLAIN, ["a", "b"])) == page(described(PLAIN, ["a", "b"]))
