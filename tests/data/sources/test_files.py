from __future__ import annotations

import gzip
import io
import random
import re
import zipfile
from pathlib import Path

import obstore
import polars as pl
import pytest
from obstore.store import S3Store

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


def arrow(frame, *, stream=False):
    buffer = io.BytesIO()
    (frame.write_ipc_stream if stream else frame.write_ipc)(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", CSV),
        ("a.csv", b"\xef\xbb\xbf" + CSV),
        ("a.csv", CSV.replace(b"\n", b"\r\n")),
        ("a.csv", b'id,name\n"1","a"\n"2",""\n'),
        ("a.csv", b"id,name\n1,a\n\n2,\n\n\n"),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)),
        ("a.csv.zip", zipped(**{"a.csv": CSV, "__MACOSX/._a.csv": b"x"})),
        ("a.jsonl", b'{"id": "1", "name": "a"}\n\n{"id": "2"}\n'),
        ("a.jsonl.gz", gzip.compress(b'{"id": "1", "name": "a"}\n{"id": "2", "name": null}', mtime=0)),
        ("a.parquet", parquet(pl.DataFrame({"id": ["1", "2"], "name": ["a", None]}))),
        ("a.feather", arrow(pl.DataFrame({"id": ["1", "2"], "name": ["a", None]}))),
        ("a.arrow", arrow(pl.DataFrame({"id": ["1", "2"], "name": ["a", None]}), stream=True)),
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
        ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("a.csv", b"id,id\n1,2\n", "two columns named 'id'"),
        ("a.csv", b"id,name\n\xff,2\n", "is not UTF-8: byte 8 is 0xff"),
        ("a.csv", b'id,name\n1,"a\n2,b\n', "is not whole"),
        ("a.csv.gz", gzip.compress(CSV, mtime=0)[:-9], "is not a whole .gz file"),
        ("a.csv.gz", CSV, "is not a whole .gz file"),
        ("a.csv.zip", b"PK", "is not a whole .zip file"),
        ("a.csv.zip", zipped(**{"a.csv": CSV, "b.csv": CSV}), "holds 2 files"),
        ("a.parquet", parquet(pl.DataFrame({"a": range(1000)}))[:-100], "is not a whole Parquet file"),
        ("a.parquet", b"PAR1", "is not a whole Parquet file"),
        ("a.arrow", arrow(pl.DataFrame({"a": range(1000)}))[:-100], "is not a whole Arrow file"),
        ("a.arrow", b"ARROW1", "is not a whole Arrow file"),
        ("a.ipc", arrow(pl.DataFrame({"a": range(1000)}), stream=True)[:-2000], "is not a whole Arrow file"),
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


PATTERNS = (
    "in/**/*.csv",
    "in/*.csv",
    "in/*/*.csv",
    "in/**/b/*.csv",
    "in/a/**/*.csv",
    "**/*.csv",
    "i?/[ab]/x*.csv",
    "in/b/x1.csv",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_what_it_means_to_pathlib(tmp_path, pattern):
    chance = random.Random(7)
    for _ in range(60):
        folder = tmp_path / "in" / "/".join(chance.choices("abc", k=chance.randint(0, 3)))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{chance.choice('xy_.')}{chance.randint(0, 2)}.csv{chance.choice(['', '.tmp'])}").touch()
    (tmp_path / "in" / "x.csv").mkdir(exist_ok=True)
    (tmp_path / "in" / "a" / "link").symlink_to(tmp_path / "in" / "b")

    found = [file.path for file in Files(pattern).listing(tmp_path)]

    paths = [path for path in tmp_path.glob(pattern) if path.is_file()]
    expected = {
        str(path.relative_to(tmp_path))
        for path in paths
        if path.name[0] not in "._" and path.suffix == ".csv"
    }
    assert found == sorted(expected)
    assert found


def test_files_elsewhere_are_known_by_their_whole_path(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "out" / "a.csv").write_bytes(CSV)

    (whole,) = Files(str(tmp_path / "out" / "*.csv")).listing(tmp_path / "project")
    (upward,) = Files("../out/*.csv").listing(tmp_path / "project")

    assert whole.path == str(tmp_path / "out" / "a.csv")
    assert upward.path == "../out/a.csv"
    assert Files("../out/*.csv").fetch(upward) == CSV


@pytest.fixture
def landed(s3, seaweed):
    """Objects of a bucket, and what puts one."""
    name, _, prefix = s3.removeprefix("s3://").partition("/")
    config = {key: value for key, value in seaweed.options.items() if key != "AWS_ALLOW_HTTP"}
    store = S3Store(name, config=config, client_options={"allow_http": True})

    def put(*names, data=CSV):
        for one in names:
            obstore.put(store, f"{prefix}/{one}", data)

    put(
        "in/b.csv",
        "in/a.csv",
        "in/deep/c.csv",
        "in/deep/er/d.csv",
        "in/_e.csv",
        "in/f.csv.tmp",
        "in/note.md",
        "inn/g.csv",
    )
    return s3, put


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("in/*.csv", ["in/a.csv", "in/b.csv"]),
        ("in/**/*.csv", ["in/a.csv", "in/b.csv", "in/deep/c.csv", "in/deep/er/d.csv"]),
        ("in/*/*.csv", ["in/deep/c.csv"]),
        ("in/**/er/*", ["in/deep/er/d.csv"]),
        ("in*/[ag].csv", ["in/a.csv", "inn/g.csv"]),
        ("in", ["in/a.csv", "in/b.csv", "in/deep/c.csv", "in/deep/er/d.csv"]),
        ("in/", ["in/a.csv", "in/b.csv", "in/deep/c.csv", "in/deep/er/d.csv"]),
        ("in/a.csv", ["in/a.csv"]),
        ("in/nothing.csv", []),
        ("nowhere/**/*.csv", []),
    ],
)
def test_a_pattern_chooses_objects_of_a_bucket(tmp_path, landed, pattern, names):
    url, _ = landed

    files = Files(f"{url}/{pattern}").listing(tmp_path)

    assert [file.path for file in files] == [f"{url}/{name}" for name in names]
    assert all(file.size == len(CSV) for file in files)


