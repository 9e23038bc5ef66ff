"""How good answers are before their outcomes are known, from what was learnt on rows that were kept apart at training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.records import Record
from treadle.monitoring import boosted
from treadle.monitoring.boosted import Boosted

Floats = npt.NDArray[np.float64]

#: Rows of known outcome that an estimator needs, and at most takes.
LEAST, MOST = 200, 20_000
#: Groups of equal size into which probabilities are divided, and how many rows the model's own word counts for in each.
_GROUPS, _PRIOR = 60, 1.0
#: Draws of calibrations, for the interval, and inputs that errors are learnt from.
_DRAWS, _INPUTS = 100, 20
_TINY = 1e-6


class Calibrated(msgspec.Struct, frozen=True, kw_only=True, tag="calibrated"):
    """How often what a model says with a probability comes true: for each class, rows and hits by group of probabilities."""

    #: What probabilities are of; of two classes only the positive one.
    classes: tuple[str, ...]
    #: For each class and group the mean probability, the rows and the hits: float64 of shape (classes * groups,).
    said: np.ndarray
    rows: np.ndarray
    hits: np.ndarray
    #: Metric → its value on the rows that it was learnt from.
    known: dict[str, float]


class Expected(msgspec.Struct, frozen=True, kw_only=True, tag="expected"):
    """How far answers are expected to be off: a model of the absolute error."""

    model: Boosted
    rows: int
    #: Mean of the squared error over that of the squared expected absolute error, and how much absolute errors vary beside it.
    squared: float
    varies: float
    #: Metric → its value on the rows that it was learnt from.
    known: dict[str, float]


Estimator = Calibrated | Expected


class Estimate(Record, frozen=True, kw_only=True):
    """What a metric would be if the outcomes were known."""

    metric: str
    value: float
    #: Ends of the 95 % interval of what it will turn out to be, where outcomes still follow from inputs as they did.
    low: float
    high: float
    n: int
    #: Its value on the rows that were kept apart at training.
    before: float


def of_chances(p: Floats, y: npt.NDArray[np.int64], *, classes: Sequence[str] = ()) -> Calibrated | None:
    """Learn from probabilities, of shape (rows,) or (rows, classes), how often they come true; None: too few rows.

    `y` is 0 and 1, or the place of the true class.
    """
    if len(y) < LEAST:
        return None
    wide = p[:, None] if p.ndim == 1 else p
    truth = (y[:, None] == np.arange(wide.shape[1])) if p.ndim == 2 else (y[:, None] == 1)
    told = [_grouped(wide[:, place], truth[:, place]) for place in range(wide.shape[1])]
    said, rows, hits = (np.concatenate(parts) for parts in zip(*told, strict=True))
    return Calibrated(
        classes=tuple(classes) or ("positive",),
        said=said,
        rows=rows,
        hits=hits,
        known=_scores(p, truth.astype(np.float64)),
    )


def of_errors(
    frame: pl.DataFrame, p: Floats, y: Floats, *, importance: dict[str, float] | None = None
) -> Expected | None:
    """Learn from inputs and predictions how large errors are; None: too few rows."""
    if len(y) < LEAST or not np.isfinite(y).all():
        return None
    rows = slice(None, None, -(-len(y) // MOST))
    error, held = np.abs(p - y)[rows], importance or {}
    inputs = sorted(frame.columns, key=lambda name: -held.get(name, 0.0))[:_INPUTS]
    asked = frame[rows].select(inputs).with_columns(pl.Series("_prediction", p[rows]))
    model = boosted.fit(asked, error, columns=asked.columns)
    expected = _floored(model.predict(asked), model)
    known = {
        "mae": float(error.mean()),
        "mse": float((error**2).mean()),
        "rmse": float(math.sqrt((error**2).mean())),
    }
    return Expected(
        model=model,
        rows=len(error),
        squared=float((error**2).mean() / max((expected**2).mean(), 1e-300)),
        varies=float(np.std(error / expected)) if (expected > 0).all() else 1.0,
        known=known,
    )


def estimate(
    estimator: Estimator, p: Floats, frame: pl.DataFrame, *, confidence: float = 0.95, seed: int = 0
) -> list[Estimate]:
    """Estimate metrics of answers `p`, of shape (rows,) or (rows, classes), to the rows of a frame.

    Of classes: accuracy, log loss, Brier score, and of two the area under the curve, from calibrated probabilities (NannyML's
    confidence-based estimation; the area from its expected curve). Of numbers: absolute and squared error, from a model of
    the error (direct loss estimation). Both hold as long as inputs change but not what follows from them.
    """
    if not len(p):
        return []
    if isinstance(estimator, Calibrated):
        return _of_classes(estimator, p, confidence, seed)
    return _of_numbers(estimator, p, frame, confidence)


def realised(estimator: Estimator, p: Floats, y: Floats) -> dict[str, float]:
    """Return the same metrics of answers whose outcomes are known: `y` is 0 and 1, the place of the class, or a number."""
    if isinstance(estimator, Calibrated):
        truth = (y[:, None] == np.arange(p.shape[1])) if p.ndim == 2 else y[:, None] == 1
        return _scores(p, truth.astype(np.float64))
    error = np.abs(p - y)
    mse = float((error**2).mean())
    return {"mae": float(error.mean()), "mse": mse, "rmse": math.sqrt(mse)}


def _grouped(p: Floats, truth: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(_GROUPS, max(1, len(p) // 20)))
    size = np.array([len(part) for part in parts], dtype=np.float64)
    said = np.array([p[part].mean() for part in parts])
    hits = np.array([truth[part].sum() for part in parts], dtype=np.float64)
    room = _GROUPS - len(parts)
    return tuple(np.concatenate([each, np.zeros(room)]) for each in (said, size, hits))  # type: ignore[return-value]


def _of_classes(estimator: Calibrated, p: Floats, confidence: float, seed: int) -> list[Estimate]:
    random = np.random.default_rng(seed)
    likely = _calibrated(estimator, p, estimator.hits)
    found = _expected_scores(p, likely)
    draws = [
        _expected_scores(p, _calibrated(estimator, p, _redrawn(estimator, random))) for _ in range(_DRAWS)
    ]
    chance = _noise(p, likely)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    estimates = []
    for name, value in found.items():
        spread = z * math.hypot(float(np.std([draw[name] for draw in draws])), chance[name])
        low, high = value - spread, value + spread
        if name != "log_loss":
            low, high = max(0.0, low), min(1.0, high)
        estimates.append(
            Estimate(
                metric=name, value=value, low=max(0.0, low), high=high, n=len(p), before=estimator.known[name]
            )
        )
    return estimates


def _redrawn(estimator: Calibrated, random: np.random.Generator) -> Floats:
    """Return the hits that another sample of as many rows might have had in each group."""
    rate = np.divide(estimator.hits + 0.5, estimator.rows + 1)
    return random.binomial(estimator.rows.astype(np.int64), np.clip(rate, 0, 1)).astype(np.float64)


def _calibrated(estimator: Calibrated, p: Floats, hits: Floats) -> Floats:
    """Return how often answers like these come true, of the shape of `p`: rising with the probability, class by class."""
    wide = p[:, None] if p.ndim == 1 else p
    found = np.empty_like(wide)
    for place in range(wide.shape[1]):
        own = slice(place * _GROUPS, (place + 1) * _GROUPS)
        some = estimator.rows[own] > 0
        said, rows = estimator.said[own][some], estimator.rows[own][some]
        rate = (hits[own][some] + _PRIOR * said) / (rows + _PRIOR)
        found[:, place] = np.interp(wide[:, place], said, _rising(rate, rows))
    found = np.clip(found, _TINY, 1 - _TINY)
    return found[:, 0] if p.ndim == 1 else found / found.sum(axis=1, keepdims=True)


def _rising(values: Floats, weights: Floats) -> Floats:
    """Return the nearest values that never fall, in weighted squares (pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last, before = blocks.pop(), blocks[-1]
            whole = before[1] + last[1]
            before[0] = (before[0] * before[1] + last[0] * last[1]) / whole
            before[1], before[2] = whole, before[2] + last[2]
    return np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks])


