from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime

import polars as pl
import pytest

import batch_model
from batch_model import SIGNATURE, Model, load, planned, rows
from treadle.core.errors import Busy, InvalidInput
from treadle.core.progress import Silent
from treadle.core.signature import Field, Signature
from treadle.serving.batch import batch, inputs, plan
from treadle.serving.batch.batch import Place
from treadle.serving.batch.parts import REJECTED
from treadle.serving.batch.rows import Sifted
from treadle.serving.requests import Reader
from treadle.store.tables.tables import Tables


def scored(folder, *files, processes=1, engine="process", **options):
    place, made = planned(folder, *files, **options)
    with place.held():
        done = batch.run(
            made, place, load=load, processes=processes, engine=engine, address="", progress=Silent()
        )
        return place, batch.finish(made, place, done, output=str(place.folder))


def test_every_row_is_scored_once_and_in_order(tmp_path):
    given = rows(4_500)
    given.write_parquet(tmp_path / "in.parquet", row_group_size=700)

    place, manifest = scored(tmp_path, tmp_path / "in.parquet")

    found = pl.read_parquet(place.folder / "part-*.parquet")
    assert (manifest.rows, manifest.rejected, len(manifest.parts)) == (4_500, 0, 5)
    assert found.select(given.columns).equals(given)
    assert found["probability"].to_list() == Model().predict(SIGNATURE.encode(given))["probability"].tolist()
    assert found.select("model_version", "batch").unique().rows() == [("delay/3", manifest.plan.id)]
    for done, part in zip(manifest.parts, manifest.plan.parts, strict=True):
        data = (place.folder / part.name).read_bytes()
        assert done.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_several_processes_give_the_same_digest(tmp_path):
    rows(3_500).write_parquet(tmp_path / "in.parquet")
    (tmp_path / "several").mkdir()

    digests = [
        scored(tmp_path / name, tmp_path / "in.parquet", processes=count)[1].digest
        for name, count in ((".", 1), ("several", 2))
    ]

    assert digests[0] == digests[1]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_text_is_scored_like_parquet(tmp_path, ending):
    given = rows(1_200)
    given.write_parquet(tmp_path / "in.parquet")
    if ending == "jsonl":
        given.write_ndjson(tmp_path / "in.jsonl")
    else:
        given.write_csv(tmp_path / f"in.{ending}", separator="," if ending == "csv" else "\t")
    (tmp_path / "text").mkdir()

    frames = [
        pl.read_parquet(scored(tmp_path / name, file)[0].folder / "part-*.parquet")
        for name, file in ((".", tmp_path / "in.parquet"), ("text", tmp_path / f"in.{ending}"))
    ]

    assert frames[0]["probability"].to_list() == frames[1]["probability"].to_list()


def test_rows_that_do_not_fit_are_put_aside_with_the_reason(tmp_path):
    (tmp_path / "in.csv").write_text(
        "flight,distance,temp,carrier\na,100,1.5,UA\nb,far,2,UA\nc,,3,AA\nd,200,,\ne,7,1e39,AA\nf,8,-inf,AA\n"
    )

    place, manifest = scored(tmp_path, tmp_path / "in.csv")

    aside = pl.read_parquet(place.folder / REJECTED / "part-00000.parquet")
    assert (manifest.rows, manifest.rejected) == (1, 5)
    assert dict(aside.select("flight", "_reason").rows()) == {
        "b": "distance is far, expected an integer",
        "c": "distance is null, expected an integer",
        "d": "carrier is null, expected a string",
        "e": "temp is 1e39, expected a number or null, finite and at most 3.4e38",
        "f": "temp is -inf, expected a number or null, finite and at most 3.4e38",
    }


def test_one_that_does_not_fit_can_end_the_batch(tmp_path):
    (tmp_path / "in.csv").write_text("distance,temp,carrier\n100,1.5,UA\nfar,2,UA\n")

    with pytest.raises(InvalidInput, match="distance is far, expected an integer"):
        scored(tmp_path, tmp_path / "in.csv", misfits="stop")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"distance": [1], "temp": [1.0]}, {}, r"lacks carrier \(a string\). It has distance, temp"),
        ({"distance": ["1"], "temp": [1.0], "carrier": ["A"]}, {}, "is String. Expected an integer"),
        ({"distance": [1], "temp": [[1.0]], "carrier": ["A"]}, {}, "is List"),
        ({"distance": [1], "temp": [1.0], "carrier": ["A"], "prediction": [1]}, {}, "--prefix"),
        ({"distance": [1], "temp": [1.0], "carrier": ["A"]}, {"keep": ("dist",)}, "no column 'dist'"),
        ({"distance": [], "temp": [], "carrier": []}, {}, "no rows"),
    ],
)
def test_what_cannot_be_scored_is_told_before_anything_is_done(tmp_path, columns, options, message):
    pl.DataFrame(columns).write_parquet(tmp_path / "in.parquet")

    with pytest.raises(InvalidInput, match=message):
        planned(tmp_path, tmp_path / "in.parquet", **options)


