"""The frame round each page: head, navigation, who looks, notice, and the page's own content."""

from __future__ import annotations

from treadle.app.ui import assets
from treadle.app.ui.page import Page, Seen, pages
from treadle.app.ui.unstyled import unstyled
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined


def framed(page: Page, seen: Seen, content: Markup) -> str:
    """Return a whole HTML document round a page's content."""
    title = page.title.format_map({name: words.shown(value) for name, value in seen.path.items()})
    main = element(
        "main",
        element(
            "header",
            element("p", page.kicker, class_="kicker") if page.kicker else None,
            element("h1", title),
            class_="top",
        ),
        _notice(seen),
        unstyled(content),
        id="main",
        tabindex="-1",
    )
    return document(seen, main, title=title, under=page.under or page.path)


def failed(seen: Seen, *, title: str, said: str) -> str:
    """Return a whole document that says why there is no such page."""
    main = element(
        "main",
        element("header", element("h1", title), class_="top"),
        _notice(seen),
        element("p", said, class_="lead"),
        element("p", element("a", "To the overview", href="/")),
        id="main",
        tabindex="-1",
    )
    return document(seen, main, title=title, under="")


def document(seen: Seen, main: Markup, *, title: str, under: str) -> str:
    """Return the document that holds a main part."""
    project = seen.workspace.settings.project.name
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} – {project}"),
        element("link", rel="icon", href=assets.url("treadle.svg"), type="image/svg+xml"),
        element("link", rel="stylesheet", href=assets.url("dashboard.css")),
        # Before anything is drawn, so that a chosen theme never flashes; it does the rest when the page is there.
        element("script", src=assets.url("dashboard.js")),
        element("script", src=assets.url("idiomorph.min.js"), defer=True),
    )
    body = element(
        "body",
        element("a", "To the content", href="#main", class_="skip"),
        element("div", _side(seen, project, under), main, class_="frame"),
        _keys(),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en", data_live="/live") + "\n"


def _side(seen: Seen, project: str, under: str) -> Markup:
    links = [
        element(
            "li",
            element(
                "a",
                one.nav,
                href=one.path,
                aria_current="page" if one.path == under else None,
                data_key=one.key or None,
            ),
        )
        for one in pages()
        if one.nav and seen.user.may(one.role)
    ]
    inside = [
        element("ul", *links),
        element(
            "div",
            element("p", element("bdi", seen.user.name), " ", element("small", seen.user.role), class_="who"),
            _way_out(seen),
            element("p", "Live", class_="live", data_state="off", hidden=True),
            element("button", "Theme", type="button", class_="theme", hidden=True),
            class_="foot",
        ),
    ]
    return element(
        "div",
        element("a", _logo(), element("span", words.shown(project)), href="/", class_="brand"),
        element("nav", joined(inside), class_="wide", aria_label="Pages"),
        element("details", element("summary", "Menu"), element("nav", joined(inside), aria_label="Pages")),
        class_="side",
    )


def _way_out(seen: Seen) -> Markup | None:
    """Return the form that signs a browser out; whoever did not sign in has none."""
    if seen.user.by != "session":
        return None
    token = element("input", type="hidden", name="csrf", value=seen.csrf)
    return element(
        "form", token, element("button", "Sign out", class_="theme"), method="post", action="/sign-out"
    )


def _logo() -> Markup:
    wheel = element("circle", cx=12, cy=10, r=7, class_="wheel")
    lever = element("path", d="M3 21L21 17M12 10L14 18.5", class_="lever")
    return element("svg", wheel, lever, viewBox="0 0 24 24", class_="logo", aria_hidden="true")


def _notice(seen: Seen) -> Markup | None:
    if not seen.notice:
        return None
    kind = "good" if seen.went_well else "alert"
    role = "status" if seen.went_well else "alert"
    return element("p", seen.notice, class_=f"notice {kind}", role=role)


def _keys() -> Markup:
    """Return the help on keys, which `?` opens."""
    told = [("?", "these keys"), ("/", "to the first field or filter"), ("t", "light or dark")]
    told += [("j k", "next, previous row"), ("Enter", "open the row"), ("Esc", "close")]
    told += [(f"g {page.key}", page.nav) for page in pages() if page.key and page.nav]
    pairs = [element("div", element("dt", element("kbd", key)), element("dd", what)) for key, what in told]
    close = element("form", element("button", "Close"), method="dialog")
    return element(
        "dialog", element("h2", "Keys"), element("dl", *pairs), close, id="keys", aria_label="Keys"
    )