def _wide(p: Floats) -> Floats:
    return np.column_stack([1 - p, p]) if p.ndim == 1 else p


def _losses(p: Floats) -> dict[str, Floats]:
    """Return what each class as the truth would score, of shape (rows, classes)."""
    wide = np.clip(_wide(p), 1e-15, 1.0)
    said = (p > 0.5).astype(np.int64) if p.ndim == 1 else wide.argmax(axis=1)
    squares = (wide**2).sum(axis=1, keepdims=True)
    brier = squares - 2 * wide + 1
    return {
        "accuracy": (said[:, None] == np.arange(wide.shape[1])).astype(np.float64),
        "log_loss": -np.log(wide),
        "brier": brier / 2 if p.ndim == 1 else brier,
    }


def _expected_scores(p: Floats, likely: Floats) -> dict[str, float]:
    chances = _wide(likely)
    found = {name: float((loss * chances).sum(axis=1).mean()) for name, loss in _losses(p).items()}
    return found | ({"roc_auc": _area(p, likely)} if p.ndim == 1 else {})


def _noise(p: Floats, likely: Floats) -> dict[str, float]:
    """Return by how much metrics of so many rows vary where the probabilities are right."""
    chances, rows = _wide(likely), len(p)
    found = {}
    for name, loss in _losses(p).items():
        mean = (loss * chances).sum(axis=1)
        found[name] = math.sqrt(float((((loss**2) * chances).sum(axis=1) - mean**2).clip(0).mean()) / rows)
    yes, area = float(likely.sum()) if p.ndim == 1 else 1.0, _area(p, likely) if p.ndim == 1 else 0.5
    one, other = area / (2 - area), 2 * area**2 / (1 + area)
    no = max(rows - yes, 1.0)
    spread = area * (1 - area) + (max(yes, 1) - 1) * (one - area**2) + (no - 1) * (other - area**2)
    return found | {"roc_auc": math.sqrt(max(0.0, spread) / (max(yes, 1.0) * no))}


