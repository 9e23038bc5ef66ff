"""Team: who may use the workspace and as what, and the tokens that they show; for admins."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.app.ui.page import Page, Seen
from treadle.app.ui.parts import action, ago, day, empty, mark
from treadle.core.clock import SystemClock
from treadle.core.people import ROLES, Member, Pass
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import note, section, table

#: How long tokens may last that are made here; any other span is for the command line.
_SPANS = (("90d", "90 days"), ("7d", "7 days"), ("365d", "a year"), ("", "for ever"))
_MAY = {
    "viewer": "look at everything",
    "annotator": "also judge rows and acknowledge alerts",
    "operator": "also change what answers",
    "admin": "also say who may, and remove for ever",
}


def make(seen: Seen) -> Markup:
    """Return members and tokens, each with what can be done about them."""
    members = seen.workspace.team.members()
    return joined([_members(seen, members), _tokens(seen, members)])


def _members(seen: Seen, members: Sequence[Member]) -> Markup:
    roles = [(role, f"{role}: may {_MAY[role]}") for role in ROLES]
    add = _form(
        seen,
        "team.add",
        "Add or change a user",
        [_text("name", "Name, as ann@example.org"), _choice("role", "Role", roles), _why()],
    )
    if not members:
        said = "Nobody is asked who they are: this server is for this machine only."
        command = "treadle users add ann@example.org --role admin"
        then = (
            "The first user must be made there. From then on everybody signs in with a token, on this machine too: "
            "make one with `treadle tokens create laptop --user ann@example.org`."
        )
        return section("members", "Users", empty(said, command=command, then=then))
    rows = [
        [
            element("bdi", words.shown(one.name)),
            mark(one.role),
            ago(one.since, SystemClock().now()),
            action(
                seen,
                "team.remove",
                {"name": one.name},
                label="Remove",
                about=f"{words.shown(one.name)} loses every token, and is signed out at once.",
                kind="alert",
            ),
        ]
        for one in members
    ]
    listed = table(["user", "role", "since", "what to do"], rows, label="Users", class_="reasons", wide=True)
    return section("members", "Users", listed, add)


def _tokens(seen: Seen, members: Sequence[Member]) -> Markup:
    if not members:
        return Markup("")
    create = _form(
        seen,
        "team.create_token",
        "Create a token",
        [
            _text("name", "Name, as laptop"),
            _choice("user", "Whose", [(one.name, one.name) for one in members], chosen=seen.user.name),
            _choice("ends", "Lasts", _SPANS),
            _why(),
        ],
        about="It is shown once, and only its digest is kept. It allows what its user may.",
    )
    found = seen.workspace.team.tokens()
    if not found:
        return section("tokens", "Tokens", note("Nobody has a token yet."), create)
    rows = [_token(seen, one) for one in found]
    heads = ["token", "of", "allows", "made", "ends", "what to do"]
    return section(
        "tokens", "Tokens", table(heads, rows, label="Tokens", class_="reasons", wide=True), create
    )


def _token(seen: Seen, one: Pass) -> list[Markup]:
    now = SystemClock().now()  # tokens end by the world's clock, whatever moment the project lives in
    ended = one.expires_at is not None and one.expires_at <= now
    allows = element("span", words.shown(", ".join(one.scopes) or "all"))
    given = {"name": one.name, "user": one.user}
    return [
        element("bdi", words.shown(one.name)),
        element("bdi", words.shown(one.user)),
        allows,
        ago(one.created_at, now),
        mark("ended", "warning") if ended else (day(one.expires_at) if one.expires_at else Markup("never")),
        action(seen, "team.revoke_token", given, label="Revoke", kind="alert"),
    ]


def _form(seen: Seen, operation: str, label: str, fields: Sequence[Markup], *, about: str = "") -> Markup:
    """Return a folded form with fields of its own."""
    form = element(
        "form",
        element("input", type="hidden", name="csrf", value=seen.csrf),
        element("input", type="hidden", name="back", value=seen.address),
        element("p", about) if about else None,
        *fields,
        element("button", label, type="submit"),
        method="post",
        action=f"/do/{operation}",
        class_="do",
    )
    return element("details", element("summary", label), form, class_="action")


def _text(name: str, label: str) -> Markup:
    field = element("input", name=name, required=True, maxlength=200, autocomplete="off")
    return element("label", element("span", label), field)


def _why() -> Markup:
    field = element("input", name="reason", required=True, minlength=3, maxlength=200, autocomplete="off")
    return element("label", element("span", "Why"), field)


def _choice(name: str, label: str, choices: Sequence[tuple[str, str]], *, chosen: str = "") -> Markup:
    told = [
        element("option", words.shown(shown), value=value, selected=bool(chosen) and value == chosen)
        for value, shown in choices
    ]
    return element("label", element("span", label), element("select", *told, name=name))


PAGE = Page(path="/team", title="Team", nav="Team", order=110, key="u", role="admin", make=make)
