"""Files of models that were made elsewhere are read by their ending, and refused where they are not what they say."""

from __future__ import annotations

import numpy as np
import pytest

from treadle.core import plugins
from treadle.core.errors import InvalidInput, NotFound, PackageRefused, TreadleError, UnsafeFormat
from treadle.core.ids import digest_of_bytes
from treadle.registry.foreign import foreign, names_of, width_of

X = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def _xgboost(path):
    import xgboost

    data = xgboost.DMatrix(X, Y, feature_names=["wind", "rain"])
    xgboost.train({"nthread": 1, "max_depth": 2}, data, 2).save_model(path)


def _lightgbm(path):
    import lightgbm

    data = lightgbm.Dataset(
        X, Y, feature_name=["wind", "rain"], params={"min_data_in_leaf": 1, "verbose": -1}
    )
    params = {"verbose": -1, "num_threads": 1, "num_leaves": 3, "objective": "regression"}
    lightgbm.train(params, data, 2).save_model(path)


def _catboost(path):
    import catboost

    data = catboost.Pool(X, Y, feature_names=["wind", "rain"])
    catboost.train(
        data, {"iterations": 2, "verbose": 0, "allow_writing_files": False, "thread_count": 1}
    ).save_model(str(path))


def _skops(path):
    import polars as pl
    import skops.io
    from sklearn.linear_model import Ridge

    skops.io.dump(Ridge().fit(pl.DataFrame(X, schema=["wind", "rain"]), Y), path)


def _onnx(path):
    import onnx

    example = plugins.load("format", "onnx").example()
    onnx.save(example.model, path)


WRITERS = {
    "m.json": _xgboost,
    "m.ubj": _xgboost,
    "m.txt": _lightgbm,
    "m.cbm": _catboost,
    "m.skops": _skops,
    "m.onnx": _onnx,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("elsewhere")
    for name, write in WRITERS.items():
        write(place / name)
    return place


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_read_by_the_format_that_knows_its_ending(folder, name):
    found = foreign(folder / name)

    taken = ["x"] if name == "m.onnx" else ["wind", "rain"]
    assert found.source == name
    assert found.digest == digest_of_bytes((folder / name).read_bytes())
    assert names_of(found.model, ["rain", "x", "wind"]) == taken
    assert width_of(found.model) in {0, 2}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("damage", ["half", "nothing", "another"])
def test_a_damaged_file_is_refused(folder, tmp_path, name, damage):
    data = (folder / name).read_bytes()
    bad = {"half": data[: len(data) // 2], "nothing": b"", "another": b"a text of somebody's\n" * 9}[damage]
    (tmp_path / name).write_bytes(bad)

    with pytest.raises(PackageRefused, match=name):
        foreign(tmp_path / name)


@pytest.mark.parametrize("name", ["m.ubj", "m.json", "m.cbm"])
def test_a_file_whose_names_are_no_text_is_refused(folder, tmp_path, name):
    data = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(data.replace(b"wind", b"w\xc3nd"))

    with pytest.raises(PackageRefused, match=f"{name} is damaged"):
        foreign(tmp_path / name)


def test_an_altered_file_is_refused_before_it_is_read(folder):
    with pytest.raises(PackageRefused, match="it was altered"):
        foreign(folder / "m.txt", digest="sha256:" + "0" * 64)

    assert foreign(folder / "m.txt", digest=digest_of_bytes((folder / "m.txt").read_bytes())).model


def test_an_unknown_ending_is_told_with_the_known_ones(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"x")

    with pytest.raises(InvalidInput, match=r"\.cbm, \.json, \.onnx, \.skops, \.txt, \.ubj"):
        foreign(tmp_path / "model.h5")


@pytest.mark.parametrize("name", ["nowhere.ubj", "."])
def test_what_is_no_file_is_told(tmp_path, name):
    with pytest.raises(NotFound):
        foreign(tmp_path / name)


def test_a_type_that_is_not_trusted_is_refused(tmp_path):
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(np.copyto), tmp_path / "m.skops")

    with pytest.raises(UnsafeFormat, match="copyto"):
        foreign(tmp_path / "m.skops")


def test_an_object_has_a_class_and_no_digest():
    assert (foreign(3).source, foreign(3).digest) == ("builtins.int", "")
    with pytest.raises(InvalidInput, match="object in memory"):
        foreign(3, digest="sha256:" + "0" * 64)


def test_a_pickle_that_raises_is_told(tmp_path):
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04cnowhere\nnothing\n.")

    with pytest.raises(TreadleError, match="cannot be unpickled"):
        foreign(tmp_path / "m.pkl", allow_pickle=True)


def test_a_column_that_is_not_there_is_named(folder):
    with pytest.raises(InvalidInput, match="'rain'"):
        names_of(foreign(folder / "m.ubj").model, ["wind", "snow"])
