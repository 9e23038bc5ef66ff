"""Populations to draw rows from, in which two predictors' true difference is known exactly, for any metric.

A population is a finite set of rows from which rows are drawn independently, so what a metric is on all its rows is the
truth. In `twins` each row is there twice, with the predictors swapped, so that they are equal by every metric that
there is or will be. In the others they differ, in ways that make intervals too narrow: few positive rows, one predictor
that is sure of itself beside one that is noisy, errors with heavy tails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from treadle.core.errors import not_found
from treadle.evaluation.arrays import Floats
from treadle.evaluation.measures import Measure, metric

ROWS = 4_000
#: What the numbers of a prediction are called, by task.
NAMES = {"quantiles": ("0.1", "0.5", "0.9")}
#: What a question says to its metrics, by task.
OPTIONS = {"anomaly": {"scores": True}}
#: Those quantiles of a standard normal distribution.
_NORMAL = np.array([-1.2816, 0.0, 1.2816])


@dataclass(frozen=True, eq=False, kw_only=True)
class Population:
    """Rows with two predictors' answers; axis 0 of each array is the rows."""

    name: str
    y: Floats
    first: Floats
    second: Floats
    #: What ties rows together; None: nothing.
    groups: Floats | None = None
    #: Whether those are the queries of a ranking, whose numbers stand in the second column of y.
    by_query: bool = False

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    def values(self, measure: Measure) -> tuple[float, float]:
        """Return the true metric of each predictor."""
        # What is true of endlessly many rows: where weights are counts, each row is there endlessly often.
        often = np.full(len(self), 1e9) if getattr(measure.module, "COUNTED", False) else None
        return measure.value(self.y, self.first, often), measure.value(self.y, self.second, often)

    def ordered(self, measure: Measure) -> Population:
        """Return the population with the truly better predictor first."""
        first, second = self.values(measure)
        if (first > second) == measure.greater_is_better:
            return self
        return replace(self, first=self.second, second=self.first)

    def swapped(self) -> Population:
        """Return the population with the predictors swapped."""
        return replace(self, first=self.second, second=self.first)


def twins(population: Population) -> Population:
    """Return a population with each row twice, once with the predictors swapped: they are equal by every metric."""
    groups, again = population.groups, population.y
    if population.by_query:
        again = again + np.array([0, again[:, 1].max() + 1])
    return replace(
        population,
        name="twins",
        y=np.concatenate([population.y, again]),
        first=np.concatenate([population.first, population.second]),
        second=np.concatenate([population.second, population.first]),
        groups=None if groups is None else np.concatenate([groups, groups + groups.max() + 1]),
    )


def measured(name: str, *, task: str = "") -> Measure:
    """Return a metric as it takes the predictions of the populations of a task, by default of its first."""
    measure = metric(name).asked(OPTIONS.get(task, {}))
    return measure.over(NAMES.get(task or measure.tasks[0], ()))


def populations(task: str, *, seed: int = 0) -> dict[str, Population]:
    """Return the populations of a task, or of a metric that needs some of its own, by name.

    Raises:
        NotFound: there are none for that task.
    """
    if task not in _MADE:
        raise not_found("populations of the task", task, _MADE)
    random = np.random.default_rng(seed)
    found = _MADE[task](random)
    return {"twins": twins(found[0]), **{one.name: one for one in found}}


def populations_of(measure: Measure, *, task: str = "") -> dict[str, Population]:
    """Return the populations on which a metric is tried, by default those of its first task."""
    # A silhouette compares with the inputs, where its task may have a target.
    return populations(
        "simplified_silhouette" if measure.name == "simplified_silhouette" else task or measure.tasks[0]
    )


def _classification(random: np.random.Generator) -> list[Population]:
    signal = 1.5 * random.normal(size=ROWS)

    def made(name: str, *, base: float, sharp: float, noise: tuple[float, float]) -> Population:
        y = (random.random(ROWS) < _sigmoid(signal + base)).astype(np.float64)
        first = _sigmoid(signal + base + noise[0] * random.normal(size=ROWS))
        second = _sigmoid(sharp * (signal + base) + noise[1] * random.normal(size=ROWS))
        return Population(name=name, y=y, first=first, second=second)

    return [
        made("plain", base=0.0, sharp=1.0, noise=(0.5, 0.5)),
        made("rare", base=-2.5, sharp=1.0, noise=(0.4, 0.8)),
        made("unlike", base=-0.5, sharp=1.7, noise=(0.7, 0.3)),
        made("better", base=0.0, sharp=1.0, noise=(0.3, 1.2)),
    ]


