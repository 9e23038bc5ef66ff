"""Monitor: alerts that wait for somebody, promises with their budgets, and for each model whether its rows have drifted."""

from __future__ import annotations

import re
from typing import Any

from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import action, ago, empty, filters, mark, meter, pager
from treadle.core.alert import Alert, Silence
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import note, section, table
from treadle.loop.promises import Standing
from treadle.monitoring.drift import Drift

#: Alerts, and models, on one page.
MOST = 30
_SEVERITY = {"page": "alert", "ticket": "warning", "info": ""}
_STATES = {"kept": "good", "burning": "warning", "spent": "alert", "unknown": ""}
_SUBJECT = re.compile(r"(model|endpoint|dataset):([^/]+)")


def make(seen: Seen) -> Markup:
    """Return alerts, promises and the state of each model's rows."""
    return joined([_alerts(seen), _silences(seen), _promises(seen), _models(seen)])


def _alerts(seen: Seen) -> Markup:
    asked: dict[str, Any] = {name: seen.query.get(name) or None for name in ("rule", "subject")}
    state = seen.query.get("state") or "open"
    is_open = {"open": True, "ended": False, "all": None}.get(state, True)
    found = seen.workspace.alerts.page(
        **asked, is_open=is_open, after=seen.query.get("after", ""), limit=MOST
    )
    head = filters(
        seen,
        [("state", "State (else open)", ("ended", "all")), ("rule", "Rule", ()), ("subject", "About", ())],
    )
    if not found.rows:
        said = (
            "No alert is open: there is nothing that a person should know."
            if not seen.query
            else "No alert is like that."
        )
        body = empty(
            said, command="treadle watch", then="The watcher looks at data, models, endpoints and promises."
        )
    else:
        body = joined([_alert(seen, one) for one in found.rows])
    ways = pager(
        shown=words.plural(len(found.rows), "alert"),
        newer=seen.link(after=None) if seen.query.get("after") else None,
        older=seen.link(after=found.after) if found.after else None,
    )
    return section("alerts", "Alerts", head, body, ways if found.after or seen.query.get("after") else None)


def _alert(seen: Seen, one: Alert) -> Markup:
    taken = one.acknowledged
    marks = [
        mark(one.severity, _SEVERITY.get(one.severity, "")),
        " ",
        element("b", words.shown(one.rule)),
        " ",
        _about(one.subject),
    ]
    when: list[str] = ["since ", ago(one.at, seen.now)]
    if one.resolved_at is not None:
        when += [", ended ", ago(one.resolved_at, seen.now)]
    if taken is not None:
        when += [
            ", taken on by ",
            element("bdi", words.shown(taken.actor)),
            f": {words.shown(taken.reason, longest=200)}",
        ]
    elif one.told_at is None and one.resolved_at is None:
        when.append(", nobody was told yet")
    forms = None
    if one.resolved_at is None and taken is None:
        forms = element(
            "div",
            action(
                seen,
                "alerts.acknowledge",
                {"name": one.id},
                label="Acknowledge",
                about="It is not told again while it holds; its end still is.",
            ),
            class_="actions",
        )
    return element(
        "article",
        element("p", *marks),
        element("p", words.shown(one.text, longest=800)),
        element("p", *when, class_="fine"),
        forms,
        class_="box-card alert-card",
        id=one.id,
        data_row="",
    )


def _about(subject: str) -> Markup:
    found = _SUBJECT.fullmatch(subject)
    if found is None:
        return element("bdi", words.shown(subject))
    room = {"model": "models", "endpoint": "endpoints", "dataset": "data"}[found[1]]
    return element("a", element("bdi", words.shown(subject)), href=address(room, found[2]))


def _silences(seen: Seen) -> Markup:
    there = seen.workspace.alerts.silences()
    waiting = seen.workspace.alerts.waiting()
    parts = [_silence(seen, one) for one in there]
    if waiting:
        told = f"{words.plural(len(waiting), 'message')} could not be delivered yet, to {', '.join(sorted({one.channel for one in waiting}))}."
        parts.append(element("p", mark("waiting", "warning"), f" {told}"))
    return section("silences", "Silences and undelivered messages", *parts) if parts else Markup("")


