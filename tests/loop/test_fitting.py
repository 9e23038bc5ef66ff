"""What a training gets of its rows."""

from __future__ import annotations

from typing import Any

import treadle as td
from treadle.loop.fitting import may_miss

COLUMNS = ["id", "at", "size", "colour"]


class Row(td.Contract):
    id: str
    at: str
    size: float | None
    colour: str


def _model(contract: type[td.Contract] | None) -> Any:
    rows = td.Dataset(
        "rows", source=td.Files("*.csv"), contract=contract, key="id", time="at" if contract is None else None
    )

    @td.model(data=rows, target="good", task=td.Classification())
    def model(data: td.TrainingData, params: dict[str, Any], run: td.Run) -> None:
        """Train nothing."""

    return model


def test_a_contract_says_which_columns_may_have_no_value() -> None:
    assert may_miss(_model(Row), COLUMNS) == {"size"}


def test_without_a_contract_every_column_but_key_and_time_may_have_none() -> None:
    assert may_miss(_model(None), COLUMNS) == {"size", "colour"}
