from __future__ import annotations

import errno
import os
import resource

import polars as pl
import pytest

from treadle.data import keyindex
from treadle.data.keyindex import Fingerprints, KeyIndex, bounds, look_up


def keys(*numbers):
    return pl.DataFrame({"k": pl.Series(numbers, dtype=pl.Int64), "s": [str(n) for n in numbers]})


def test_keys_are_found_with_the_versions_in_which_they_came(tmp_path):
    index = KeyIndex(tmp_path, identity="a")
    index.extend(Fingerprints(keys(*range(1000))), last=1)
    index.extend(Fingerprints(keys(*range(1000, 1010))), last=4)

    hits = KeyIndex(tmp_path, identity="a").find(Fingerprints(keys(5, 1005, 77777)))

    assert hits.mask.tolist() == [True, True, False]
    assert (hits.first, hits.last) == (1, 4)
    assert index.find(Fingerprints(keys(1003))).first == 2
    assert not index.find(Fingerprints(keys(-1))).mask.any()


def test_small_runs_are_merged_and_nothing_is_lost(tmp_path):
    index = KeyIndex(tmp_path, identity="a")
    for n in range(60):
        index.extend(Fingerprints(keys(*range(n * 10, n * 10 + 10))), last=n + 1)

    assert index.covered == 60
    assert len(list(tmp_path.glob("*.npy"))) <= 8
    assert index.find(Fingerprints(keys(*range(600)))).mask.all()
    assert not index.find(Fingerprints(keys(*range(600, 900)))).mask.any()


@pytest.mark.parametrize("harm", ["identity", "torn", "lost run"])
def test_an_index_that_does_not_fit_is_not_used(tmp_path, harm):
    KeyIndex(tmp_path, identity="a").extend(Fingerprints(keys(1, 2)), last=3)
    if harm == "torn":
        (tmp_path / "state.json").write_text("{")
    if harm == "lost run":
        next(tmp_path.glob("*.npy")).unlink()

    index = KeyIndex(tmp_path, identity="b" if harm == "identity" else "a")

    assert index.covered == 0
    assert not index.find(Fingerprints(keys(1))).mask.any()


@pytest.mark.parametrize("worth", [0, 10**9])
def test_looking_up_reads_only_what_came_since_and_rows_that_may_be_there(tmp_path, monkeypatch, worth):
    monkeypatch.setattr(keyindex, "WORTH_WRITING", worth)
    index, read = KeyIndex(tmp_path, identity="a"), []
    index.extend(Fingerprints(keys(0, 1, 2)), last=1)
    there = {1: keys(0, 1, 2), 2: keys(3, 4)}

    def read_keys(after):
        read.append(after)
        return pl.concat(frame for version, frame in there.items() if version > after)

    def read_rows(wanted, first, last):
        read.append((wanted["k"].to_list(), first, last))
        rows = pl.concat(frame for version, frame in there.items() if first <= version <= last)
        return rows.join(wanted, on="k", how="semi")

    wanted = keys(1, 3, 99)
    found = look_up(
        wanted,
        prints=Fingerprints(wanted),
        index=index,
        newest=2,
        count=5,
        read_keys=read_keys,
        read_rows=read_rows,
    )

    assert sorted(found["k"]) == [1, 3]
    assert read == ([([1], 1, 1), ([1, 3, 99], 2, 2)] if worth else [1, ([1, 3], 1, 2)])


def test_an_index_that_the_disk_refuses_lacks_keys_and_is_right_about_the_others(tmp_path, monkeypatch):
    index = KeyIndex(tmp_path, identity="a")
    index.extend(Fingerprints(keys(1, 2)), last=1)
    monkeypatch.setattr(keyindex, "replacing", _refused)

    index.extend(Fingerprints(keys(3)), last=2)

    assert index.covered == 1
    assert index.find(Fingerprints(keys(1, 3))).mask.tolist() == [True, False]


def test_a_disk_that_refuses_the_end_of_a_run_is_noticed(tmp_path):
    index = KeyIndex(tmp_path, identity="a")
    usual, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        index.extend(Fingerprints(keys(*range(100))), last=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (usual, hard))

    assert index.covered == 0
    assert not KeyIndex(tmp_path, identity="a").find(Fingerprints(keys(1))).mask.any()


def test_a_run_that_was_cut_is_not_used(tmp_path):
    KeyIndex(tmp_path, identity="a").extend(Fingerprints(keys(*range(100))), last=1)
    run = next(tmp_path.glob("*.npy"))
    os.truncate(run, run.stat().st_size - 200)

    assert KeyIndex(tmp_path, identity="a").covered == 0


def _refused(path):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_bounds_hold_every_key():
    wanted = keys(5, 2, 9)
    rows = keys(*range(12)).filter(bounds(wanted, ["k", "s"]))

    assert set(wanted["k"]) <= set(rows["k"])
    assert 0 not in rows["k"]


def test_twins_and_the_range_of_keys_are_told():
    assert Fingerprints(keys(3, 1, 3)).has_twins
    assert not Fingerprints(keys(3, 1, 2)).has_twins
    assert Fingerprints(keys(3, 1, 2)).range == (1, 3)
    assert Fingerprints(pl.DataFrame({"k": ["a"]})).range is None
    assert Fingerprints(keys()).range is None
