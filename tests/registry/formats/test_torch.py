"""A network becomes ONNX, or is refused with what to do."""

import numpy as np
import pytest

from treadle.core.errors import InvalidInput, UnsafeFormat
from treadle.core.signature import Field, Signature
from treadle.registry.format import Trial
from treadle.registry.formats import torch as found

torch = pytest.importorskip("torch")

CLASSIFIED = (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
COLUMNS = {"x": np.linspace(-2, 2, 50, dtype=np.float32)}


def signature(*fields):
    return Signature(inputs=fields or (Field(name="x", kind="float"),), outputs=CLASSIFIED)


def test_two_probabilities_are_taken_as_those_of_both_classes():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.Softmax(dim=1))
    expected = network(torch.from_numpy(COLUMNS["x"]).reshape(-1, 1)).detach().numpy()[:, 1]

    saved = found.save(
        network, task="classification", signature=signature(), trial=Trial(COLUMNS, expected.astype(float))
    )

    assert saved.format == "onnx"


def test_a_network_that_would_be_given_strings_is_told_so():
    with pytest.raises(InvalidInput, match=r"strings of 'carrier'.*make_pipeline"):
        found.estimator(torch.nn.Linear(2, 1), signature=signature(Field(name="carrier", kind="string")))


def test_a_network_whose_code_depends_on_its_data_is_refused():
    class Odd(torch.nn.Module):
        def forward(self, x):
            return torch.sigmoid(x if float(x.sum()) > 0 else -x)

    with pytest.raises(UnsafeFormat, match=r"Odd has no faithful ONNX form.*allow_pickle=True"):
        found.save(
            Odd(), task="classification", signature=signature(), trial=Trial(COLUMNS, np.full(50, 0.5))
        )
