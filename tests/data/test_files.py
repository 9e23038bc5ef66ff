from __future__ import annotations

import gzip
import io
import zipfile

import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.data.sources.files import Files

CSV = b"id,name\n1,a\n2,\n"
ROWS = [("1", "a"), ("2", None)]


def parse(tmp_path, name, data, **options):
    (tmp_path / name).write_bytes(data)
    source = Files(name, **options)
    (file,) = source.listing(tmp_path)
    return source.parse(file, source.fetch(file))


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def parquet(frame):
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", CSV),
        ("a.csv", b"\xef\xbb\xbf" + CSV),
        ("a.csv", CSV.replace(b"\n", b"\r\n")),
        ("a.csv", b'id,name\n"1","a"\n"2",""\n'),
        ("a.csv", b"id,name\n1,a\n\n2,\n\n\n"),
        ("a.csv.gz", gzip.compress(CSV)),
        ("a.csv.zip", zipped(**{"a.csv": CSV, "__MACOSX/._a.csv": b"x"})),
        ("a.jsonl", b'{"id": "1", "name": "a"}\n\n{"id": "2"}\n'),
        ("a.jsonl.gz", gzip.compress(b'{"id": "1", "name": "a"}\n{"id": "2", "name": null}')),
        ("a.parquet", parquet(pl.DataFrame({"id": ["1", "2"], "name": ["a", None]}))),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path, name, data):
    raw = parse(tmp_path, name, data)

    assert raw.frame.columns == ["id", "name"]
    assert raw.frame.rows() == ROWS
    assert not raw.broken


def test_other_delimiters_and_null_texts(tmp_path):
    raw = parse(tmp_path, "a.csv", b"id;name\n1;NA\n2;x,y\n", delimiter=";", null_values=["NA"])

    assert raw.frame.rows() == [("1", None), ("2", "x,y")]


def test_rows_with_too_many_or_too_few_cells_are_broken_rows(tmp_path):
    raw = parse(tmp_path, "a.csv", b'id,name\n1,a\n2\n3,"b,c"\n4,d,e\n')

    assert raw.broken == {2: "has 1 cells; expected 2: id, name", 4: "has 3 cells; expected 2: id, name"}
    assert raw.frame["name"].to_list() == ["a", None, "b,c", "d"]


def test_a_json_line_that_is_no_object_is_a_broken_row(tmp_path):
    raw = parse(tmp_path, "a.jsonl", b'{"id": 1}\n[2]\n{"id": 3\n{"id": 4}\n')

    assert raw.frame["id"].to_list() == [1, None, None, 4]
    assert list(raw.broken) == [2, 3]
    assert "is not a JSON object" in raw.broken[2]


def test_two_objects_in_one_json_line_are_a_broken_row(tmp_path):
    raw = parse(tmp_path, "a.jsonl", b'{"id": 1}\n{"id": 2},{"id": 3}\n')

    assert list(raw.broken) == [2]


def test_json_columns_of_several_types_keep_each_cell(tmp_path):
    raw = parse(tmp_path, "a.jsonl", b'{"x": 1}\n{"x": "1"}\n{"x": [1]}\n{"x": null}\n')

    assert raw.mixed == {"x"}
    assert raw.frame["x"].to_list() == ["1", '"1"', "[1]", None]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv.gz", gzip.compress(b""), "is empty"),
        ("a.csv", b"id,id\n1,2\n", "two columns named 'id'"),
        ("a.csv", b"id,name\n\xff,2\n", "is not UTF-8: byte 8 is 0xff"),
        ("a.csv", b'id,name\n1,"a\n2,b\n', "is not whole"),
        ("a.csv.gz", gzip.compress(CSV)[:-9], "is not a whole .gz file"),
        ("a.csv.gz", CSV, "is not a whole .gz file"),
        ("a.csv.zip", b"PK", "is not a whole .zip file"),
        ("a.csv.zip", zipped(**{"a.csv": CSV, "b.csv": CSV}), "holds 2 files"),
        ("a.parquet", parquet(pl.DataFrame({"a": range(1000)}))[:-100], "is not a whole Parquet file"),
        ("a.parquet", b"PAR1", "is not a whole Parquet file"),
        ("a.jsonl", b"[\n", "is not JSON lines"),
        ("a.dat", CSV, "'dat' is no known format"),
    ],
)
def test_a_broken_file_is_told_by_its_name(tmp_path, name, data, told):
    with pytest.raises(SourceUnreadable, match=told) as caught:
        parse(tmp_path, name, data)

    assert str(caught.value).startswith(name)


def test_a_listing_knows_folders_globs_and_files_on_their_way(tmp_path):
    for name in (
        "in/b.csv",
        "in/a.csv",
        "in/deep/c.parquet",
        "in/.d.csv",
        "in/_e.csv",
        "in/f.csv.tmp",
        "in/note.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(CSV)

    def paths(pattern):
        return [file.path for file in Files(pattern).listing(tmp_path)]

    assert paths("in") == ["in/a.csv", "in/b.csv", "in/deep/c.parquet"]
    assert paths("in/*.csv") == ["in/a.csv", "in/b.csv"]
    assert paths("in/**/*.parquet") == ["in/deep/c.parquet"]
    assert paths(str(tmp_path / "in" / "a.csv")) == ["in/a.csv"]
    assert paths("nowhere/*.csv") == []
    assert paths("nowhere.csv") == []


def test_the_stamp_changes_when_a_file_is_replaced(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV)
    (before,) = Files("a.csv").listing(tmp_path)

    (tmp_path / "fresh").write_bytes(CSV)
    (tmp_path / "fresh").replace(path)
    (after,) = Files("a.csv").listing(tmp_path)

    assert before.stamp != after.stamp


@pytest.mark.parametrize("options", [{"format": "xml"}, {"delimiter": "||"}, {"null_values": "NA"}])
def test_options_that_cannot_hold_are_refused(options):
    with pytest.raises(InvalidDeclaration, match="Expected"):
        Files("a.csv", **options)