def test_an_object_is_read_and_its_stamp_changes_when_it_is_replaced(tmp_path, landed, seaweed):
    url, put = landed
    source = Files(f"{url}/in/a.csv")
    (before,) = source.listing(tmp_path)

    assert source.parse(before, source.fetch(before)).frame.rows() == ROWS
    assert source.listing(tmp_path) == [before]
    put("in/a.csv", data=CSV.replace(b"a", b"b"))
    assert source.listing(tmp_path)[0].stamp != before.stamp


def test_a_bucket_that_cannot_be_read_is_told(tmp_path, landed, monkeypatch):
    url, _ = landed
    (file,) = Files(f"{url}/in/a.csv").listing(tmp_path)
    gone = file.__class__(
        **{**{f: getattr(file, f) for f in file.__struct_fields__}, "place": f"{url}/gone.csv"}
    )

    with pytest.raises(SourceUnreadable, match=re.escape("in/a.csv cannot be read: it is gone")):
        Files(f"{url}/in/a.csv").fetch(gone)
    with pytest.raises(SourceUnreadable, match="there is no bucket 'nobody-made-this'"):
        Files("s3://nobody-made-this/*.csv").listing(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(SourceUnreadable, match="refuses these credentials") as caught:
        Files(f"{url}/in/*.csv").listing(tmp_path)
    assert "wrong-secret" not in str(caught.value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceUnreadable, match="does not answer"):
        Files(f"{url}/in/*.csv").listing(tmp_path)


def test_a_folder_that_is_not_there_has_no_files(tmp_path):
    assert Files("nowhere/**/*.csv").listing(tmp_path) == []
    assert Files(str(Path("nowhere") / "a.csv")).listing(tmp_path) == []


@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_a4_a_bomb_is_refused_before_it_is_unpacked(tmp_path, packing):
    plain = b"k\n" + b"0\n" * 40_000_000
    path = tmp_path / f"a.csv.{packing}"
    if packing == "gz":
        path.write_bytes(gzip.compress(plain, mtime=0))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", plain)
    source = Files("*.csv.*")
    [file] = source.listing(tmp_path)

    with pytest.raises(SourceUnreadable, match=r"unpacks to more than 200 times its [\d,]+ bytes"):
        source.parse(file, source.fetch(file))


def test_a4_a_zip_of_a_million_members_is_refused_before_they_are_listed(tmp_path):
    directory = (b"PK\1\2" + bytes(42)) * 1_000_000
    end = b"PK\5\6" + bytes(8) + len(directory).to_bytes(4, "little") + bytes(6)
    (tmp_path / "a.csv.zip").write_bytes(directory + end)
    source = Files("*.zip")
    [file] = source.listing(tmp_path)

    with pytest.raises(SourceUnreadable, match="it has more than 1,000 members"):
        source.parse(file, source.fetch(file))


def test_a4_an_encrypted_member_is_told(tmp_path):
    data = bytearray(zipped(**{"a.csv": CSV}))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + at] |= 1

    with pytest.raises(SourceUnreadable, match="'a.csv' is encrypted"):
        parse(tmp_path, "a.csv.zip", bytes(data))
