"""Styles in attributes become classes: a strict content security policy allows none, and parts of cards have some."""

from __future__ import annotations

import re

from treadle.data.profiles.page.markup import Markup

_TAG = re.compile(r'<[a-z][^<>]*? style="[^"]*"[^<>]*>')
_STYLE = re.compile(r' style="([^"]*)"')
_CLASS = re.compile(r' class="([^"]*)"')
#: What a declaration's class begins with.
_SHORT = {"width": "w", "left": "l", "--v": "v"}


def unstyled(content: Markup) -> Markup:
    """Return markup whose widths and places in per cent are classes, to whole per cents; see `rules`.

    >>> unstyled(Markup('<i class="dot" style="left:12.4%;width:0.5%"></i>'))
    '<i class="dot l-12 w-1"></i>'
    """
    if ' style="' not in content:
        return content
    return Markup(_TAG.sub(lambda found: _classed(found[0]), content))


def _classed(tag: str) -> str:
    style = _STYLE.search(tag)
    assert style is not None
    names = " ".join(_names(style[1]))
    bare = tag.replace(style[0], "", 1)
    known = _CLASS.search(bare)
    if known:
        return bare.replace(known[0], f' class="{known[1]} {names}"', 1)
    end = "/>" if bare.endswith("/>") else ">"
    return f'{bare[: -len(end)]} class="{names}"{end}'


def _names(style: str) -> list[str]:
    found = []
    for declared in filter(None, style.split(";")):
        name, _, value = declared.partition(":")
        if name.strip() in _SHORT and value.strip().endswith("%"):
            share = float(value.strip()[:-1])
            # What is there at all stays to be seen.
            found.append(f"{_SHORT[name.strip()]}-{max(round(share), 1 if share > 0 else 0)}")
    return found


def rules() -> str:
    """Return the rules of those classes, and of places on charts."""
    found = []
    for share in range(101):
        found.append(f".w-{share}{{width:{share}%}}.l-{share}{{left:{share}%}}.v-{share}{{--v:{share}%}}")
        found.append(f".acrosses .at-{share}{{left:{share}%}}.ups .at-{share}{{bottom:{share}%}}")
    return "\n".join(found)
