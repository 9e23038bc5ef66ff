"""What every plot must do with the answers of contenders."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from treadle.evaluation.plot import Plot
from treadle.evaluation.snapshots import Snapshot

_ROWS = 400


def tasks_of(module: ModuleType) -> tuple[str, ...]:
    """Return the tasks that a plot is for."""
    return (module.TASK,) if isinstance(module.TASK, str) else tuple(module.TASK)


def check_says_what_it_is(module: ModuleType) -> None:
    """The module's name is the plot's, and the first line of its text says what is seen."""
    assert module.__name__.rpartition(".")[2] == module.NAME
    assert module.__doc__
    assert tasks_of(module)


def check_draws_each_contender(module: ModuleType) -> None:
    """Each contender has a line of finite points in order, and all that is written beside is there."""
    for task in tasks_of(module):
        snapshot, answers = _case(task)
        found = module.plot(snapshot, answers)

        assert isinstance(found, Plot)
        assert found.title
        assert found.across
        assert found.up
        assert found.said
        assert [line.name for line in found.lines] == list(answers)
        for line in found.lines:
            assert len(line.x) == len(line.y) >= 1
            assert np.isfinite([*line.x, *line.y, *line.low, *line.high]).all()
            assert (np.diff(line.x) >= 0).all()
            for end in (line.low, line.high):
                assert len(end) in (0, len(line.x))
            if line.low:
                assert (np.array(line.low) <= np.array(line.y) + 1e-12).all()
                assert (np.array(line.high) >= np.array(line.y) - 1e-12).all()


def check_one_row_and_one_value_are_fine(module: ModuleType) -> None:
    """A single row, and answers that are all alike, are drawn or left out, and are no error."""
    for task in tasks_of(module):
        snapshot, answers = _case(task)
        one = Snapshot(dataset="d", version=1, rows="", y=snapshot.y[:1], names=snapshot.names)
        alike = {name: np.repeat(p[:1], _ROWS, axis=0) for name, p in answers.items()}

        for rows, given in ((one, {name: p[:1] for name, p in answers.items()}), (snapshot, alike)):
            found = module.plot(rows, given)
            assert found is None or all(np.isfinite(line.y).all() for line in found.lines)


def _case(task: str) -> tuple[Snapshot, dict[str, np.ndarray]]:
    """Return rows with a truth, and two contenders that answer them, as the task does."""
    random = np.random.default_rng(5)
    truth = random.normal(size=_ROWS)
    names: tuple[str, ...] = ()
    y, good = truth, truth + random.normal(size=_ROWS)
    if task in {"classification", "anomaly"}:
        y, good = (truth > 0.5).astype(float), _chance(truth)
    elif task == "multiclass":
        places = random.integers(0, 3, _ROWS)
        names, y = ("a", "b", "c"), places.astype(float)
        good = _shares(random.normal(size=(_ROWS, 3)) + 2 * np.eye(3)[places])
    elif task == "multilabel":
        names, y = ("a", "b"), (random.normal(size=(_ROWS, 2)) > 0).astype(float)
        good = _chance(2 * y - 1 + random.normal(size=(_ROWS, 2)))
    elif task == "quantiles":
        names, good = ("0.1", "0.5", "0.9"), good[:, None] + np.array([-1.3, 0.0, 1.3])
    elif task == "forecast":
        names, y = ("1h", "2h", "3h"), random.normal(size=(_ROWS, 3)).cumsum(axis=1)
        good = y + random.normal(size=(_ROWS, 3)) * np.array([1, 2, 3])
    snapshot = Snapshot(dataset="d", version=1, rows="", y=y, names=names)
    return snapshot, {"candidate": good, "baseline:x": np.repeat(good.mean(axis=0)[None], _ROWS, axis=0)}


def _chance(odds: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-odds)))


def _shares(odds: np.ndarray) -> np.ndarray:
    raw = np.exp(odds)
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))


#: All checks; each takes a plot's module.
CHECKS = (check_says_what_it_is, check_draws_each_contender, check_one_row_and_one_value_are_fine)