def _area(p: Floats, likely: Floats) -> float:
    """Return the expected area under the curve where row `i` is positive with probability `likely[i]`."""
    order = np.argsort(p, kind="stable")
    said, yes = p[order], likely[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(said) > 0]))
    up, down = np.add.reduceat(yes, starts), np.add.reduceat(1 - yes, starts)
    below = np.cumsum(down) - down
    whole = float(up.sum() * down.sum())
    return float((up * (below + down / 2)).sum()) / whole if whole > 0 else 0.5


def _scores(p: Floats, truth: Floats) -> dict[str, float]:
    return _expected_scores(p, truth[:, 0] if p.ndim == 1 else truth)


def _of_numbers(estimator: Expected, p: Floats, frame: pl.DataFrame, confidence: float) -> list[Estimate]:
    asked = frame.with_columns(pl.Series("_prediction", p))
    expected = _floored(estimator.model.predict(asked), estimator.model)
    rows, z = len(p), NormalDist().inv_cdf(0.5 + confidence / 2)
    mae, mse = float(expected.mean()), estimator.squared * float((expected**2).mean())
    shaken = estimator.varies * math.sqrt(1 / rows + 1 / estimator.rows)
    of_mae = z * shaken * math.sqrt(float((expected**2).mean()))
    of_mse = z * shaken * 2 * estimator.squared * math.sqrt(float((expected**4).mean()))
    found = {
        "mae": (mae, mae - of_mae, mae + of_mae),
        "mse": (mse, mse - of_mse, mse + of_mse),
        "rmse": tuple(math.sqrt(max(0.0, value)) for value in (mse, mse - of_mse, mse + of_mse)),
    }
    return [
        Estimate(metric=name, value=value, low=max(0.0, low), high=high, n=rows, before=estimator.known[name])
        for name, (value, low, high) in found.items()
    ]


def _floored(values: Floats, model: Boosted) -> Floats:
    """Return expected errors of at least a hundredth of the mean one: a sum of trees may fall below nothing."""
    return np.maximum(values, max(model.start * 0.01, 1e-300))
