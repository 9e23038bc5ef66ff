"""The file of metrics: grows, survives a kill, and counts a repeated step once."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

from treadle.training.history import History, Point, frame_of, last_values, parse

AT = datetime(2013, 1, 1, tzinfo=UTC)


def point(name: str, value: float | None, step: int | None = None) -> Point:
    return Point(name=name, value=value, step=step, at=AT)


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    written = [point("loss", 0.5, 1), point("loss", 0.25, 2), point("auc", None)]
    history = History(tmp_path / "m")

    for each in written:
        history.append(each)

    assert parse((tmp_path / "m").read_bytes()) == written


def test_a_line_torn_by_a_kill_costs_itself_only(tmp_path: Path) -> None:
    path = tmp_path / "m"
    History(path).append(point("loss", 0.5, 1))
    with path.open("ab") as file:
        file.write(b'{"name":"loss","val')

    History(path).append(point("loss", 0.25, 2))

    assert [found.value for found in parse(path.read_bytes())] == [0.5, 0.25]


def test_a_step_logged_again_counts_once_with_its_last_value() -> None:
    points = [
        point("loss", 0.5, 1),
        point("loss", 0.4, 2),
        point("loss", 0.3, 2),
        point("x", 1),
        point("x", 2),
    ]

    frame = frame_of(points)

    assert frame.select("name", "step", "value").rows() == [
        ("loss", 1, 0.5),
        ("loss", 2, 0.3),
        ("x", None, 1.0),
        ("x", None, 2.0),
    ]


def test_what_is_not_finite_is_nan_in_the_frame_and_no_last_value() -> None:
    points = [point("loss", 0.5, 1), point("loss", None, 2)]

    assert math.isnan(frame_of(points)["value"][1])
    assert last_values(points) == {"loss": 0.5}


def test_nothing_logged_is_an_empty_frame() -> None:
    assert frame_of([]).columns == ["name", "step", "value", "at"]
