"""A batch on a real Ray: the same files as in this process, also after workers were killed, and errors that say what is wrong."""

from __future__ import annotations

import os
import sys

import polars as pl
import pytest

import batch_model
from batch_model import planned, rows
from treadle.core.errors import InvalidInput, RunFailed
from treadle.core.progress import Silent
from treadle.serving.batch import batch

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Ray begins with the first batch, as for a user, and ends with this file."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        # Its workers import the model of these tests where pytest does.
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield
        ray.shutdown()


def scored(folder, *, engine, load=batch_model.load, **options):
    folder.mkdir()
    place, made = planned(folder, folder.parent / "in.parquet", **options)
    with place.held():
        done = batch.run(made, place, load=load, processes=1, engine=engine, address="", progress=Silent())
        return batch.finish(made, place, done, output=str(place.folder))


class Dying:
    """Loads the model in a process that dies, so many times in all."""

    def __init__(self, notes, times):
        self.notes, self.times = notes, times

    def __call__(self):
        for number in range(self.times):
            try:
                (self.notes / f"death-{number}").open("x").close()
            except FileExistsError:
                continue
            os._exit(1)
        return batch_model.load()


def test_ray_gives_the_same_digest_as_this_process(tmp_path):
    rows(3_500).write_parquet(tmp_path / "in.parquet")

    here, there = (scored(tmp_path / engine, engine=engine) for engine in ("process", "ray"))

    assert len(there.parts) == 4
    assert (there.digest, there.rows) == (here.digest, 3_500)


def test_workers_that_die_are_replaced(tmp_path):
    rows(2_500).write_parquet(tmp_path / "in.parquet")
    here = scored(tmp_path / "here", engine="process")
    (tmp_path / "notes").mkdir()

    there = scored(tmp_path / "there", engine="ray", load=Dying(tmp_path / "notes", 2))

    assert there.digest == here.digest
    assert len(list((tmp_path / "notes").iterdir())) == 2


def test_workers_that_die_for_ever_end_the_batch_with_a_word(tmp_path):
    rows(10).write_parquet(tmp_path / "in.parquet")
    (tmp_path / "notes").mkdir()

    with pytest.raises(RunFailed, match="Workers of the batch died on the cluster"):
        scored(tmp_path / "there", engine="ray", load=Dying(tmp_path / "notes", 1_000))


def test_a_row_that_does_not_fit_is_told_as_without_ray(tmp_path):
    odd = rows(100).with_columns(pl.lit(1e39).alias("temp"))
    odd.write_parquet(tmp_path / "in.parquet")

    with pytest.raises(InvalidInput) as refused:
        scored(tmp_path / "there", engine="ray", misfits="stop")

    assert "100 rows that do not fit" in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert "ray::" not in str(refused.value)
