"""The leakage section: what each column alone knows of the outcome, suspects first."""

from __future__ import annotations

from treadle.data.profiles import words
from treadle.data.profiles.leakage import DECIDES, STANDS_OUT, TIMES_THE_REST
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.parts import column_link, folded, note, section, table
from treadle.data.profiles.records import Leakage, Profile, Skill

_RULES = {
    "decides": "decides it",
    "stands-out": "stands out",
    "missing-together": "comes with it",
    "missing-decides": "its absence tells",
}
_MOST = 12


def leaks(found: Profile, anchors: Anchors) -> Markup | None:
    """Return the section; None where there is no outcome."""
    if not found.leakage:
        return None
    return section(
        "leakage",
        "What each column alone knows of the outcome",
        *(_leak(one, anchors) for one in found.leakage),
    )


def _leak(leak: Leakage, anchors: Anchors) -> Markup:
    about = element("h3", "Outcome ", column_link(leak.outcome, anchors))
    if leak.skipped:
        return joined([about, note(leak.skipped)])
    suspected = set(leak.suspected)
    first = [skill for skill in leak.skills if skill.column in suspected]
    others = [skill for skill in leak.skills if skill.column not in suspected]
    parts = [about, _verdict(leak, anchors), _skills([*first, *others[:_MOST]], leak, anchors)]
    if others[_MOST:]:
        rest = _skills(others[_MOST:], leak, anchors)
        parts.append(folded(f"{words.plural(len(others) - _MOST, 'other column')}, which know less", rest))
    if leak.later:
        items = [element("li", column_link(name, anchors), " ", text) for name, text in leak.later]
        parts.append(joined([element("h4", "Not suspected, but later than the row"), element("ul", *items)]))
    parts.append(_explanation(leak))
    return joined(parts)


def _verdict(leak: Leakage, anchors: Anchors) -> Markup:
    if not leak.suspected:
        return element("p", "No column is suspected of holding what is only known afterwards.")
    names: list[str] = []
    for place, name in enumerate(leak.suspected):
        names += [", " if place else "", column_link(name, anchors)]
    count = len(leak.suspected)
    text = f" {'is' if count == 1 else 'are'} probably not known when a prediction is asked for: leave {'it' if count == 1 else 'them'} out of the model's inputs, or show that {'it is' if count == 1 else 'they are'}."
    return element("p", *names, text)


def _skills(skills: list[Skill], leak: Leakage, anchors: Anchors) -> Markup:
    classes = leak.kind == "classes"
    rows = []
    for skill in skills:
        rules = list(dict.fromkeys(one.rule for one in leak.suspects if one.column == skill.column))
        cells: list[str] = [
            column_link(skill.column, anchors),
            joined(
                [
                    charts.meter(skill.explained, class_="scale hot" if rules else "scale"),
                    words.share(skill.explained),
                ]
            ),
        ]
        if classes:
            cells.append(f"{skill.auc:.3f}" if skill.auc is not None else "–")
        cells.append(joined(element("span", _RULES[rule], class_="mark alert") for rule in rules))
        rows.append(cells)
    heads = ["column", "uncertainty it takes away alone", *(["AUC"] if classes else []), "why suspected"]
    return table(
        heads,
        rows,
        label=f"What each column knows of {leak.outcome}",
        numeric=(2,) if classes else (),
        class_="skills",
        wide=True,
    )


def _explanation(leak: Leakage) -> Markup:
    measure = (
        "the share of the log loss that goes when the column is known; AUC is the chance of putting a pair of rows in order"
        if leak.kind == "classes"
        else "the share of the variance of the outcome's ranks that goes when the column is known"
    )
    return folded(
        "How a column becomes a suspect",
        note(
            f"On {words.count(leak.rows)} rows with a known outcome, each column alone predicts it: cut into bins (each value of a text, "
            f"at most 256 quantiles of a number, and the missing values), each row gets the mean of its bin in the other four of five folds. Shown is {measure}."
        ),
        note(
            f"“Decides it”: at least {DECIDES:.0%}. “Stands out”: at least {STANDS_OUT:.0%}, and {TIMES_THE_REST:g} times the "
            "best of the columns below that (ticks on the bars). “Comes with it”: where the column has no value the outcome "
            "hardly ever becomes known, more than the time of those rows explains. “Its absence tells”: having a value, or "
            "having none, gives the class away. No rule looks at names, and none can see a column that is always filled in, "
            "knows little alone, and still comes too late."
        ),
    )
