"""A project with a model for each kind of question beyond classes and numbers."""

from __future__ import annotations

PROJECT = """
import numpy as np
import treadle as td

SPLIT = td.HashSplit(train=0.5, validation=0.1, test=0.4)
patients = td.Dataset("patients", source=td.Files("patients/*.parquet"), key="id", outcome="y", split=SPLIT)


def dear(y, p):
    return np.where(p < y, 3 * (y - p), p - y)


DEAR = td.Metric(dear, greater_is_better=False)


@td.model(
    data=patients,
    target="y",
    task=td.Custom(metrics=[DEAR, "mae"]),
    baselines=[td.baselines.Mean()],
    gates=[td.gates.Beats("baseline", on="dear", min_rows=100), td.gates.NoWorse("champion", on="mae", min_rows=100)],
)
def foresees(data, params, run):
    from sklearn.linear_model import QuantileRegressor

    return QuantileRegressor(quantile=0.75, alpha=0.01).fit(data.train.X, data.train.y)


flights = td.Dataset(
    "flights",
    source=td.Files("flights/*.parquet"),
    key="id",
    outcome="y",
    split=td.HashSplit(train=0.5, validation=0.1, test=0.4, group="query"),
)


@td.model(
    data=flights,
    target="y",
    task=td.Ranking(by="query", cut=5),
    baselines=[td.baselines.Constant(0.0), td.baselines.Column("hour"), td.baselines.Column("distance", least_first=True)],
    gates=[
        td.gates.Beats("baseline:constant_0", min_rows=50),
        td.gates.Beats("baseline:column_distance_least_first", on=["map", "mrr"], min_rows=50),
        td.gates.NoWorse("champion", min_rows=50),
    ],
)
def latest(data, params, run):
    from lightgbm import LGBMRanker

    assert data.train.groups.sum() == len(data.train)
    model = LGBMRanker(n_estimators=30, num_leaves=8, verbose=-1, n_jobs=1)
    return model.fit(data.train.X, data.train.y, group=data.train.groups)


hours = td.Dataset("hours", source=td.Files("hours/*.parquet"), key="id", split=SPLIT)
cells = td.Dataset("cells", source=td.Files("cells/*.parquet"), key="id", outcome="y", split=SPLIT)


@td.model(
    data=hours,
    task=td.Density(),
    baselines=[td.baselines.Marginals()],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion")],
)
def likely(data, params, run):
    from sklearn.mixture import GaussianMixture
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0)).fit(data.train.X)


def forest(data):
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=30, random_state=0).fit(data.train.X)


@td.model(data=hours, task=td.Anomaly(share=0.05), gates=[td.gates.Useful("flag_error", at_most=0.05)])
def odd(data, params, run):
    return forest(data)


@td.model(
    data=cells,
    target="y",
    task=td.Anomaly(share=0.3),
    baselines=[td.baselines.Constant(0.0)],
    gates=[td.gates.Beats("baseline", on=["roc_auc", "average_precision"], min_rows=100)],
)
def ill(data, params, run):
    return forest(data)


@td.model(data=hours, task=td.Clustering(), gates=[td.gates.Useful("simplified_silhouette", at_least=0.2), td.gates.NoWorse("champion")])
def heaps(data, params, run):
    from sklearn.cluster import KMeans
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), KMeans(3, n_init=1, random_state=0)).fit(data.train.X)


@td.model(data=cells, target="y", task=td.Clustering(), gates=[td.gates.Useful("v_measure", at_least=0.2, min_rows=100)])
def sorts(data, params, run):
    from sklearn.cluster import KMeans
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), KMeans(2, n_init=1, random_state=0)).fit(data.train.X)


@td.model(data=hours, task=td.Embedding(size=2), gates=[td.gates.Useful("unexplained", at_most=0.4), td.gates.NoWorse("champion")])
def brief(data, params, run):
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), PCA(2)).fit(data.train.X)
"""
MODELS = ("foresees", "latest", "likely", "odd", "ill", "heaps", "sorts", "brief")
