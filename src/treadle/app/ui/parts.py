"""Parts that pages share: moments, marks, empty states, forms with a reason, lists in pages, charts in their frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from treadle.app.ui.charts.chart import Chart, Exportable, numbers
from treadle.app.ui.page import Seen, address
from treadle.app.wire.table import OPERATIONS
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element

_UNITS = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0))


def span(length: timedelta) -> str:
    """Write a length of time with one unit.

    >>> span(timedelta(hours=50)), span(timedelta(seconds=90)), span(timedelta(seconds=4))
    ('2.1 d', '1.5 min', '4 s')
    """
    seconds = abs(length.total_seconds())
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{words.number(round(seconds / size, 1 if seconds < 10 * size else 0))} {unit}"
    return f"{seconds:.0f} s"


def ago(at: datetime | None, now: datetime, *, missing: str = "never") -> Markup:
    """Return a moment as how long ago it was, or how far it lies ahead; its title is the moment itself in UTC."""
    if at is None:
        return element("span", missing, class_="fine")
    far = span(now - at)
    told = f"{far} ago" if at <= now else f"in {far}"
    if abs(now - at) < timedelta(seconds=2):
        told = "now"
    return element("time", told, datetime=at.isoformat(), title=f"{at:%Y-%m-%d %H:%M:%S} UTC")


def day(at: datetime | None) -> Markup:
    """Return a moment as its day; its title is the moment itself in UTC."""
    if at is None:
        return element("span", "–")
    return element("time", f"{at:%Y-%m-%d}", datetime=at.isoformat(), title=f"{at:%Y-%m-%d %H:%M:%S} UTC")


def acted(actor: str) -> Markup:
    """Return who did something: a run leads to its page, a person is named."""
    if actor.startswith("run_"):
        return element("a", "the loop", href=address("runs", actor), title=actor)
    return element("bdi", words.shown(actor))


def mark(text: str, kind: str = "") -> Markup:
    """Return a small label; `kind` is `good`, `warning`, `alert` or nothing."""
    return element("span", text, class_=f"mark {kind}".strip())


def empty(said: str, *, command: str = "", then: str = "") -> Markup:
    """Return what stands where nothing is yet: what is missing, and what to type next."""
    return element(
        "div",
        element("p", said),
        # A long command scrolls, by keyboard too.
        element("pre", element("code", f"$ {command}"), class_="scroll", tabindex="0") if command else None,
        element("p", then, class_="fine") if then else None,
        class_="empty",
    )


def meter(share: float, *, label: str, kind: str = "") -> Markup:
    """Return a bar that is filled to a share."""
    filled = max(min(share, 1.0), 0.0)
    inside = element("rect", x=0, y=0, width=round(100 * filled, 1), height=10, class_=kind or None)
    return element(
        "svg",
        inside,
        viewBox="0 0 100 10",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
        class_="gauge",
    )


def action(
    seen: Seen,
    operation: str,
    given: Mapping[str, str],
    *,
    label: str,
    reason: str = "reason",
    about: str = "",
    kind: str = "",
    back: str = "",
) -> Markup:
    """Return a form that asks for an operation, with a reason; who may not do it reads why instead.

    It is folded, so that nothing happens at one press. `reason` names the field of the reason; empty: none is asked for.
    """
    needs = OPERATIONS[operation].role
    if not seen.user.may(needs, operation):
        told = f"{label}: this needs the role {needs}; yours is {seen.user.role}."
        return element("p", told, class_="fine refused")
    hidden = {"csrf": seen.csrf, "back": back or seen.address, **given}
    address_ = "-".join(["do", operation, *given.values()])
    box = None
    if reason:
        box = element(
            "label",
            element("span", "Why"),
            element(
                "input",
                name=reason,
                required=True,
                minlength=3,
                maxlength=500,
                autocomplete="off",
                id=address_,
            ),
        )
    form = element(
        "form",
        *(element("input", type="hidden", name=name, value=value) for name, value in hidden.items()),
        element("p", about) if about else None,
        box,
        element("button", label, type="submit", class_=kind or None),
        method="post",
        action=f"/do/{operation}",
        class_="do",
    )
    return element("details", element("summary", label), form, class_=f"action {kind}".strip())


def filters(seen: Seen, fields: Sequence[tuple[str, str, Sequence[str]]]) -> Markup:
    """Return a form that narrows a list down: name, label, and the choices (none: any text); it changes the address."""
    parts = [_filter(seen, name, label, choices) for name, label, choices in fields]
    clear = element("a", "Show all", href=seen.address.partition("?")[0]) if seen.query else None
    path = seen.address.partition("?")[0]
    return element(
        "form",
        *parts,
        element("button", "Show"),
        clear,
        method="get",
        action=path,
        class_="filters",
        role="search",
    )


def _filter(seen: Seen, name: str, label: str, choices: Sequence[str]) -> Markup:
    now = seen.query.get(name, "")
    if not choices:
        field = element("input", name=name, value=now, autocomplete="off")
    else:
        told = [element("option", "any", value="", selected=not now)]
        told += [element("option", one, value=one, selected=one == now) for one in choices]
        field = element("select", *told, name=name)
    return element("label", element("span", label), field)


def pager(*, shown: str, newer: str | None, older: str | None) -> Markup:
    """Return the way to the rows before and after; `newer` and `older` are addresses, None where there are none."""

    def way(text: str, where: str | None, rel: str) -> Markup:
        return (
            element("a", text, href=where, rel=rel) if where else element("span", text, aria_disabled="true")
        )

    return element(
        "nav",
        way("← newer", newer, "prev"),
        element("span", shown, class_="fine"),
        way("older →", older, "next"),
        class_="pager",
        aria_label="More rows",
    )


def figure(seen: Seen, chart: Chart) -> Markup:
    """Return a chart in its frame: title, drawing, the numbers as a table, and files to take away."""
    seen.exports[chart.name] = chart
    return element(
        "figure",
        element("figcaption", chart.title),
        chart.drawn(),
        element(
            "div",
            numbers(chart),
            element("p", *_files(seen, chart.name, ("svg", "png", "csv"), chart.title), class_="files"),
            class_="under",
        ),
        id=chart.name,
        class_="chart",
    )


def as_csv(seen: Seen, found: Exportable, *, title: str) -> Markup:
    """Return a link that takes a table away as CSV."""
    seen.exports[found.name] = found
    return element("p", *_files(seen, found.name, ("csv",), title), class_="files")


def _files(seen: Seen, name: str, kinds: Sequence[str], title: str) -> list[Markup]:
    return [
        element(
            "a",
            kind.upper(),
            # The browser draws the PNG from the SVG: without scripts there is none.
            href=seen.link(export=f"{name}.{'svg' if kind == 'png' else kind}"),
            download=f"{name}.{kind}",
            hidden=kind == "png",
            data_png="" if kind == "png" else None,
            aria_label=f"{title} as {kind.upper()}",
        )
        for kind in kinds
    ]
