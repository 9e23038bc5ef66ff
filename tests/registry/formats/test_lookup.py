from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.core.records import Lookup
from treadle.core.signature import Signature, field_of
from treadle.registry.format import Trial
from treadle.registry.formats import lookup


@pytest.mark.parametrize(
    "values",
    [
        ["UA", "AA"],
        ["UA", None],
        [1, 2],
        [1, None],
        [True, False],
        [1.5, 2.5],
        [date(2013, 1, 1), date(2013, 1, 2)],
        [datetime(2013, 1, 1, 5), datetime(2013, 1, 2)],  # noqa: DTZ001 - as such columns come
    ],
    ids=str,
)
def test_a_value_is_found_under_the_name_it_had_in_the_frame(values):
    frame = pl.DataFrame({"x": values})
    signature = Signature(inputs=(field_of(frame["x"]),))
    table = Lookup(
        name="mean", by=("x",), values={str(v): float(i) for i, v in enumerate(values)}, default=-1
    )

    loaded = lookup.load({lookup.FILE: save(table, signature)}, task="regression", signature=signature)

    assert loaded.predict(signature.encode(frame))["prediction"].tolist() == [0.0, 1.0]


def test_a_column_that_the_signature_lacks_is_named():
    with pytest.raises(InvalidInput, match="Unknown field 'dest'"):
        save(Lookup(name="mean", by=("dest",), default=0), Signature(inputs=()))


def save(table, signature):
    return lookup.save(table, task="regression", signature=signature, trial=Trial({}, np.array([]))).files[
        lookup.FILE
    ]