def _silence(seen: Seen, one: Silence) -> Markup:
    told = element(
        "p",
        element("code", words.shown(one.rule)),
        " about ",
        element("code", words.shown(one.subject)),
        " is silent until ",
        ago(one.until, seen.now),
        ", by ",
        element("bdi", words.shown(one.actor)),
        f": {words.shown(one.reason, longest=200)}",
    )
    form = action(seen, "alerts.unsilence", {"name": one.id}, label="End it now", reason="")
    return element("div", told, element("div", form, class_="actions"))


def _promises(seen: Seen) -> Markup:
    stamp = f"{seen.workspace.ledger.pulse()} {seen.now:%Y-%m-%d %H:%M}"
    found = seen.kept.get(("promises",), seen.workspace.promises.standings, stamp=stamp)
    if found is None:
        return section("promises", "Promises (SLOs)", note("are being measured …"))
    if not found:
        nothing = empty(
            "No SLO is declared in the project's file.",
            command="treadle slo",
            then='One is: td.slos.Availability(endpoint="delay", objective=0.999), with td.slos.Latency, Freshness and Quality beside it.',
        )
        return section("promises", "Promises (SLOs)", nothing)
    heads = ["promise", "about", "state", "error budget left", "", "good", "burns"]
    return section(
        "promises",
        "Promises (SLOs)",
        table(heads, [_promise(one) for one in found], label="Promises", wide=True),
    )


def _promise(one: Standing) -> list[str]:
    left = one.budget_left
    share = max(left, 0.0) if left is not None else 0.0
    bar = (
        "–"
        if left is None
        else meter(share, label=f"{one.slo}: {words.share(share)} left", kind=_STATES[one.state])
    )
    burns = ", ".join(f"{rate:.1f}× in {window}" for window, rate in one.burns.items() if rate >= 1)
    return [
        element(
            "span",
            element("bdi", words.shown(one.said)),
            *(element("p", text, class_="fine") for text in one.notes),
        ),
        _about(one.subject),
        mark(one.state, _STATES[one.state]),
        "–" if left is None else f"{words.share(share)} of {one.period}",
        bar,
        "–" if one.good is None else f"{one.good:.3%}",
        burns or "–",
    ]


def _models(seen: Seen) -> Markup:
    names = sorted(seen.workspace.project.models)
    start = seen.query.get("from", "")
    rest = [name for name in names if name >= start]
    rows = [_model(seen, name) for name in rest[:MOST]]
    heads = ["model", "its rows", "what moved", "compared"]
    ways = None
    if len(names) > MOST:
        before = names[max(names.index(rest[0]) - MOST, 0)] if rest and rest[0] != names[0] else None
        ways = pager(
            shown=f"{len(rows)} of {words.plural(len(names), 'model')}",
            newer=seen.link(**{"from": before}) if before else None,
            older=seen.link(**{"from": rest[MOST]}) if len(rest) > MOST else None,
        )
    return section(
        "models", "Have the rows changed?", table(heads, rows, label="Drift by model", wide=True), ways
    )


def _model(seen: Seen, name: str) -> list[str]:
    link = element("a", element("bdi", words.shown(name)), href=address("monitor", name), data_row="")
    found = latest(seen, name)
    if found is None:
        never = element("span", "never compared: treadle drift ", words.shown(name), class_="fine")
        return [link, "–", never, "–"]
    moved = found.drifted
    columns = ", ".join(dict.fromkeys(one.column or "all columns together" for one in moved))
    told = mark(f"{words.plural(len(moved), 'finding')}", "warning") if moved else mark("as learnt", "good")
    return [link, told, words.shown(columns, longest=200) if moved else "–", ago(found.at, seen.now)]


def latest(seen: Seen, model: str) -> Drift | None:
    """Return the newest comparison of a model's rows; None: there is none, or it is being read."""
    stamp = f"{seen.workspace.tables.version(f'drift/{model}')}"
    if stamp == "None":
        return None
    return seen.kept.get(("drift", model), lambda: seen.workspace.drifts.latest(model), stamp=stamp)


PAGE = Page(path="/monitor", title="Monitor", nav="Monitor", order=70, key="m", make=make)
