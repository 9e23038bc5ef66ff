"""Markup: elements whose text is escaped unless it is markup already, so that no value of the data can become a tag."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_VOID = {"meta", "link", "br", "hr", "input", "col"}


class Markup(str):
    """Text that is HTML already; made by `element` and `joined`, never from the data."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: str | float | bool | None) -> Markup:
    """Return an element; attributes that are None or False are left out, and `class_` is written `class`.

    >>> element("b", "a < b", class_="x")
    '<b class="x">a &lt; b</b>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    inside = joined(child for child in children if child is not None)
    return Markup(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{inside}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Return parts one after the other, each escaped unless it is markup."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in parts))


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(text)}"'


class Anchors:
    """The address of each column on its page: readable, legal, and one for each.

    >>> anchors = Anchors(["dep delay", "dep/delay"])
    >>> anchors["dep delay"], anchors["dep/delay"]
    ('column-dep-delay', 'column-dep-delay-2')
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._found: dict[str, str] = {}
        used: set[str] = set()
        for name in names:
            plain = "column-" + (re.sub(r"[^\w.]+", "-", name).strip("-") or "unnamed")
            address, number = plain, 1
            while address in used:
                number += 1
                address = f"{plain}-{number}"
            used.add(address)
            self._found[name] = address

    def __getitem__(self, name: str) -> str:
        """Return the address of a column."""
        return self._found[name]

    def __contains__(self, name: str) -> bool:
        """Say whether the page has the column."""
        return name in self._found
