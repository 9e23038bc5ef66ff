"""Charts of trials: values over time, each parameter against the value, and all parameters of a trial as one line."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.app.trials.axes import Axis
from treadle.data.profiles import words
from treadle.data.profiles.page import charts
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.training.trials import Trial

_HEIGHT = 100.0


class Scale:
    """Where a metric's value lies: the best at the foot of a chart for a loss, at its head for a score."""

    def __init__(self, values: Sequence[float], *, greater: bool) -> None:
        ordered = sorted(values)
        self._low = ordered[0] if ordered else 0.0
        # A few trials that went very wrong would press all others together: they are drawn at the edge.
        fence = len(ordered) * 9 // 10
        self._high = ordered[-1] if ordered else 1.0
        if not greater and len(ordered) > 9 and self._high - self._low > 3 * (ordered[fence] - self._low) > 0:
            self._high = self._low + 1.5 * (ordered[fence] - self._low)
        if greater and len(ordered) > 9:
            fence = len(ordered) // 10
            if self._high - self._low > 3 * (self._high - ordered[fence]) > 0:
                self._low = self._high - 1.5 * (self._high - ordered[fence])

    def height(self, value: float) -> float:
        """Return the distance from the head of the chart."""
        spread = (self._high - self._low) or 1.0
        share = min(max((value - self._low) / spread, 0.0), 1.0)
        return round(_HEIGHT - 6 - (_HEIGHT - 12) * share, 2)

    @property
    def ends(self) -> tuple[str, str]:
        """The values at the head and at the foot."""
        return words.number(self._high), words.number(self._low)


def history(trials: Sequence[Trial], best: Trial | None, scale: Scale, *, greater: bool) -> Markup:
    """Return the value of each trial by its number, and a line of the best so far."""
    shapes, path, so_far = [], "", None
    for trial in trials:
        if trial.value is None:
            continue
        if trial.state == "succeeded" and (so_far is None or (trial.value > so_far) == greater):
            so_far = trial.value
        if so_far is not None:
            at = scale.height(so_far)
            path += f"{'L' if path else 'M'}{trial.number} {at}L{trial.number + 1} {at}"
        shapes.append(_dot(trial.number + 0.5, scale.height(trial.value), trial, best))
    return charts.drawing(
        max(len(trials), 1),
        element("path", d=path, class_="before") if path else None,
        *shapes,
        label="Value of each trial by its number; the line is the best so far.",
        class_="dots tall",
    )


def slice_of(axis: Axis, trials: Sequence[Trial], best: Trial | None, scale: Scale) -> Markup:
    """Return one parameter against the value of the trials that have it."""
    shapes = [
        _dot(1000 * axis.place(trial.drawn.params[axis.name]), scale.height(trial.value), trial, best)
        for trial in _last(trials, best)
        if trial.value is not None and axis.name in trial.drawn.params
    ]
    return charts.drawing(1000, *shapes, label=f"{axis.name} against the value.", class_="dots")


def lines(axes: Sequence[Axis], trials: Sequence[Trial], best: Trial | None, scale: Scale) -> Markup:
    """Return each trial as a line through its parameters; the better, the stronger it is drawn."""
    shapes = []
    for rank, trial in _ranked(trials, best, scale):
        places = [
            (number, _HEIGHT - 6 - (_HEIGHT - 12) * axis.place(trial.drawn.params[axis.name]))
            for number, axis in enumerate(axes)
            if axis.name in trial.drawn.params
        ]
        path = "".join(
            f"{'L' if place else 'M'}{number} {height:.1f}" for place, (number, height) in enumerate(places)
        )
        if trial.value is not None:
            path += f"L{len(axes)} {scale.height(trial.value)}"
        shapes.append(
            element(
                "path",
                element("title", _title(trial)),
                d=path,
                class_="best" if trial is best else None,
                stroke_opacity=1.0 if trial is best else round(0.08 + 0.72 * rank**3, 3),
            )
        )
    uprights = [
        element("path", d=f"M{number} 0V{_HEIGHT:g}", class_="upright") for number in range(len(axes) + 1)
    ]
    return charts.drawing(
        len(axes),
        *uprights,
        *shapes,
        label="Each line is a trial, through its parameters to its value.",
        class_="lines",
    )


def steps(trials: Sequence[Trial], best: Trial | None, scale: Scale) -> Markup | None:
    """Return what each trial reported on its way; None: none did."""
    told = [trial for trial in _last(trials, best) if len(trial.steps) > 1]
    if not told:
        return None
    last = max(step for trial in told for step, _ in trial.steps)
    shapes = []
    for trial in told:
        path = "".join(
            f"{'L' if place else 'M'}{step} {scale.height(value)}"
            for place, (step, value) in enumerate(sorted(trial.steps))
        )
        kind = "best" if trial is best else trial.state
        shapes.append(element("path", element("title", _title(trial)), d=path, class_=kind))
    return charts.drawing(max(last, 1), *shapes, label="What trials reported by step.", class_="lines ways")


def named(axes: Sequence[Axis], metric: str) -> Markup:
    """Return the names under the uprights of `lines`, with the ends of each."""
    cells = []
    for axis in axes:
        ends = " … ".join((axis.ends[0], axis.ends[-1]))
        cells.append(element("span", element("b", axis.name), element("small", ends)))
    cells.append(element("span", element("b", metric)))
    return element("div", joined(cells), class_="axis names")


def _dot(x: float, y: float, trial: Trial, best: Trial | None) -> Markup:
    kind = "best" if trial is best else trial.state
    return element("path", element("title", _title(trial)), d=f"M{x:g} {y:g}h0", class_=f"dot {kind}")


def _title(trial: Trial) -> str:
    params = ", ".join(f"{name} {value}" for name, value in trial.drawn.params.items())
    value = "no value" if trial.value is None else words.number(trial.value)
    return f"trial {trial.number} ({trial.state}): {value}; {params}"


def _last(trials: Sequence[Trial], best: Trial | None) -> list[Trial]:
    """Return the trials with the best at the end, so that it is drawn over the others."""
    return [trial for trial in trials if trial is not best] + ([best] if best is not None else [])


def _ranked(trials: Sequence[Trial], best: Trial | None, scale: Scale) -> list[tuple[float, Trial]]:
    there = [trial for trial in trials if trial.value is not None and trial is not best]
    # By how far they lie from the best: whichever way is up, that one is at an edge.
    if best is None or best.value is None:
        return [(0.5, trial) for trial in there]
    edge = scale.height(best.value)
    far = max((abs(scale.height(trial.value or 0.0) - edge) for trial in there), default=1.0) or 1.0
    ranked = [(1 - abs(scale.height(trial.value or 0.0) - edge) / far, trial) for trial in there]
    return [*sorted(ranked, key=lambda one: one[0]), (1.0, best)]
