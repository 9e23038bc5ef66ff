from __future__ import annotations

import re

from treadle.data.profiles.page import charts


def heights(drawing: str) -> list[float]:
    return [float(found) for found in re.findall(r'height="([\d.]+)"', drawing)]


def test_bars_are_as_high_as_their_values():
    drawing = charts.bars([4, 0, 1, 0.0001], label="a chart", titles=["a", "b", "c", "d"])

    # An empty bin has no bar, and the least bar can still be seen.
    assert heights(drawing) == [100, 25, 1]
    assert "<title>c</title>" in drawing
    assert 'aria-label="a chart"' in drawing


def test_the_earlier_version_is_a_line_on_the_same_scale():
    drawing = charts.bars([1, 2], label="", titles=["", ""], line=[4, 0])

    assert heights(drawing) == [25, 50]
    assert '<path d="M0 0.00L1 0.00L1 100.00L2 100.00" class="before">' in drawing


def test_gaps_stand_behind_the_bars():
    drawing = charts.bars([1, 0, 0, 1], label="", titles=[""] * 4, marked=[(1, 3)])

    assert '<rect x="1" y="0" width="2" height="100" class="gap">' in drawing


def test_a_line_is_broken_where_there_is_no_value():
    drawing = charts.line([0, 1, None, 0.5, None, 1, 1], label="")

    (path,) = re.findall(r' d="([^"]+)"', drawing)
    assert path == "M0 92.0L1 8.0M3 50.0h.4M5 8.0L6 8.0"


def test_a_line_of_one_value_runs_in_the_middle():
    assert "M0 50.0L1 50.0" in charts.line([3, 3], label="")


def test_a_strip_is_fuller_where_more_is_missing():
    drawing = charts.strip([0, 0.5, 1, None], label="", titles=["a", "b", "c", "d"])

    assert re.findall(r'fill-opacity="([\d.]+)"', drawing) == ["0.575", "1"]
    assert drawing.count("<rect") == 3
    assert 'class="gap"' in drawing


def test_a_box_stays_on_its_scale():
    quantiles = {"0.05": -9.0, "0.25": 25.0, "0.5": 50.0, "0.75": 75.0, "0.95": 400.0}

    found = charts.box(quantiles, low=0, high=100)

    assert found is not None
    assert 'class="reach" style="left:0.00%;width:100.00%"' in found
    assert 'class="half" style="left:25.00%;width:50.00%"' in found
    assert charts.box({}, low=0, high=1) is None
