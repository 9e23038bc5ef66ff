"""The parts of a card that say what the version was made of: data, code, environment, lineage, package."""

from __future__ import annotations

import json

from treadle.app.card.limits import window_words
from treadle.app.card.record import Card
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, folded, note, table

_KEYS = {"train": "train", "validation": "validation", "test": "test", "forward": "forward test"}
#: Lines of a difference that are shown.
MOST_LINES = 2_000
#: Libraries that decide what a model answers, shown before the rest is folded.
_TELLING = (
    *("treadle", "numpy", "polars", "scikit-learn", "xgboost", "lightgbm", "catboost", "torch", "tensorflow"),
    *("keras", "river", "onnx", "onnxruntime", "skl2onnx", "skops"),
)


def data(card: Card) -> list[Markup]:
    """Return the datasets that it was made from, the window, and the rows by part."""
    rows = [
        [
            element("code", one.dataset),
            str(one.version),
            words.count(one.rows),
            words.count(one.outcomes_known) if one.outcomes_known else "–",
            words.moment(one.time_max, every="1d") if one.time_max else "–",
            words.moment(one.created_at),
        ]
        for one in card.datasets
    ]
    heads = ["dataset", "version", "rows", "outcomes known", "newest row", "committed (UTC)"]
    return [
        facts(_windows(card)),
        *_split(card),
        element("h3", "Dataset versions"),
        table(heads, rows, label="Dataset versions", numeric=(1, 2, 3), class_="plain", wide=True),
    ]


def _windows(card: Card) -> list[tuple[str, str]]:
    window, forward = card.version.window, card.run.forward
    told = window_words(window) if card.run.origin is None else "not known here: it was imported"
    found = [("trained on rows", told)]
    if window.half_life is not None:
        found.append(("half-life of a row's weight", f"{window.half_life / 86_400:g} days"))
    if forward is not None:
        found.append(("forward test", window_words(forward)))
    return found


def _split(card: Card) -> list[Markup]:
    parts = [(name, card.rows[name]) for name in _KEYS if card.rows.get(name)]
    total = sum(rows for _, rows in parts)
    if not total:
        return []
    bar = element(
        "div",
        *(element("span", style=f"width:{100 * n / total:.2f}%", class_=f"part {name}") for name, n in parts),
        class_="split",
        aria_hidden="true",
    )
    rows = [
        [element("span", _KEYS[name], class_=f"key {name}"), words.count(n), words.share(n / total)]
        for name, n in parts
    ]
    listed = table(["part", "rows", "share"], rows, label="Rows by part", numeric=(1, 2))
    return [element("div", bar, listed, class_="split-box")]


def signature(card: Card) -> list[Markup]:
    """Return the inputs with their kinds, and the outputs."""
    fields = card.version.signature.inputs
    rows = [
        [element("code", words.shown(field.name)), field.kind, "yes" if field.nullable else "no"]
        for field in fields
    ]
    seen = [
        note(
            f"Values of {words.shown(field.name)} that training saw: {words.shown(', '.join(field.levels), longest=400)}."
        )
        for field in fields
        if field.levels
    ]
    given = ", ".join(f"{field.name} ({field.kind})" for field in card.version.signature.outputs)
    return [
        table(["input", "kind", "may be missing"], rows, label="Inputs", class_="plain"),
        *seen,
        note(f"It answers with {given}; the task is {card.version.task}."),
    ]


def making(card: Card) -> list[Markup]:
    """Return parameters, seed, code and environment."""
    run, code = card.run, card.run.code
    found = [
        ("why it was trained" if run.origin is None else "how it came here", run.reason),
        ("seed", str(run.seed)),
        ("attempts", str(run.attempts)),
        ("code", code.digest[:19] + "…" if code else "–"),
        ("commit", code.commit or "none" if code else "–"),
    ]
    parts = [facts(found), element("h3", "Parameters")]
    if run.params:
        rows = [
            [element("code", name), element("code", _plain(value))]
            for name, value in sorted(run.params.items())
        ]
        parts.append(table(["parameter", "value"], rows, label="Parameters", class_="plain"))
    else:
        parts.append(element("p", "None: all is in the code."))
    if card.diff:
        lines = card.diff.splitlines()
        told = f"What differed from the commit: {words.plural(len(lines), 'line')}"
        if code is not None and not code.commit:
            told = f"The source files, which were in no commit: {words.plural(len(lines), 'line')}"
        parts.append(folded(told, _diff(lines)))
    return [*parts, *_environment(card)]


def _diff(lines: list[str]) -> Markup:
    written = [element("span", line or " ", class_=_line_class(line)) for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        written.append(element("span", f"… {len(lines) - MOST_LINES:,} more lines"))
    return element("pre", joined(written), class_="diff", tabindex="0")


def _line_class(line: str) -> str | None:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "file"
    return {"+": "added", "-": "taken", "@": "place"}.get(line[:1])


def _environment(card: Card) -> list[Markup]:
    found = card.environment
    if not found:
        return []
    packages: dict[str, str] = found.get("packages", {})
    told = [("Python", f"{found.get('python')} ({found.get('implementation')})")]
    told.append(("system", f"{found.get('system')} {found.get('release')}, {found.get('machine')}"))
    told += [(name, packages[name]) for name in _TELLING if name in packages]
    rows = [[element("code", name), version] for name, version in packages.items()]
    listed = table(["package", "version"], rows, label="Packages", class_="plain")
    return [
        element("h3", "Environment"),
        facts(told),
        folded(f"All {words.plural(len(rows), 'package')}", listed),
    ]


def lineage(card: Card) -> list[Markup]:
    """Return what it came from: version, run, dataset versions with their files."""
    datasets = {one.ref: one for one in card.datasets}
    above = [parent for parent in card.version.parents if parent != card.run.ref]
    items = []
    for parent in above:
        one = datasets.get(parent)
        files = (
            [element("li", element("code", words.shown(file, longest=120))) for file in one.files]
            if one
            else []
        )
        inside = (
            folded(f"{words.plural(len(files), 'file')} read by this commit", element("ul", *files))
            if files
            else None
        )
        items.append(element("li", element("code", parent), inside))
    return [
        element(
            "ul",
            element(
                "li",
                element("code", card.version.ref),
                element(
                    "ul",
                    element("li", element("code", card.run.ref), element("ul", *items) if items else None),
                ),
            ),
            class_="tree",
        )
    ]


def package(card: Card) -> list[Markup]:
    """Return the package's format, digest, files, and whether it reproduces its golden rows."""
    version = card.version
    found = [
        ("format", version.format),
        ("bytes", words.count(version.size)),
        ("digest", version.digest),
    ]
    parts = [facts(found)]
    if card.refused:
        parts.append(element("ul", element("li", card.refused), class_="findings alert"))
    elif card.package is not None:
        parts.append(
            element(
                "p",
                element("span", "reproduced", class_="mark good"),
                f"Loaded when this card was made, every byte as its digest says; {words.plural(card.package.golden, 'golden row')} "
                "came out as where it was trained.",
            )
        )
    if card.package is not None:
        rows = [[element("code", name), words.count(bytes_)] for name, bytes_ in card.package.files.items()]
        parts.append(table(["file", "bytes"], rows, label="Files", numeric=(1,), class_="plain"))
    parts.append(
        note(
            f"Card made {words.moment(card.at)} UTC. The same again: treadle models card {version.model}/{version.version}"
        )
    )
    return parts


def _plain(value: object) -> str:
    return words.shown(value if isinstance(value, str) else json.dumps(value, default=str), longest=200)
