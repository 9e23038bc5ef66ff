"""How much the steps of a pipeline stretch space: known for what is affine, refused for what bends."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, RobustScaler, StandardScaler

from treadle.core.errors import InvalidInput
from treadle.core.stretch import log_stretch

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(200, 3)) @ np.array([[10.0, 3, 0], [0, 0.1, 0], [1, 0, 500]])
FRAME = pl.DataFrame(ROWS, schema=["a", "b", "c"])


def test_what_is_no_pipeline_stretches_nothing():
    assert log_stretch(GaussianMixture().fit(ROWS)) == 0
    assert log_stretch(make_pipeline("passthrough", GaussianMixture()).fit(ROWS)) == 0


@pytest.mark.parametrize("rows", [ROWS, FRAME], ids=["array", "frame"])
@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [MinMaxScaler(), RobustScaler()],
        [StandardScaler(), PCA(whiten=True)],
        [make_column_transformer((StandardScaler(), [2]), (MinMaxScaler(), [0, 1]))],
    ],
    ids=["scaled", "twice", "turned", "by column"],
)
def test_a_density_stays_one_of_the_inputs_whatever_scales_them(steps, rows):
    """The mixture of one normal distribution is the same whatever affine map comes before."""
    plain = GaussianMixture(reg_covar=0).fit(ROWS).score_samples(ROWS)

    model = make_pipeline(*steps, GaussianMixture(reg_covar=0)).fit(rows)

    assert model.score_samples(rows) + log_stretch(model) == pytest.approx(plain, rel=1e-6)


def test_nested_pipelines_and_searches_are_looked_through():
    once = make_pipeline(StandardScaler(), KernelDensity()).fit(ROWS)

    nested = make_pipeline(StandardScaler(), make_pipeline(MinMaxScaler(), KernelDensity())).fit(ROWS)
    searched = GridSearchCV(make_pipeline(StandardScaler(), KernelDensity()), {}).fit(ROWS)

    scaled = StandardScaler().fit_transform(ROWS)
    assert log_stretch(once) == pytest.approx(-np.log(ROWS.std(axis=0)).sum())
    assert log_stretch(searched) == pytest.approx(log_stretch(once))
    assert log_stretch(nested) == pytest.approx(log_stretch(once) - np.log(np.ptp(scaled, axis=0)).sum())


@pytest.mark.parametrize("step", [PowerTransformer(), PCA(n_components=2)], ids=["bends", "drops"])
def test_what_bends_space_or_drops_columns_is_refused(step):
    with pytest.raises(InvalidInput, match=f"{type(step).__name__}.*no density of the inputs"):
        log_stretch(make_pipeline(step, GaussianMixture()).fit(ROWS))
