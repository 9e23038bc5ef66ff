import pytest

from treadle.core.errors import InvalidInput
from treadle.registry.references import Reference, check_name, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("delay", Reference(model="delay", alias="champion")),
        ("delay@challenger", Reference(model="delay", alias="challenger")),
        ("delay/3", Reference(model="delay", version=3)),
        ("models:/delay/12", Reference(model="delay", version=12)),
        ("models:/a-b.c_d@champion", Reference(model="a-b.c_d", alias="champion")),
    ],
)
def test_a_reference_is_read(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/3",
        "delay/",
        "delay/0",
        "delay/x",
        "delay@",
        "delay/3@x",
        "../delay",
        "de lay",
        "delay\n",
        "models:/",
    ],
)
def test_what_is_no_reference_is_refused_with_an_example(text):
    with pytest.raises(InvalidInput, match="'delay/3', 'delay@champion'"):
        parse(text)


@pytest.mark.parametrize("name", ["", "a/b", "a@b", ".a", "a.", "x" * 101, "ä"])
def test_a_name_must_fit_into_references(name):
    with pytest.raises(InvalidInput, match="not a model's name"):
        check_name(name, noun="model")