def _regression(random: np.random.Generator) -> list[Population]:
    signal = random.normal(size=ROWS)
    y = signal + random.normal(size=ROWS)
    heavy = signal + random.standard_t(5, size=ROWS)
    size = np.exp(0.5 * random.normal(size=ROWS))
    return [
        Population(name="plain", y=y, first=_near(signal, random), second=_near(signal, random)),
        Population(name="rare", y=heavy, first=_near(signal, random), second=0.7 * signal),
        Population(
            name="unlike",
            y=size * np.exp(0.4 * random.normal(size=ROWS)),
            first=1.1 * size,
            second=size * np.exp(0.2 * random.normal(size=ROWS)),
        ),
        Population(
            name="better", y=y, first=_near(signal, random), second=_near(_near(signal, random), random)
        ),
    ]


def _forecast(random: np.random.Generator) -> list[Population]:
    """Rows as if of different weeks: what ties those of one is tried apart, by `forecasts_promoted`."""
    steps = np.arange(1, 4)
    signal = random.normal(size=(ROWS, 1)) + 0.3 * random.normal(size=(ROWS, 3))

    def made(name: str, y: Floats, *, noise: tuple[float, float]) -> Population:
        # Errors grow with the step, and those of a row have something in common.
        first, second = (
            signal + far * (random.normal(size=(ROWS, 1)) + 0.3 * steps * random.normal(size=(ROWS, 3)))
            for far in noise
        )
        return Population(name=name, y=y, first=np.asarray(first), second=np.asarray(second))

    y = signal + random.normal(size=signal.shape)
    heavy = signal + random.standard_t(5, size=signal.shape)
    return [
        made("plain", y, noise=(0.4, 0.4)),
        made("rare", heavy, noise=(0.4, 0.8)),
        made("unlike", y * np.exp(0.4 * random.normal(size=(ROWS, 1))), noise=(0.3, 0.6)),
        made("better", y, noise=(0.3, 0.9)),
    ]


def _multiclass(random: np.random.Generator) -> list[Population]:
    signal = 1.2 * random.normal(size=(ROWS, 3))

    def made(name: str, *, base: tuple[float, ...], sharp: float, noise: tuple[float, float]) -> Population:
        logits = signal + np.array(base)
        y = (logits + random.gumbel(size=logits.shape)).argmax(axis=1).astype(np.float64)
        first = _softmax(logits + noise[0] * random.normal(size=logits.shape))
        second = _softmax(sharp * logits + noise[1] * random.normal(size=logits.shape))
        return Population(name=name, y=y, first=first, second=second)

    return [
        made("plain", base=(0.0, 0.0, 0.0), sharp=1.0, noise=(0.5, 0.5)),
        made("rare", base=(1.5, 0.0, -1.5), sharp=1.0, noise=(0.4, 0.8)),
        made("unlike", base=(0.5, 0.0, -0.5), sharp=1.7, noise=(0.7, 0.3)),
        made("better", base=(0.0, 0.0, 0.0), sharp=1.0, noise=(0.3, 1.2)),
    ]


def _multilabel(random: np.random.Generator) -> list[Population]:
    # Labels of a row have something in common, as they do in life.
    signal = random.normal(size=(ROWS, 3)) + random.normal(size=(ROWS, 1))

    def made(name: str, *, base: tuple[float, ...], sharp: float, noise: tuple[float, float]) -> Population:
        logits = signal + np.array(base)
        y = (random.random(logits.shape) < _sigmoid(logits)).astype(np.float64)
        first = _sigmoid(logits + noise[0] * random.normal(size=logits.shape))
        second = _sigmoid(sharp * logits + noise[1] * random.normal(size=logits.shape))
        return Population(name=name, y=y, first=first, second=second)

    return [
        made("plain", base=(0.0, 0.0, 0.0), sharp=1.0, noise=(0.5, 0.5)),
        made("rare", base=(0.5, -1.0, -2.5), sharp=1.0, noise=(0.4, 0.8)),
        made("unlike", base=(0.5, 0.0, -0.5), sharp=1.7, noise=(0.7, 0.3)),
        made("better", base=(0.0, 0.0, 0.0), sharp=1.0, noise=(0.3, 1.2)),
    ]


