"""A model version: why it was made and released or not, what the gates said, its card, and what can be done with it."""

from __future__ import annotations

from treadle.app.card.inputs import goes_by
from treadle.app.card.making import data, lineage, making, package, signature
from treadle.app.card.measured import judgement, scored, sliced
from treadle.app.card.plotted import plotted
from treadle.app.card.record import Card
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import acted, action, ago, day, mark
from treadle.core.errors import NotFound
from treadle.core.records import Alias, ModelVersion, Run
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, note, section

_CARD = {
    "scores": ("How good it is", scored),
    "plots": ("In pictures", plotted),
    "slices": ("Slice by slice", sliced),
    "inputs": ("What it goes by", goes_by),
    "data": ("Data", data),
    "signature": ("What it takes", signature),
    "making": ("How it was made", making),
    "lineage": ("Where it comes from", lineage),
    "package": ("The package", package),
}


def make(seen: Seen) -> Markup:
    """Return all of one version.

    Raises:
        NotFound: there is no such version.
    """
    workspace = seen.workspace
    version = workspace.models.get(f"{seen.path['model']}/{seen.path['version']}")
    aliases = workspace.models.aliases(version.model)
    moves = workspace.models.history(version.model, "champion")
    try:
        run = workspace.runs.get(version.run)
    except NotFound:
        run = None
    parts = [
        _tiles(seen, version, run, aliases),
        _actions(seen, version, aliases),
        _story(seen, version, run, moves),
        _verdicts(seen, version),
        *_card(seen, version),
    ]
    return joined(parts)


def _tiles(seen: Seen, version: ModelVersion, run: Run | None, aliases: dict[str, int]) -> Markup:
    state = [mark(name, "good") for name, number in aliases.items() if number == version.version]
    if run is not None and run.status == "rejected":
        state.append(mark("turned down", "alert"))
    tiles: list[tuple[str, str]] = [
        ("is now", joined(state) if state else "no alias points at it"),
        ("made", ago(version.created_at, seen.now)),
        ("learnt from rows until", day(version.window.end)),
        ("format", version.format),
        ("bytes", words.count(version.size)),
    ]
    return facts(tiles, class_="tiles small")


def _actions(seen: Seen, version: ModelVersion, aliases: dict[str, int]) -> Markup:
    name, given = f"{version.model}/{version.version}", {"version": f"{version.model}/{version.version}"}
    champion = aliases.get("champion")
    parts = []
    waits = any(
        one.version == version.version
        for one in seen.workspace.approvals.list(version.model, state="waiting")
    )
    if waits:
        parts += [
            action(seen, "approve", given, label="Approve"),
            action(seen, "reject", given, label="Reject", kind="alert"),
        ]
    elif champion != version.version:
        back = champion is not None and version.version < champion
        label = f"Roll back to version {version.version}" if back else "Promote"
        about = f"{name} becomes the champion, and the endpoint {version.model} answers with it."
        if version.collected_at is None:
            parts.append(
                action(seen, "promote", given, label=label, about=about, kind="alert" if back else "")
            )
    if champion is not None and champion != version.version:
        pair = f"/compare?version={version.model}/{champion}&version={name}"
        parts.append(element("a", f"Compare with version {champion}, the champion", href=pair))
    elif version.version > 1:
        pair = f"/compare?version={version.model}/{version.version - 1}&version={name}"
        parts.append(element("a", f"Compare with version {version.version - 1}", href=pair))
    return element("div", *parts, class_="actions")


def _story(seen: Seen, version: ModelVersion, run: Run | None, moves: list[Alias]) -> Markup:
    """Return what happened to it, in the order in which it did: made, became champion, was replaced."""
    items = []
    if run is not None:
        link = element("a", run.id, href=address("runs", run.id))
        due = element(
            "a", "was it due?", href=address("models", version.model, "why", at=run.started_at.isoformat())
        )
        items.append(
            element(
                "li",
                element("b", "It was trained because: "),
                run.reason,
                note(
                    ago(run.started_at, seen.now),
                    f", {run.started_at:%Y-%m-%d %H:%M} UTC, in ",
                    link,
                    "; ",
                    due,
                ),
            )
        )
    for move in moves:
        if move.version == version.version:
            said = (
                f"It became the champion in place of version {move.previous}: "
                if move.previous
                else "It became the first champion: "
            )
        elif move.previous == version.version:
            said = f"Version {move.version} took its place: "
        else:
            continue
        when = note(ago(move.at, seen.now), f", {move.at:%Y-%m-%d %H:%M} UTC, by ", acted(move.actor))
        link_to = None
        if move.previous == version.version:
            href = address("models", version.model, str(move.version))
            link_to = element("a", f"why version {move.version} was better", href=f"{href}#verdicts")
        items.append(element("li", element("b", said), words.shown(move.reason, longest=600), when, link_to))
    if not any(version.version == move.version for move in moves):
        items.append(element("li", "It never became the champion."))
    return section("story", "What happened to it", element("ol", *items, class_="moves"))


def _verdicts(seen: Seen, version: ModelVersion) -> Markup:
    found = seen.workspace.verdicts.list(run=version.run)
    if not found:
        return section("verdicts", "What the gates said", element("p", "No gate judged this version."))
    listed = element("div", *(judgement(verdict) for verdict in found), class_="verdicts")
    return section("verdicts", "What the gates said", listed)


def _card(seen: Seen, version: ModelVersion) -> list[Markup]:
    """Return the model card's parts; it takes some seconds to make, so it comes by itself when it is there."""
    name = f"{version.model}/{version.version}"
    card: Card | None = seen.kept.get(("card", name), lambda: seen.workspace.card(name))
    if card is None:
        return [
            section(
                "card",
                "Model card",
                element(
                    "p",
                    "Its scores, slices and plots are being taken from the rows; they appear here by themselves.",
                ),
            )
        ]
    limits = element("ul", *(element("li", text) for text in card.limits), class_="findings")
    made = [(key, heading, draw(card)) for key, (heading, draw) in _CARD.items()]
    return [
        section("limits", "Known limits", limits, *(note(text) for text in card.missing)),
        *(section(key, heading, *inside) for key, heading, inside in made if inside),
    ]


PAGE = Page(
    path="/models/{model}/{version}",
    title="{model}, version {version}",
    kicker="Model version",
    under="/",
    order=3,
    make=make,
)
