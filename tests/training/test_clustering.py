"""Clusters and embeddings: what may be declared and answered, and what answers are compared with."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.cluster import DBSCAN
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.training.task import standardised
from treadle.training.tasks.clustering import Clustering
from treadle.training.tasks.embedding import Embedding

FRAME = pl.DataFrame({"a": [1.0, 3.0, None], "b": [True, False, True], "c": [5, 5, 5], "d": ["x", "y", "z"]})


def test_inputs_that_are_numbers_are_compared_in_their_standard_deviations() -> None:
    found = standardised(FRAME, ["a", "b", "c", "d"])

    assert found[:, 0] == pytest.approx([-1, 1, 0])
    assert found[:, 1] == pytest.approx(np.array([1, -2, 1]) / 2**0.5)
    assert found[:, 2].tolist() == [0, 0, 0]
    assert standardised(FRAME.head(0), ["a"]).shape == (0, 1)
    with pytest.raises(InvalidInput, match="None of the inputs d is a number"):
        standardised(FRAME, ["d"])


def test_groups_that_are_known_are_numbered() -> None:
    assert Clustering().target(pl.Series("kind", ["b", "a", "b"])).tolist() == [1, 0, 1]
    with pytest.raises(InvalidInput, match="'kind' is Float64"):
        Clustering().target(pl.Series("kind", [0.5]))
    with pytest.raises(InvalidInput, match="1 nulls"):
        Clustering().target(pl.Series("kind", ["a", None]))


def test_what_knows_no_new_rows_is_refused() -> None:
    rows = pl.DataFrame({"a": np.arange(40.0)})
    with pytest.raises(RunFailed, match="DBSCAN.*fit_predict only"):
        Clustering().predictions(DBSCAN().fit(rows), rows)
    with pytest.raises(RunFailed, match="TSNE.*fit_transform only"):
        Embedding().predictions(TSNE(), rows)


def test_a_cluster_is_a_whole_number_and_a_vector_has_its_size() -> None:
    with pytest.raises(RunFailed, match=r"returned 0.5 for row 1. Expected the number of a cluster"):
        Clustering().predictions(lambda rows: [0, 0.5, 1], FRAME)
    numbers = pl.DataFrame({"a": [1.0, 2.0, 4.0], "b": [1.0, 0.0, 0.0]})
    with pytest.raises(RunFailed, match=r"shape \(3, 1\) for 3 rows. Expected shape \(3, 2\)"):
        Embedding().predictions(PCA(1).fit(numbers), numbers)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "2", None])
def test_a_size_is_a_number_of_numbers(size: object) -> None:
    with pytest.raises(InvalidDeclaration, match=r"Embedding\(size="):
        Embedding(size=size)  # type: ignore[arg-type]
