"""Why a model was due or not at a moment, and who answered then."""

from __future__ import annotations

from datetime import UTC, datetime

from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import ago, filters
from treadle.core.errors import InvalidInput
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import section


def make(seen: Seen) -> Markup:
    """Return the decision that stood at a moment, with the numbers of then.

    Raises:
        NotFound: there is no such model.
        InvalidInput: `at` is no moment.
    """
    name, at = seen.path["model"], _moment(seen.query.get("at", ""))
    found = seen.workspace.why(name, at=at)
    said = found.then or found.decision
    parts = [
        filters(seen, [("at", "Moment (UTC)", ())]),
        element("p", f"At {found.at:%Y-%m-%d %H:%M} UTC it was {found.text}", class_="lead"),
        element("ul", *(element("li", detail) for detail in (said.details if said else ()))),
    ]
    if found.decision is not None and found.until is not None:
        parts.append(element("p", "So it stood until ", ago(found.until, seen.now), "."))
    if found.run is not None:
        run = element("a", found.run.id, href=address("runs", found.run.id))
        parts.append(element("p", "The last run then: ", run, f", {found.run.status}: {found.run.reason}"))
    if found.champion is not None:
        move = found.champion
        version = element("a", f"version {move.version}", href=address("models", name, str(move.version)))
        told = element("p", "The champion then: ", version, f", by {move.actor}: {move.reason}")
        parts.append(told)
    back = element("p", element("a", f"All of {name}", href=address("models", name)))
    return joined([section("why", "Why", *parts), back])


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no moment. Expected one as 2025-03-01T12:00."
        raise InvalidInput(msg, field="at") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


PAGE = Page(
    path="/models/{model}/why", title="{model}: due or not", kicker="Policy", under="/", order=2, make=make
)
