"""A package answers like the model it was made from, or it does not load."""

import random
import sys

import msgspec
import numpy as np
import onnx
import polars as pl
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from treadle.core.errors import InvalidInput, MissingExtra, PackageRefused, UnsafeFormat
from treadle.core.ids import canonical
from treadle.core.signature import Field, Signature, decode_frame, field_of
from treadle.registry import golden, packages
from treadle.store.objects.objects import Objects

OUTPUTS = (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
ROWS = 600


@pytest.fixture
def objects(tmp_path):
    return Objects.open("objects", root=tmp_path, options={})


@pytest.fixture(scope="module")
def raw():
    """Rows with every kind of column, missing values included."""
    rng = np.random.default_rng(0)
    maybe = rng.random(ROWS) < 0.1
    return pl.DataFrame(
        {
            "carrier": pl.Series(rng.choice(["AA", "B6", "UA"], ROWS), dtype=pl.Categorical),
            "tailnum": pl.Series(
                [None if m else f"N{n}" for m, n in zip(maybe, rng.integers(0, 9, ROWS), strict=True)]
            ),
            "distance": rng.integers(80, 5000, ROWS),
            "seats": pl.Series(
                [None if m else int(n) for m, n in zip(maybe, rng.integers(1, 9, ROWS), strict=True)],
                dtype=pl.Int64,
            ),
            "wind": pl.Series(rng.normal(10, 5, ROWS)),
            "holiday": pl.Series(rng.random(ROWS) < 0.1),
            "departs": pl.Series(1_357_000_000_000_000 + rng.integers(0, 10**13, ROWS)).cast(
                pl.Datetime("us", "UTC")
            ),
            "landed": pl.Series(
                [None if m else n for m, n in zip(maybe, rng.integers(15_000, 16_000, ROWS), strict=True)]
            ).cast(pl.Int64)
            * 86_400_000_000,
            "day": pl.Series(rng.integers(15_000, 16_000, ROWS)).cast(pl.Int32).cast(pl.Date),
        }
    ).with_columns(pl.col("landed").cast(pl.Datetime("us")))


@pytest.fixture(scope="module")
def signature(raw):
    return Signature(inputs=tuple(field_of(raw[name]) for name in raw.columns), outputs=OUTPUTS)


@pytest.fixture(scope="module")
def model(raw, signature):
    x = decode_frame(signature.inputs, signature.encode(raw))
    y = ((raw["carrier"] == "UA") ^ (raw["distance"] > 2000)).to_numpy()
    strings = [field.name for field in signature.inputs if field.tensor == "string"]
    numbers = [field.name for field in signature.inputs if field.tensor != "string"]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer((encoder, strings), ("passthrough", numbers)),
        HistGradientBoostingClassifier(max_iter=20),
    ).fit(x, y)


@pytest.fixture
def package(model, raw, signature, objects):
    return pack(model, raw, signature, objects)


def pack(model, raw, signature, objects, **changed):
    x = decode_frame(signature.inputs, signature.encode(raw))
    given = {"golden": raw, "expected": model.predict_proba(x)[:, 1]} | changed
    return packages.pack(model, task="classification", signature=signature, objects=objects, **given)


def test_rows_with_every_kind_of_column_come_back_as_they_were_answered(
    package, model, raw, signature, objects, tmp_path
):
    columns = signature.encode(raw)

    loaded = packages.load(package.digest, objects=objects, cache=tmp_path / "cache")

    expected = model.predict_proba(decode_frame(signature.inputs, columns))[:, 1]
    assert {f.tensor for f in signature.inputs} == {"string", "float32", "int64"}
    assert np.abs(loaded.predict(columns)["probability"] - expected).max() < 1e-12
    assert package.format == "onnx"
    assert loaded.signature == signature


def test_golden_rows_may_come_encoded(model, raw, signature, objects):
    encoded = decode_frame(signature.inputs, signature.encode(raw))

    first, second = pack(model, raw, signature, objects), pack(model, raw, signature, objects, golden=encoded)

    assert first == second


