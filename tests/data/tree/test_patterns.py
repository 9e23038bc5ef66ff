"""Patterns choose by name or by path."""

from __future__ import annotations

import pytest

from pace import within
from treadle.core.clock import monotonic
from treadle.core.errors import InvalidDeclaration
from treadle.data.tree.patterns import Patterns
from treadle.data.trees import Tree


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.jpg", ["a.jpg", "x/y/a.jpg"], ["a.png", "a.jpg/b"]),
        ("cache", ["cache", "x/cache"], ["cached"]),
        ("raw/*.jpg", ["raw/a.jpg"], ["raw/x/a.jpg", "a.jpg", "x/raw/a.jpg"]),
        ("raw/**", ["raw/a", "raw/x/a"], ["a"]),
        ("**/raw/*", ["raw/a", "x/y/raw/a"], ["raw/x/a"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], ["a/c", "a/x/c"]),
        ("x/[ab]?.txt", ["x/a1.txt"], ["x/c1.txt"]),
    ],
)
def test_a_pattern_matches(pattern, matching, other):
    patterns = Patterns([pattern])

    assert [path for path in matching if not patterns.match(path)] == []
    assert [path for path in other if patterns.match(path)] == []


@pytest.mark.parametrize("pattern", ["", "/etc", "../x", "a//b", "a/./b"])
def test_a_pattern_that_leaves_the_folder_is_refused(pattern):
    with pytest.raises(InvalidDeclaration, match="is no pattern"):
        Patterns([pattern])


def test_a12_no_pattern_takes_long():
    patterns = Patterns(["**/a*" * 200 + "/b", "*a" * 100 + "b"])
    began = monotonic()

    assert not patterns.match("a" * 255)
    assert not patterns.match("/".join(["a" * 10] * 400))

    assert monotonic() - began < within(2)


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("name", {"name": "a b"}),
        ("name", {"name": "../x"}),
        ("source", {"source": ""}),
        ("include", {"include": "*.jpg"}),
        ("exclude", {"exclude": ["../x"]}),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(field, given):
    with pytest.raises(InvalidDeclaration) as error:
        Tree(**{"name": "photos", "source": "photos"} | given)

    assert error.value.field == field
