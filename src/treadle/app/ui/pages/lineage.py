"""Lineage: from a prediction's id back to revision, version, run, code, environment, data version, window and rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from treadle.app.traced import Trace
from treadle.app.ui.graph import Box, graph
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.paged import Sheet
from treadle.app.ui.parts import ago, as_csv, empty, filters
from treadle.core.errors import NotFound
from treadle.core.records import DatasetVersion, Run
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import folded, section, table


def make(seen: Seen) -> Markup:
    """Return the way back from the prediction that the address names, or the question for one."""
    asked = filters(
        seen,
        [("prediction", "Prediction's id", ()), ("endpoint", "Endpoint", seen.workspace.endpoints.names())],
    )
    wanted = seen.query.get("prediction", "").strip()
    if not wanted:
        return joined([asked, _hint(seen)])
    try:
        found = seen.workspace.trace(wanted, endpoint=seen.query.get("endpoint", ""))
    except NotFound as error:
        return joined([asked, element("p", words.shown(str(error), longest=600), class_="notice alert")])
    missing = [element("p", words.shown(text, longest=400), class_="notice") for text in found.missing]
    sheet = Sheet("lineage", ["what", "is"], lambda: _plain(found))
    return joined(
        [
            asked,
            *missing,
            section(
                "graph",
                "From the answer to the rows",
                graph(_layers(seen, found), label="Lineage of the prediction"),
            ),
            section(
                "answer",
                "What was asked and answered",
                _answer(found),
                as_csv(seen, sheet, title="Lineage"),
            ),
        ]
    )


def _hint(seen: Seen) -> Markup:
    names = seen.workspace.endpoints.names()
    if not names:
        return empty("No endpoint has answered yet.", command="treadle serve")
    return empty(
        "Each answer has a prediction_id. Put one in, and see what it was made by, back to the rows.",
        command="treadle trace PREDICTION",
    )


def _layers(seen: Seen, found: Trace) -> list[list[Box]]:
    row, revision, version, run = found.prediction, found.revision, found.version, found.run
    answered = f"answered {words.number(row['probability'] if row['probability'] is not None else row['prediction'])}"
    layers = [
        [Box(noun="prediction", name=row["prediction_id"], said=[ago(row["at"], seen.now), answered])],
        [
            Box(
                noun="revision",
                name=f"{row['endpoint']}, revision {row['revision']}",
                href=address("endpoints", row["endpoint"]),
                said=[
                    f"variant {row['variant']}: {row['assignment']}",
                    f"by {revision.actor}" if revision else "",
                ],
            )
        ],
        [
            Box(
                noun="model version",
                name=f"{row['model']}/{row['version']}",
                href=address("models", row["model"], str(row["version"])),
                said=[version.format, ago(version.created_at, seen.now)]
                if version
                else ["no longer on record"],
            )
        ],
    ]
    if run is None:
        return layers
    layers.append([Box(noun="run", name=run.id, href=address("runs", run.id), said=[run.reason])])
    return [*layers, [*_made_by(run, found), *(_data(one, found) for one in found.datasets)]]


def _made_by(run: Run, found: Trace) -> list[Box]:
    boxes = []
    if run.code is not None:
        commit = f"commit {run.code.commit[:12]}" if run.code.commit else "no commit"
        said = [commit, "with changes that are not committed" if run.code.diff else ""]
        boxes.append(
            Box(
                noun="code",
                name=f"{run.code.digest[:19]}…",
                said=[*said, words.plural(len(run.code.files), "file")],
            )
        )
    if run.environment:
        python = str(found.environment.get("python", ""))
        packages = words.plural(len(found.environment.get("packages", ())), "package")
        boxes.append(
            Box(
                noun="environment",
                name=f"{run.environment[:19]}…",
                said=[f"Python {python}" if python else "", packages],
            )
        )
    return boxes


def _data(one: DatasetVersion, found: Trace) -> Box:
    said = [words.plural(one.rows, "row")]
    version = found.version
    if version is not None and version.dataset == one.dataset:
        start = f"{version.window.start:%Y-%m-%d}" if version.window.start else "the beginning"
        said.append(f"window {start} to {version.window.end:%Y-%m-%d}")
        if found.rows is not None:
            said.append(f"trained on {words.plural(found.rows, 'row')}")
    return Box(
        noun="data",
        name=f"{one.dataset}, version {one.version}",
        href=address("data", one.dataset, str(one.version)),
        said=said,
    )


def _answer(found: Trace) -> Markup:
    row = found.prediction
    inputs = [
        (element("code", element("bdi", words.shown(name))), _value(value))
        for name, value in found.prediction["inputs"].items()
    ]
    listed = (
        table(["input", "value"], inputs, label="Inputs")
        if inputs
        else element("p", "Its inputs were not logged.")
    )
    told = [
        (name, _value(row[name]))
        for name in (
            "prediction",
            "probability",
            "confidence",
            "decision",
            "outputs",
            "latency",
            "subject",
            "key",
            "sampled",
        )
        if row.get(name) is not None
    ]
    shown = table(["of the answer", "value"], told, label="Answer")
    packages = found.environment.get("packages")
    environment = None
    if isinstance(packages, dict):
        environment = folded(
            "Packages", table(["package", "version"], sorted(packages.items()), label="Packages")
        )
    return element("div", listed, shown, environment, class_="pair")


def _value(value: Any) -> Markup:
    if value is None:
        return element("span", "missing", class_="fine")
    return element(
        "bdi", words.number(value) if isinstance(value, float) else words.shown(str(value), longest=300)
    )


def _plain(found: Trace) -> Sequence[Sequence[Any]]:
    row, run = found.prediction, found.run
    told = [
        (name, row[name])
        for name in ("prediction_id", "endpoint", "revision", "model", "version", "variant", "at")
    ]
    if run is not None:
        told += [("run", run.id), ("environment", run.environment)]
        told += [("code", run.code.digest)] if run.code else []
    return [*told, *(("data", one.ref) for one in found.datasets)]


PAGE = Page(path="/lineage", title="Lineage", nav="Lineage", order=85, key="l", make=make)