def test_files_that_are_not_there_or_not_read_are_told(tmp_path):
    (tmp_path / "a.xls").write_bytes(b"")
    (tmp_path / "a.parquet").write_bytes(b"nonsense")

    for bad, message in (("*.orc", "No file is at"), ("a.xls", "cannot be read. Expected")):
        with pytest.raises(InvalidInput, match=message):
            inputs.expand([str(tmp_path / bad)])
    with pytest.raises(InvalidInput, match="a.parquet cannot be read"):
        inputs.of_file(tmp_path / "a.parquet", spool=tmp_path / "spool")


def test_another_batch_does_not_go_into_the_same_place(tmp_path):
    rows(10).write_parquet(tmp_path / "in.parquet")
    rows(10, seed=2).write_parquet(tmp_path / "other.parquet")
    scored(tmp_path, tmp_path / "in.parquet")

    with pytest.raises(InvalidInput, match="holds another batch"):
        planned(tmp_path, tmp_path / "other.parquet")
    with Place(tmp_path / "out").held(), pytest.raises(Busy), Place(tmp_path / "out").held():
        pass


def test_a_table_gets_every_row_once_however_often_it_is_tried(tmp_path):
    rows(2_500).write_parquet(tmp_path / "in.parquet")
    place, manifest = scored(tmp_path, tmp_path / "in.parquet")
    tables = Tables.open("tables", root=tmp_path, options={})
    short = plan.Plan(**{f: getattr(manifest.plan, f) for f in manifest.plan.__struct_fields__} | {"parts": manifest.plan.parts[:1]})  # fmt: skip

    batch.into_table(short, place, tables, "scores/delay")
    for _ in range(2):
        batch.into_table(manifest.plan, place, tables, "scores/delay")

    assert sorted(tables.scan("scores/delay").collect()["flight"]) == sorted(f"f{n}" for n in range(2_500))


def test_a_batch_that_is_killed_again_and_again_ends_with_the_same_digest(tmp_path):
    rows(60_000).write_parquet(tmp_path / "in.parquet")
    (tmp_path / "calm").mkdir()
    calm = scored(tmp_path / "calm", tmp_path / "in.parquet")[1]
    command = [sys.executable, batch_model.__file__, str(tmp_path)]

    kills = 0
    for delay in (0.0, 0.1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert process.stdout.readline() == "planned\n"
        threading.Event().wait(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert kills > 0
    assert json.loads(done.stdout.splitlines()[-1]) == {"digest": calm.digest, "rows": 60_000}


MISFITS = {
    "integer": [1, -(2**63), 2**63 - 1, None],
    "float": [1.5, -3.5e38, 3.4028235e38, float("nan"), float("inf"), None],
    "boolean": [True, None],
    "string": ["", "ü", None],
    "timestamp": [datetime(2013, 1, 1, 5, 15, tzinfo=UTC), None],
    "date": [date(2013, 1, 1), None],
}


@pytest.mark.parametrize("kind", MISFITS)
@pytest.mark.parametrize("nullable", [False, True])
def test_what_fits_is_what_fits_in_a_request_and_has_the_same_bits(kind, nullable):
    signature = Signature(inputs=(Field(name="x", kind=kind, nullable=nullable),))
    reader = Reader(signature, max_rows=10)

    for value in MISFITS[kind]:
        sifted = Sifted(pl.DataFrame({"x": pl.Series([value], strict=False)}), signature, textual=False)
        try:
            expected = reader.objects([{"x": value}]).columns["x"]
        except InvalidInput:
            assert sifted.rows.is_empty(), value
            assert sifted.rejected().height == 1
        else:
            assert sifted.arrays()["x"].tobytes() == expected.tobytes() or expected.dtype == object, value
            assert sifted.arrays()["x"].tolist() == pytest.approx(expected.tolist(), nan_ok=True)


def test_many_equal_texts_are_encoded_like_few():
    signature = Signature(inputs=(Field(name="x", kind="string", nullable=True),))
    texts = [None, "", "ü", "a"] * 1_000

    assert Sifted(pl.DataFrame({"x": texts}), signature, textual=False).arrays()["x"].tolist() == [
        text or "" for text in texts
    ]


def test_a_number_that_is_too_large_is_put_aside_alone():
    signature = Signature(inputs=(Field(name="x", kind="integer"),), outputs=())
    given = pl.DataFrame({"x": pl.Series([1, 2**63 + 5, 3], dtype=pl.UInt64)})

    sifted = Sifted(given, signature, textual=False)

    assert sifted.arrays()["x"].tolist() == [1, 3]
    assert sifted.rejected()["x"].to_list() == [2**63 + 5]


def test_lines_of_json_may_have_names_and_kinds_of_numbers_that_come_late(tmp_path):
    lines = [{"x": 1}] * 150 + [{"x": 1.5, "note": "late"}]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    found = inputs.of_file(tmp_path / "in.jsonl", spool=tmp_path / "spool.parquet")

    read = pl.read_parquet(found.file)
    assert read.tail(1).to_dicts() == [{"x": 1.5, "note": "late"}]
    assert read["note"].null_count() == 150