def _quantiles(random: np.random.Generator) -> list[Population]:
    signal, size = random.normal(size=ROWS), np.exp(0.4 * random.normal(size=ROWS))

    def made(
        name: str, errors: Floats, *, off: tuple[float, float], width: tuple[float, float]
    ) -> Population:
        first, second = (
            (signal + far * random.normal(size=ROWS))[:, None]
            + (wide * size * np.exp(0.1 * random.normal(size=ROWS)))[:, None] * _NORMAL
            for far, wide in zip(off, width, strict=True)
        )
        return Population(name=name, y=signal + size * errors, first=first, second=second)

    errors = random.normal(size=ROWS)
    return [
        made("plain", errors, off=(0.3, 0.3), width=(1.0, 1.0)),
        made("rare", random.standard_t(5, size=ROWS), off=(0.3, 0.2), width=(1.0, 0.8)),
        made("unlike", errors, off=(0.2, 0.5), width=(1.2, 0.8)),
        made("better", errors, off=(0.2, 1.0), width=(1.0, 1.3)),
    ]


def _ranking(random: np.random.Generator) -> list[Population]:
    """Return rows in queries of three to seven, each relevant to a degree of 0 to 3."""
    sizes = random.integers(3, 8, ROWS // 5)
    query = np.repeat(np.arange(len(sizes)), sizes)
    rows, hard = len(query), np.exp(0.5 * random.normal(size=len(sizes)))[query]
    signal = 1.2 * random.normal(size=rows)

    def made(name: str, *, bar: float, noise: tuple[float, float]) -> Population:
        grades = np.clip(np.floor(signal + 0.7 * random.normal(size=rows) - bar), 0, 3)
        first, second = (signal + far * hard * random.normal(size=rows) for far in noise)
        y = np.column_stack([grades, query]).astype(np.float64)
        groups = query.astype(np.float64)
        return Population(name=name, y=y, first=first, second=second, groups=groups, by_query=True)

    return [
        made("plain", bar=0.0, noise=(0.5, 0.5)),
        made("rare", bar=2.0, noise=(0.4, 0.8)),
        made("unlike", bar=0.5, noise=(0.7, 0.3)),
        made("better", bar=0.0, noise=(0.3, 1.5)),
    ]


def _density(random: np.random.Generator) -> list[Population]:
    """Return log densities of normal rows by predictors that know their spread more or less; there are no outcomes."""
    rows, heavy = random.normal(size=ROWS), random.standard_t(5, size=ROWS)

    def made(name: str, held: Floats, *, spread: tuple[float, float], noise: float) -> Population:
        first, second = (
            -0.5 * ((held - noise * random.normal(size=ROWS)) / one) ** 2 - np.log(one) for one in spread
        )
        return Population(name=name, y=np.zeros(ROWS), first=first, second=second)

    return [
        made("plain", rows, spread=(1.0, 1.0), noise=0.2),
        made("rare", heavy, spread=(1.0, 1.4), noise=0.2),
        made("unlike", rows, spread=(1.5, 0.9), noise=0.1),
        made("better", rows, spread=(1.0, 1.6), noise=0.1),
    ]


def _anomaly(random: np.random.Generator) -> list[Population]:
    """Return scores less their bounds, and which rows are anomalies: as many as are promised to lie above."""
    signal = random.normal(size=ROWS)

    def made(
        name: str, *, share: float, noise: tuple[float, float], bound: tuple[float, float]
    ) -> Population:
        hidden = signal + 0.7 * random.normal(size=ROWS)
        y = (hidden > np.quantile(hidden, 1 - share)).astype(np.float64)
        first, second = (
            signal + far * random.normal(size=ROWS) - one for far, one in zip(noise, bound, strict=True)
        )
        return Population(name=name, y=y, first=first, second=second)

    return [
        made("plain", share=0.2, noise=(0.5, 0.5), bound=(0.9, 0.9)),
        made("rare", share=0.08, noise=(0.4, 0.8), bound=(1.5, 2.0)),
        made("unlike", share=0.3, noise=(0.7, 0.3), bound=(0.6, 0.2)),
        made("better", share=0.2, noise=(0.3, 1.2), bound=(0.9, 0.5)),
    ]


def _clustering(random: np.random.Generator) -> list[Population]:
    """Return rows of known groups, and clusters that take some of them for others."""

    def made(name: str, *, shares: tuple[float, ...], wrong: tuple[float, float]) -> Population:
        y = random.choice(len(shares), ROWS, p=shares)
        first, second = (
            np.where(random.random(ROWS) < off, random.integers(0, len(shares), ROWS), y) for off in wrong
        )
        return Population(name=name, y=y.astype(np.float64), first=first * 1.0, second=second * 1.0)

    return [
        made("plain", shares=(0.4, 0.3, 0.3), wrong=(0.4, 0.4)),
        made("rare", shares=(0.8, 0.1, 0.1), wrong=(0.4, 0.5)),
        made("unlike", shares=(0.5, 0.3, 0.2), wrong=(0.2, 0.6)),
        made("better", shares=(0.4, 0.3, 0.3), wrong=(0.2, 0.6)),
    ]


def _silhouette(random: np.random.Generator) -> list[Population]:
    """Return rows in heaps, and clusters that take some of them for others."""
    parts = {one.name: one for one in _clustering(random)}

    def made(name: str, *, far: float, heavy: bool) -> Population:
        part = parts[name]
        angle = 2 * np.pi * part.y / 3
        noise = random.standard_t(5, (ROWS, 2)) if heavy else random.normal(size=(ROWS, 2))
        return replace(part, y=far * np.column_stack([np.cos(angle), np.sin(angle)]) + noise)

    return [
        made("plain", far=3.0, heavy=False),
        made("rare", far=3.0, heavy=True),
        made("unlike", far=2.0, heavy=False),
        made("better", far=3.0, heavy=False),
    ]


def _embedding(random: np.random.Generator) -> list[Population]:
    """Return inputs, and the first of them with more or less noise."""

    def made(name: str, *, noise: tuple[float, float], heavy: bool = False) -> Population:
        y = random.standard_t(6, (ROWS, 4)) if heavy else random.normal(size=(ROWS, 4))
        y = y * [3, 2, 1, 0.5]
        first, second = (y[:, :2] + far * random.normal(size=(ROWS, 2)) for far in noise)
        return Population(name=name, y=y, first=first, second=second)

    return [
        made("plain", noise=(1.0, 1.0)),
        made("rare", noise=(0.7, 1.2), heavy=True),
        made("unlike", noise=(0.2, 1.5)),
        made("better", noise=(0.5, 2.0)),
    ]


def grouped(random: np.random.Generator, *, groups: int = 1_000) -> Population:
    """Return binary rows in groups of one to twenty, of which a predictor is right or wrong about all at once."""
    codes = np.repeat(np.arange(groups), random.integers(1, 21, groups)).astype(np.float64)
    place = codes.astype(np.int64)
    signal = 3 * random.normal(size=groups)[place]
    y = (random.random(len(codes)) < _sigmoid(signal)).astype(np.float64)
    first, second = (_sigmoid(signal + random.normal(size=groups)[place]) for _ in range(2))
    return twins(Population(name="grouped", y=y, first=first, second=second, groups=codes))


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)))


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _near(signal: Floats, random: np.random.Generator) -> Floats:
    return np.asarray(signal + 0.4 * random.normal(size=len(signal)))


_MADE: dict[str, Callable[[np.random.Generator], list[Population]]] = {
    "classification": _classification,
    "regression": _regression,
    "forecast": _forecast,
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "quantiles": _quantiles,
    "ranking": _ranking,
    "density": _density,
    "anomaly": _anomaly,
    "clustering": _clustering,
    "simplified_silhouette": _silhouette,
    "embedding": _embedding,
}
