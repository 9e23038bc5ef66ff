"""The guard `Drift`: a challenger's answers may not be distributed quite otherwise than the first variant's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from treadle.core.rollout import GuardStatus, GuardVerdict
from treadle.core.sequential import distance, distribution_radius
from treadle.serving.discretion import in_sample
from treadle.serving.guard import CHALLENGER, PRIMARY, Case, Needs, check, is_count, is_share, spec_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

_ANSWERS = "its answers"


@dataclass(frozen=True)
class Drift:
    """Roll back a challenger whose answers, or whose inputs, surely lie further from the first variant's than accepted.

    The distance is the largest difference of the two distribution functions, 0 to 1 (Kolmogorov and Smirnov's), in the same
    period. `answers` is what is accepted of the answers: a better model answers otherwise, a broken one quite otherwise.
    `inputs` is what is accepted of each input: who answers is drawn by lot, so theirs should be alike, and a difference
    means that requests do not reach both alike; None: they are not looked at. Each subject counts once, with its
    first answer of the present step. Where a sample of the requests is logged, what is always logged counts only where the sample
    would have had it too. The bounds hold at every look, for all columns together with a chance of error of at most `alpha`.

    >>> Drift(answers=0.3).inputs
    0.1

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    answers: float = 0.2
    inputs: float | None = 0.1
    alpha: float = 0.01
    min_rows: int = 500

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(
            self,
            answers=(self.answers, is_share(self.answers), "between 0 and 1, as 0.2"),
            inputs=(self.inputs, self.inputs is None or is_share(self.inputs), "between 0 and 1, or None"),
            alpha=(self.alpha, is_share(self.alpha), "between 0 and 1, as 0.01"),
            min_rows=(self.min_rows, is_count(self.min_rows), "a whole number, 1 or more"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "drift"

    @property
    def needs(self) -> Needs:
        """What it judges by."""
        return "log"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> GuardVerdict:
        """Measure each column's distance; the one that is furthest beyond what is accepted decides."""
        import polars as pl

        assert case.logged is not None
        rows = case.logged.answers()
        rows = _alike(rows.filter(pl.col("revision") == pl.col("revision").max()))
        mine, theirs = (
            rows.filter(arm=arm).unique("unit", keep="first", maintain_order=True)
            for arm in (CHALLENGER, PRIMARY)
        )
        n = mine.height
        if min(n, theirs.height) < self.min_rows:
            reason = f"Of {self.min_rows} subjects or requests it has answered {n}, and the first variant {theirs.height}."
            return GuardVerdict(guard=self.name, status="waiting", reason=reason, n=n)
        columns = {_ANSWERS: (_answers(mine), _answers(theirs), self.answers)}
        if self.inputs is not None:
            pairs = _inputs(mine, theirs)
            columns |= {f"the input {name}": (*pair, self.inputs) for name, pair in pairs.items()}
        alpha = self.alpha / case.stages / len(columns) / 2
        radius = distribution_radius(n, alpha=alpha) + distribution_radius(theirs.height, alpha=alpha)
        far = {name: distance(*_numbers(one, other)) for name, (one, other, _) in columns.items()}
        worst = max(columns, key=lambda name: far[name] - columns[name][2])
        accepted = columns[worst][2]
        low, high = max(0.0, far[worst] - radius), min(1.0, far[worst] + radius)
        said = f"The distance of {worst} from the first variant's is {far[worst]:.3f} (surely {low:.3f} to {high:.3f}); {accepted:g} is accepted."
        status: GuardStatus = "bad" if low > accepted else "fine"
        return GuardVerdict(
            guard=self.name,
            status=status,
            reason=said,
            n=n,
            challenger=far[worst],
            low=low,
            high=high,
            alpha=self.alpha,
        )


def _alike(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are in the smallest sample: each request was as likely to be, whatever it was answered.

    The bounds are those of rows that weigh alike, so a row that is logged whatever the sample says is not weighed less, but counts
    where the hash of its request says that the sample has it.
    """
    fraction = rows["sampled"].min() if "sampled" in rows.columns else None
    if not isinstance(fraction, float) or fraction >= 1:
        return rows
    return rows.filter(in_sample(rows["request_id"].to_list(), fraction))


def _answers(rows: pl.DataFrame) -> list[Any]:
    plain = rows.select("probability", "prediction", "outputs").rows()
    return [
        probability if probability is not None else prediction if prediction is not None else _said(outputs)
        for probability, prediction, outputs in plain
    ]


def _said(outputs: str | None) -> Any:
    told = msgspec.json.decode(outputs) if outputs else {}
    said = told.get("prediction")
    return said if isinstance(said, int | float | str) else str(said)


def _inputs(mine: pl.DataFrame, theirs: pl.DataFrame) -> dict[str, tuple[list[Any], list[Any]]]:
    sides = [[msgspec.json.decode(text) for text in rows["inputs"]] for rows in (mine, theirs)]
    names = dict.fromkeys(name for row in sides[1][:1] for name in row)
    found = {name: tuple([row.get(name) for row in side] for side in sides) for name in names}
    return {name: (one, other) for name, (one, other) in found.items()}


def _numbers(one: list[Any], other: list[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return two columns as numbers: names in alphabetical order, nothing below all others.

    The order must not follow from the values that are compared, or the bounds would not hold: by how common they are with the first
    variant, names of which there are thousands would all stand behind those that it has seen.
    """
    import numpy as np

    if not any(isinstance(value, str | list) for side in (one, other) for value in side):
        numbers = [[-np.inf if value is None else float(value) for value in side] for side in (one, other)]
        return np.array(numbers[0]), np.array(numbers[1])
    names = sorted({str(value) for side in (one, other) for value in side if value is not None})
    places = {name: place for place, name in enumerate(names)}
    found = [[-1 if value is None else places[str(value)] for value in side] for side in (one, other)]
    return np.array(found[0], dtype=np.float64), np.array(found[1], dtype=np.float64)
