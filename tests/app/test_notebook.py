"""Records are shown as small tables in a real notebook, and lists of them become data frames."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import treadle as td
from treadle.core.alert import Alert
from treadle.core.paging import Paged
from ui_pages import Text

CELLS = (
    "import treadle as td; ws = td.open()",
    "ws.status()",
    "ws.runs.list()[0]",
    "ws.models.get('buys@champion')",
    "ws.datasets.version('visits')",
    "ws.runs.page()",
    "ws.card('buys@champion')",
    "ws.run('buys')",
    "td.to_frame(ws.runs.list())",
)


@pytest.mark.slow
def test_a_notebook_shows_what_people_meet(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(shop / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(shop / "ipython"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])

    NotebookClient(
        notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(shop)}}
    ).execute()

    shown = {cell.source: cell.outputs[-1].data["text/html"] for cell in notebook.cells[1:]}
    for page in shown.values():
        Text(page)
    assert "buys" in shown["ws.status()"]
    assert "run_" in shown["ws.runs.list()[0]"]
    assert "buys/1" in shown["ws.models.get('buys@champion')"]
    assert "landing/a.csv" in shown["ws.datasets.version('visits')"]
    assert "succeeded" in shown["ws.runs.page()"]
    assert "outcome" in shown["ws.run('buys')"]
    assert "dataframe" in shown["td.to_frame(ws.runs.list())"]


def alert(text: str) -> Alert:
    return Alert(
        id="alert_1", rule="stale-data", subject="model:x", text=text, at=datetime(2024, 1, 1, tzinfo=UTC)
    )


def test_no_value_becomes_a_tag() -> None:
    page = Paged(rows=(alert("<script>alert(1)</script>"),), after='"><b>')._repr_html_()

    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page


def test_long_lists_are_cut_and_say_so() -> None:
    page = Paged(rows=tuple(alert(f"text {n}") for n in range(30)))._repr_html_()

    assert "and 10 more" in page
    assert "text 19" in page
    assert "text 20" not in page


def test_records_become_a_frame() -> None:
    frame = td.to_frame([alert("a"), alert("b")])

    assert frame["text"].to_list() == ["a", "b"]
    assert "parents" not in frame.columns
    assert td.to_frame([]).height == 0
