"""What each input adds to a model's answers (Shapley values): row by row, over all, and by slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.forest import Forest
from treadle.evaluation.arrays import Floats
from treadle.evaluation.importance import parts
from treadle.evaluation.lookups import By, columns_of
from treadle.evaluation.shapley.additive import additive
from treadle.evaluation.shapley.game import Game, Scale, Shares, are_shares, scales
from treadle.evaluation.shapley.permutations import permutations
from treadle.evaluation.shapley.trees import trees

#: The largest difference between an answer and the library's own contributions to it, some of which are float32.
OWN_TOLERANCE = 1e-3
#: Ends of a 95 % interval, in standard errors.
_Z = 1.959964
#: A library's own contributions: rows → float64 of shape (rows, numbers, inputs + 1), the base last.
Own = Callable[[pl.DataFrame], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Contributions:
    """What each input adds to the answers for some rows, beside the answers for background rows.

    For each row and number of an answer, the base and the contributions add up to the answer on the scale: to 1e-6, to 1e-3 where
    they are a library's own (`method`).
    """

    inputs: tuple[str, ...]
    #: What the numbers of an answer are called; empty: it is one number.
    outputs: tuple[str, ...]
    #: Of shape (rows, inputs, numbers).
    values: Floats
    #: What the answer is on average over the background, of shape (numbers,).
    base: Floats
    #: `log-odds`, `probability`, `log` or `value` (the target's unit).
    scale: str
    #: `additive`, `trees` and `library` are exact; `permutations` estimates.
    method: str
    #: Standard error of each contribution; None: they are exact.
    error: Floats | None = None
    #: The rows' slices: name → places; the empty name is all of them.
    slices: dict[str, npt.NDArray[np.int64]] | None = None

    def frame(self) -> pl.DataFrame:
        """Return a column for each input, the base and their sum, on the scale; of several numbers a row for each, named in `_output`."""
        blocks = []
        for place in range(self.values.shape[2]):
            columns = {name: self.values[:, index, place] for index, name in enumerate(self.inputs)}
            block = pl.DataFrame(columns).with_columns(
                pl.lit(float(self.base[place])).alias("_base"),
                pl.Series("_answer", self.values[:, :, place].sum(axis=1) + self.base[place]),
            )
            if self.outputs:
                block = block.with_columns(pl.lit(self.outputs[place]).alias("_output"))
            blocks.append(block)
        return pl.concat(blocks)

    def summary(self) -> pl.DataFrame:
        """Return the mean absolute contribution of each input, over all and by slice, most first.

        `column`, `slice`, `contribution` with the ends of its 95 % interval over rows (`low`, `high`), `mean` with its sign (of an
        answer's first number), `error` (the mean standard error of one contribution; 0: exact) and `rows`. Of an answer
        of several numbers it is the mean over these.
        """
        sizes = np.abs(self.values).mean(axis=2)
        told = []
        for name, rows in (self.slices or {"": np.arange(len(sizes))}).items():
            for place, column in enumerate(self.inputs):
                mean = float(sizes[rows, place].mean())
                spread = float(sizes[rows, place].std(ddof=1)) if len(rows) > 1 else 0.0
                reach = _Z * spread / np.sqrt(len(rows))
                error = 0.0 if self.error is None else float(np.mean(self.error[rows, place]))
                told.append(
                    {
                        "column": column,
                        "slice": name,
                        "contribution": mean,
                        "low": max(0.0, mean - reach),
                        "high": mean + reach,
                        "mean": float(self.values[rows, place, 0].mean()),
                        "error": error,
                        "rows": len(rows),
                    }
                )
        return pl.DataFrame(told).sort("slice", pl.col("contribution").neg(), maintain_order=True)


def contributions(
    predict: Callable[[pl.DataFrame], npt.ArrayLike],
    rows: pl.DataFrame,
    background: pl.DataFrame,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] = (),
    likely: bool = False,
    by: By = None,
    said: pl.DataFrame | None = None,
    forest: Forest | None = None,
    own: Own | None = None,
    seed: int = 0,
    exact: bool = False,
) -> Contributions:
    """Return the Shapley values of a model's answers, exactly where its form allows it; with `exact`, only there.

    `predict` answers a frame with float64 of shape (rows,), or (rows, outputs); `likely` says that these are probabilities. `background`
    are rows that an input that is not known is taken from, such as 200 of the training rows. Slices are those of `said`, the same rows
    as people know them (by default `rows`). In turn: a sum of functions of
    one input each (linear models), a `forest`, a library's `own` contributions, and else an estimate with its standard
    error. The same rows give the same numbers.

    >>> frame = pl.DataFrame({"a": [0.0, 1.0, 2.0], "b": [5.0, 5.0, 8.0]})
    >>> found = contributions(lambda rows: 2 * rows["a"] - rows["b"], frame, frame)
    >>> found.method, found.base.tolist(), found.values[:, :, 0].round(6).tolist()
    ('additive', [-4.0], [[-2.0, 1.0], [0.0, 1.0], [2.0, -2.0]])

    Raises:
        InvalidInput: there are no rows or no background, a column is not there, or only an estimate could be given.
    """
    names = tuple(inputs if inputs is not None else background.columns)
    sliced = columns_of(by, where="contributions")
    known = rows if said is None else said
    _check(rows, names, what="rows to explain")
    _check(background, names, what="background rows")
    _check(known, sliced, what="rows to explain")
    taken = rows.select(names)
    game = Game(predict, taken, background.select(names).cast(taken.schema), names)
    shares = _shares(game, likely=likely, forest=forest, own=own, seed=None if exact else seed)
    slices = {"": np.arange(rows.height), **(parts(known, sliced) if sliced else {})}
    return Contributions(
        inputs=names,
        outputs=tuple(outputs),
        values=shares.values,
        base=shares.base,
        scale=shares.scale,
        method=shares.method,
        error=shares.error,
        slices=slices,
    )


def _shares(game: Game, *, likely: bool, forest: Forest | None, own: Own | None, seed: int | None) -> Shares:
    wanted = scales(likely=likely)
    for scale in wanted:
        found = additive(game, scale)
        if found is None and forest is not None:
            found = trees(game, scale, forest)
        if found is None and own is not None:
            found = _owned(game, scale, own)
        if found is not None:
            return found
    if seed is None:
        msg = "What the inputs add to this model's answers can only be estimated. Exact are linear models, trees, and libraries that say it themselves."
        raise InvalidInput(msg, field="explain")
    # Odds have no end where a probability is 0 or 1, so an estimate is made of the answers as they are.
    return permutations(game, wanted[1] if likely else wanted[0], seed=seed)


def _owned(game: Game, scale: Scale, own: Own) -> Shares | None:
    """Return the library's own contributions if they add up to the answers on this scale."""
    given = own(game.rows).transpose(0, 2, 1)
    answers = game.answers(game.rows)
    if scale.name == "log-odds" and are_shares(answers):
        given = given - given.mean(axis=2, keepdims=True)
    wanted, holds = scale.of(answers), scale.holds(answers)
    if given.shape[2] != wanted.shape[1] or not holds.any():
        return None
    rest = np.abs(given.sum(axis=1) - wanted)[holds]
    if (rest > OWN_TOLERANCE * np.maximum(1.0, np.abs(wanted[holds]))).any():
        return None
    return Shares(given[:, :-1], given[0, -1], scale.name, "library")


def _check(frame: pl.DataFrame, names: Sequence[str], *, what: str) -> None:
    if frame.is_empty():
        msg = f"There are no {what}."
        raise InvalidInput(msg, field="rows")
    for name in names:
        if name not in frame.columns:
            msg = f"There is no column {name!r} in the {what}. {closest(name, frame.columns)}"
            raise InvalidInput(msg, field=name)