def test_the_digest_covers_all_objects(package, objects):
    manifest = msgspec.json.decode(objects.get(package.digest))

    assert {file["digest"] for file in manifest["files"].values()} | {package.digest} == set(package.objects)
    assert package.size == sum(len(objects.get(digest)) for digest in package.objects)


def test_the_second_load_reads_only_the_cache(package, objects, tmp_path):
    packages.load(package.digest, objects=objects, cache=tmp_path / "cache")
    for digest in package.objects:
        objects.delete(digest)

    loaded = packages.load(package.digest, objects=objects, cache=tmp_path / "cache")

    assert loaded.signature == package.signature


def test_a_damaged_cache_is_mended_from_the_objects(package, objects, tmp_path):
    packages.load(package.digest, objects=objects, cache=tmp_path / "cache")
    (copy,) = (tmp_path / "cache").glob("*/model.onnx")
    whole = copy.read_bytes()
    copy.write_bytes(whole[:100])

    packages.load(package.digest, objects=objects, cache=tmp_path / "cache")

    assert copy.read_bytes() == whole


def test_a_cache_that_cannot_be_written_only_costs_time(package, objects, tmp_path):
    (tmp_path / "cache").write_text("a file stands where the folder should be")

    assert packages.load(package.digest, objects=objects, cache=tmp_path / "cache")


def test_a17_one_altered_byte_in_any_file_at_100_offsets_is_refused(package, objects, tmp_path):
    rng = random.Random(0)
    for digest in package.objects:
        path = path_of(tmp_path, digest)
        whole = path.read_bytes()
        for offset in np.linspace(0, len(whole) - 1, 100).astype(int).tolist():
            damaged = bytearray(whole)
            damaged[offset] ^= 1 << rng.randrange(8)
            overwrite(path, bytes(damaged))

            with pytest.raises(PackageRefused, match="damaged"):
                packages.load(package.digest, objects=objects, cache=tmp_path / "empty")
        overwrite(path, whole)

    assert packages.load(package.digest, objects=objects, cache=tmp_path / "cache")


@pytest.mark.parametrize("length", [0, 1, 1000])
def test_a_file_cut_short_is_refused(package, objects, tmp_path, length):
    path = path_of(tmp_path, package.files["model.onnx"])
    overwrite(path, path.read_bytes()[:length])

    with pytest.raises(PackageRefused, match=r"model\.onnx is damaged or gone"):
        packages.load(package.digest, objects=objects, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:" + "0" * 64, "../../etc/passwd", "sha256:" + "Z" * 64]
)
def test_a_digest_that_is_none_or_unknown_is_refused(objects, tmp_path, digest):
    with pytest.raises(PackageRefused):
        packages.load(digest, objects=objects, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/passwd", "a/b", "", ".hidden", "manifest.json", "a\nb"]
)
def test_a_manifest_may_only_name_plain_files(package, objects, tmp_path, name):
    forged = change(package, objects, lambda m: m["files"].update({name: m["files"]["model.onnx"]}))

    with pytest.raises(PackageRefused, match="plain names"):
        packages.load(forged, objects=objects, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(treadle=99),
        lambda m: m.update(extra=1),
        lambda m: m.pop("files"),
        lambda m: m["files"].pop("golden.msgpack"),
        lambda m: m["files"].pop("model.onnx"),
        lambda m: m.update(format="pickle"),
        lambda m: m.update(format="sklearn"),
        lambda m: m["signature"]["outputs"].pop(),
        lambda m: m["signature"]["inputs"].pop(),
        lambda m: m["files"]["model.onnx"].update(m["files"]["golden.msgpack"]),
    ],
    ids=["layout", "key", "files", "golden", "model", "format", "reader", "outputs", "signature", "swap"],
)
def test_a_forged_manifest_is_refused(package, objects, tmp_path, edit):
    forged = change(package, objects, edit)

    with pytest.raises(PackageRefused):
        packages.load(forged, objects=objects, cache=tmp_path / "cache")


def test_golden_rows_that_no_longer_come_out_are_refused_at_load(package, objects, tmp_path):
    held = golden.from_bytes(objects.get(package.files["golden.msgpack"]), package.signature)
    held.expected[3] = 0.987
    forged = swap(package, objects, "golden.msgpack", golden.to_bytes(held))

    with pytest.raises(
        PackageRefused, match=r"1 of \d+ golden rows differently.*row 3 \(.*instead of 0\.987"
    ):
        packages.load(forged, objects=objects, cache=tmp_path / "cache")


