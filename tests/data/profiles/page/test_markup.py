from __future__ import annotations

from treadle.data.profiles.page.markup import Anchors, Markup, element, joined


def test_text_is_escaped_and_markup_is_not():
    inner = element("b", "<i>", title='"x" & <y>')

    assert element("p", "a > b", inner) == (
        '<p>a &gt; b<b title="&quot;x&quot; &amp; &lt;y&gt;">&lt;i&gt;</b></p>'
    )


def test_attributes_that_are_not_there_are_left_out():
    found = element("details", open=True, hidden=False, id=None, class_="x", aria_label="y", width=0.5)

    assert found == '<details open class="x" aria-label="y" width="0.5"></details>'


def test_some_elements_have_no_end():
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_a_text_joined_with_markup_is_no_markup_by_itself():
    found = joined(["<a>", element("br")])

    assert isinstance(found, Markup)
    assert found == "&lt;a&gt;<br>"
    # What Python makes of two parts is plain text again, and is escaped where it is used.
    assert not isinstance(found + "<b>", Markup)


def test_addresses_are_legal_and_unique():
    names = ["dep delay", "dep-delay", "<b>", "", "größe", "-dep delay-"]

    anchors = Anchors(names)

    assert [anchors[name] for name in names] == [
        "column-dep-delay",
        "column-dep-delay-2",
        "column-b",
        "column-unnamed",
        "column-größe",
        "column-dep-delay-3",
    ]
    assert "other" not in anchors
