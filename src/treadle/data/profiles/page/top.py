"""The top of the page: what the data is, how much of it there is, and what to look at first."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.parts import column_link, facts, folded, note, section, table
from treadle.data.profiles.records import ColumnProfile, Finding, Profile

_LEVELS = {"alert": "Probably leaks the outcome", "warning": "Worth a check", "note": "Good to know"}
_MOST_NOTES = 6


def header(found: Profile) -> Markup:
    """Return the name of the dataset, its numbers and its split."""
    against = found.comparison.before.version if found.comparison else None
    version = f"version {found.version}" if found.version else "rows without a version"
    return element(
        "header",
        element("p", "Data profile", class_="kicker"),
        element("h1", found.dataset or "Rows", " ", element("small", version)),
        element("p", _sentence(found), class_="lead"),
        element(
            "p",
            f"Compared with version {against}, of {_when(found.comparison.before)}: the blue is version {found.version}, "
            f"the orange line version {against}.",
            class_="lead",
        )
        if found.comparison
        else None,
        facts(_tiles(found), class_="tiles"),
        _split(found),
    )


def _when(found: Profile) -> str:
    return words.moment(found.created_at) if found.created_at else "an unknown day"


def _sentence(found: Profile) -> str:
    made = f"Committed {words.moment(found.created_at)} UTC. " if found.created_at else ""
    if found.time and found.time_min and found.time_max:
        first, last = (words.moment(at, every="1d") for at in (found.time_min, found.time_max))
        made += f"{found.time} from {first} to {last}. "
    if found.exact:
        return made + "All numbers are of all rows, unless they say otherwise."
    return (
        made
        + f"Distributions are of a sample of {words.count(found.sampled)} rows; counts, bounds and means of all rows."
    )


def _tiles(found: Profile) -> list[tuple[str, str]]:
    cells = sum(column.missing for column in found.columns if "outcome" not in column.roles)
    inputs = sum(1 for column in found.columns if "outcome" not in column.roles)
    tiles = [
        ("rows", words.count(found.rows)),
        ("columns", words.count(len(found.columns))),
        ("cells without a value", words.share(cells / inputs if inputs else 0.0)),
    ]
    tiles += [_outcome_tile(column) for column in found.columns if "outcome" in column.roles][:2]
    tiles.append(("rows in quarantine", words.count(found.quarantined)))
    suspects = {name for leak in found.leakage for name in leak.suspected}
    if found.leakage:
        tiles.append(("leakage suspects", words.count(len(suspects))))
    return tiles


def _outcome_tile(column: ColumnProfile) -> tuple[str, str]:
    name = words.shown(column.name, longest=24)
    if column.kind == "bool" and column.mean is not None:
        return f"of the known outcomes are {name}", words.share(column.mean)
    if column.mean is not None:
        return f"mean of the outcome {name}", words.number(column.mean)
    return f"values of the outcome {name}", words.count(column.distinct)


def _split(found: Profile) -> Markup | None:
    total = sum(part.rows for part in found.split_shares)
    if not total:
        return None
    order = {"train": 0, "validation": 1, "test": 2}
    parts = sorted(found.split_shares, key=lambda part: (order.get(part.name, 3), part.name))
    bar = element(
        "div",
        *(
            element("span", style=f"width:{100 * part.rows / total:.2f}%", class_=f"part {part.name}")
            for part in parts
        ),
        class_="split",
        aria_hidden="true",
    )
    outcome = next((column for column in found.columns if "outcome" in column.roles), None)
    wanted = any(part.outcome is not None for part in parts) and outcome is not None
    heads = ["split", "rows", "share", "declared"]
    rows = [
        [
            element("span", part.name, class_=f"key {part.name}"),
            words.count(part.rows),
            words.share(part.rows / total),
            words.share(part.declared) if part.declared is not None else "–",
        ]
        for part in parts
    ]
    if wanted and outcome is not None:
        heads += [f"{words.shown(outcome.name, longest=24)}", "known"]
        for row, part in zip(rows, parts, strict=True):
            value = part.outcome
            row.append(
                "–"
                if value is None
                else words.share(value)
                if outcome.kind == "bool"
                else words.number(value)
            )
            row.append("–" if part.known is None else words.count(part.known))
    return element(
        "div",
        bar,
        table(heads, rows, label="The split", numeric=range(1, 6), class_="plain"),
        class_="split-box",
    )


def first_look(found: Profile, anchors: Anchors) -> Markup:
    """Return the findings, gravest first; many notes are folded."""
    if not found.findings:
        calm = element("p", "Nothing stands out: no leak, no constant, no strange value was found.")
        return section("first", "Look at this first", calm)
    blocks = []
    for level, heading in _LEVELS.items():
        listed = [finding for finding in found.findings if finding.level == level]
        if not listed:
            continue
        items = element("ul", *(_finding(one, anchors) for one in listed), class_=f"findings {level}")
        if level == "alert" and any(one.kind != "leakage" for one in listed):
            heading = "Look here before anything else"
        if level == "note" and len(listed) > _MOST_NOTES:
            blocks.append(folded(f"{heading}: {words.plural(len(listed), 'note')}", items))
        else:
            blocks.append(joined([element("h3", heading), items]))
    return section("first", "Look at this first", *blocks)


def _finding(finding: Finding, anchors: Anchors) -> Markup:
    about = joined([column_link(finding.column, anchors), " "]) if finding.column else None
    return element("li", about, finding.text)


def about(found: Profile) -> Markup:
    """Return how the numbers were made."""
    sampled = (
        "Every number is of all rows, but for leakage and associations, which are of at most 100,000."
        if found.exact
        else f"Rows, missing values, bounds, means, deviations, the split and time coverage are counted in all "
        f"{words.count(found.rows)} rows. Different values are estimated from all rows (HyperLogLog, about 2 % off). "
        f"Quantiles, distributions, commonest values, lengths and what changes in time within columns are of a sample of "
        f"{words.count(found.sampled)} rows, the same ones every time: a share of 10 % in it is within "
        f"{_within(found.sampled)} points. Leakage and associations are of at most 100,000 of those."
    )
    texts: Sequence[str] = (
        sampled,
        "Quantiles and bins pass over missing values. Bars show bins of equal width; where a few values lie very far out, "
        "the bars leave them out and say how many. Moments are in UTC.",
    )
    return section("about", "How these numbers were made", *(note(text) for text in texts))


def _within(rows: int) -> str:
    return f"±{100 * 2 * (0.1 * 0.9 / rows) ** 0.5:.2f}"