@pytest.mark.parametrize("location", ["../../../etc/passwd", "/etc/passwd", "golden.msgpack"])
def test_a_model_that_reads_other_files_is_refused(package, objects, tmp_path, location):
    held = onnx.load_from_string(objects.get(package.files["model.onnx"]))
    outside = held.graph.initializer[0]
    outside.ClearField("raw_data")
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value=location)
    forged = swap(package, objects, "model.onnx", held.SerializeToString())

    with pytest.raises(PackageRefused, match="external data"):
        packages.load(forged, objects=objects, cache=tmp_path / "cache")


@pytest.mark.parametrize("data", [b"", b"\x80\x04\x95", b"PK\x03\x04", b"\x00" * 100, b"{}"])
def test_a_model_that_does_not_load_is_refused(package, objects, tmp_path, data):
    forged = swap(package, objects, "model.onnx", data)

    with pytest.raises(PackageRefused):
        packages.load(forged, objects=objects, cache=tmp_path / "cache")


def test_a_model_that_answers_otherwise_is_refused_with_the_worst_rows(model, raw, signature, objects):
    x = decode_frame(signature.inputs, signature.encode(raw))
    wrong = model.predict_proba(x)[:, 1]
    wrong[7] = 0.123

    with pytest.raises(
        PackageRefused, match=r"1 of \d+ golden rows differently.*row 7 \(carrier=.*instead of 0.123"
    ):
        pack(model, raw, signature, objects, expected=wrong)


def test_nothing_is_stored_of_a_model_that_is_refused(model, raw, signature, objects):
    with pytest.raises(PackageRefused):
        pack(model, raw, signature, objects, expected=np.zeros(ROWS))

    assert list(objects.list()) == []


def test_a_function_is_unsafe(raw, signature, objects):
    with pytest.raises(
        UnsafeFormat, match="function '.*lambda.*Return a fitted scikit-learn estimator.*allow_pickle=True"
    ):
        packages.pack(
            lambda frame: frame,
            task="classification",
            signature=signature,
            golden=raw,
            expected=np.zeros(ROWS),
            objects=objects,
        )


@pytest.mark.parametrize("expected", [np.zeros(3), np.full(ROWS, np.nan), np.zeros((ROWS, 2))])
def test_golden_rows_need_an_answer_each(model, raw, signature, objects, expected):
    with pytest.raises(InvalidInput, match=r"finite answers, of shape \(\d+,\) as the signature says"):
        pack(model, raw, signature, objects, expected=expected)


def path_of(root, digest):
    name = digest.removeprefix("sha256:")
    (found,) = (root / "objects").rglob(name)
    return found


def overwrite(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


def swap(package, objects, name, data):
    file = {"digest": objects.put(data), "size": len(data)}
    return change(package, objects, lambda manifest: manifest["files"].update({name: file}))


def change(package, objects, edit):
    manifest = msgspec.json.decode(objects.get(package.digest))
    edit(manifest)
    return objects.put(canonical(manifest))


def test_a_model_that_needs_a_library_that_is_not_there_is_refused_with_what_to_install(
    raw, objects, tmp_path, monkeypatch
):
    given = raw.select("distance").with_columns(pl.col("distance").cast(pl.Float32))
    model = xgboost.XGBRegressor(booster="gblinear", n_estimators=3).fit(given, raw["distance"])
    package = packages.pack(
        model,
        task="regression",
        signature=Signature(
            inputs=(field_of(given["distance"]),), outputs=(Field(name="prediction", kind="float"),)
        ),
        golden=given,
        expected=model.predict(given),
        objects=objects,
    )
    monkeypatch.setitem(sys.modules, "xgboost", None)

    with pytest.raises(MissingExtra, match=r"needs the library 'xgboost'.*pip install 'treadle\[xgboost\]'"):
        packages.load(package.digest, objects=objects, cache=tmp_path / "cache")
    assert package.format == "xgboost"
