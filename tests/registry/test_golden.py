import numpy as np
import pytest

from treadle.core.errors import PackageRefused
from treadle.core.signature import Field, Signature
from treadle.registry import golden
from treadle.registry.format import Trial

SIGNATURE = Signature(
    inputs=(Field(name="a", kind="float"), Field(name="b", kind="integer"), Field(name="c", kind="string"))
)
COLUMNS = {
    "a": np.array([1.5, np.nan], dtype=np.float32),
    "b": np.array([2**53 + 1, -1], dtype=np.int64),
    "c": np.array(["né\x00e", ""], dtype=object),
}


def test_every_bit_comes_back():
    trial = Trial(COLUMNS, np.array([0.1, 0.2]))

    found = golden.from_bytes(golden.to_bytes(trial), SIGNATURE)

    assert found.expected.tobytes() == trial.expected.tobytes()
    assert found.columns["a"].tobytes() == COLUMNS["a"].tobytes()
    assert found.columns["b"].tolist() == COLUMNS["b"].tolist()
    assert found.columns["c"].tolist() == COLUMNS["c"].tolist()


def test_several_numbers_a_row_come_back():
    trial = Trial(COLUMNS, np.array([[0.1, 0.9], [0.3, 0.7]]))

    found = golden.from_bytes(golden.to_bytes(trial), SIGNATURE)

    assert found.expected.tolist() == trial.expected.tolist()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04",
        golden.to_bytes(Trial({"a": COLUMNS["a"]}, np.array([0.1, 0.2]))),
        golden.to_bytes(Trial(COLUMNS, np.array([0.1]))),
        golden.to_bytes(Trial({n: v[:0] for n, v in COLUMNS.items()}, np.array([]))),
    ],
    ids=["nothing", "pickle", "columns", "lengths", "no rows"],
)
def test_what_does_not_fit_is_refused(data):
    with pytest.raises(PackageRefused, match="golden rows cannot be read"):
        golden.from_bytes(data, SIGNATURE)
