"""Performance that is kept by day says what the whole log says, whatever came late, twice, corrected, or is not shipped yet."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import numpy as np
import polars as pl
import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.ids import new_id
from treadle.loop import live
from treadle.loop.matching import Matching
from treadle.loop.performing import Asked, Performing
from treadle.serving.batch import logged
from treadle.serving.entries import OutcomeEntry, PredictionEntry
from treadle.serving.frames import tables_of
from treadle.store.ledger import tables as t

CASE = "buys"
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
DAY = 86_400_000_000
QUESTIONS = [
    ("log_loss", "1d", ("pages",)),
    ("brier", "1w", ("variant",)),
    ("accuracy", "all", ()),
    ("roc_auc", "1d", ()),
    ("f1", "1d", ("revision",)),
    ("log_loss", "1h", ()),
]


class Shop:
    """Answers and outcomes of a tiny model, written as servers write them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.random, self.numbers = workspace, np.random.default_rng(5), count(1)
        self.ids: list[str] = []

    def ship(self, *entries: PredictionEntry | OutcomeEntry) -> None:
        for name, frame in tables_of(entries).items():
            logged.deliver(self.workspace.tables, name, frame, sender="server", number=next(self.numbers))

    def answers(
        self, day: int, rows: int, *, key: str | None = None, sampled: float = 1.0
    ) -> list[PredictionEntry]:
        found = []
        for _ in range(rows):
            request = new_id("")[-26:]
            at = t.micros(BEGIN) + day * DAY + int(self.random.integers(DAY))
            chance = float(self.random.random())
            found.append(
                PredictionEntry(
                    request_id=request,
                    endpoint=CASE,
                    revision=1 + day // 3,
                    model=CASE,
                    version=1,
                    variant="champion" if self.random.random() < 0.5 else "other",
                    assignment="",
                    subject=None,
                    at=at,
                    latency=0.001,
                    inputs={"pages": [float(self.random.integers(3))], "minutes": [2.0]},
                    keys=[None if key is None else json.dumps({"visit_id": key}, separators=(",", ":"))],
                    predictions=[float(chance > 0.5)],
                    probabilities=[chance],
                    sampled=sampled,
                )
            )
            self.ids.append(f"{request}-0")
        return found

    def outcomes(self, ids: list[str], *, day: int) -> OutcomeEntry:
        return OutcomeEntry(
            request_id=new_id("")[-26:],
            endpoint=CASE,
            at=t.micros(BEGIN) + day * DAY + int(self.random.integers(DAY)),
            predictions=list(ids),
            keys=[None] * len(ids),
            values=[float(self.random.random() < 0.5) for _ in ids],
        )

    def some(self, share: float) -> list[str]:
        return [one for one in self.ids if self.random.random() < share]


def whole(workspace: Workspace, metric: str, every: str, by: tuple[str, ...]) -> pl.DataFrame:
    """Return what all rows together say."""
    version = workspace.models.get(f"{CASE}/1")
    known = live.divided(workspace.answered(CASE).lazy(), by, version.signature).collect()
    task = workspace.project.task_of(version)
    found = live.scores(known, task=task, measure=metric, every=every, signature=version.signature, by=by)
    logged_ = live.divided(workspace.predictions.scan(CASE), by, version.signature)
    groups = ["start", "model", "version", *by]
    asked = live.counts(logged_, every=every, by=by)
    return found.join(asked, on=groups, how="left", nulls_equal=True, maintain_order="left")


def agree(workspace: Workspace, questions: list[tuple[str, str, tuple[str, ...]]] = QUESTIONS) -> None:
    for metric, every, by in questions:
        expected = whole(workspace, metric, every, by)
        found = workspace.performance(CASE, metric=metric, every=every, by=by)
        pl.testing.assert_frame_equal(found, expected, rel_tol=1e-12, abs_tol=1e-12)


@pytest.fixture
def shop(inline: Workspace) -> Iterator[Shop]:
    inline.run(CASE)
    return Shop(inline)


def test_it_equals_the_whole_whatever_comes(shop: Shop) -> None:
    workspace = shop.workspace
    first = shop.answers(0, 60) + shop.answers(1, 40)
    shop.ship(*first)
    agree(workspace)

    shop.ship(shop.outcomes(shop.some(0.5), day=1))
    agree(workspace)
    shop.ship(*shop.answers(2, 50, sampled=0.25), *shop.answers(2, 20))
    shop.ship(shop.outcomes(shop.some(0.6), day=2))  # late ones, and corrections
    agree(workspace)
    shop.ship(*first[:5])  # sent again with their ids
    shop.ship(shop.outcomes(shop.some(0.3), day=0))  # said earlier than what is known, so it changes nothing
    workspace.tables.tidy(f"predictions/{CASE}")
    workspace.tables.tidy(f"outcomes/{CASE}")
    agree(workspace)
    shop.ship(*shop.answers(9, 30), shop.outcomes(shop.some(0.8), day=9))
    agree(workspace)


def test_outcomes_by_key_and_those_that_land_are_taken_in(shop: Shop, root: object) -> None:
    workspace = shop.workspace
    ids = workspace.datasets.read("visits").sort("visit_id")["visit_id"].to_list()
    shop.ship(*(one for key in ids[:30] for one in shop.answers(0, 1, key=key)))
    agree(workspace)
    before = set(ids)
    tiny.land(root, 1)  # type: ignore[arg-type]
    shop.ship(*(one for key in ("V02000", "V02001", "none") for one in shop.answers(1, 1, key=key)))
    agree(workspace)

    workspace.ingest("visits")
    new = sorted(set(workspace.datasets.read("visits")["visit_id"]) - before)[:20]
    shop.ship(*(one for key in new for one in shop.answers(1, 1, key=key)))
    agree(workspace)
    key = json.dumps({"visit_id": ids[0]}, separators=(",", ":"))
    told = msgspec.structs.replace(shop.outcomes(shop.ids[:1], day=20), predictions=[None], keys=[key])
    shop.ship(told)
    agree(workspace)
    workspace.datasets.delete("visits", where={"visit_id": ids[1]}, reason="it never was")
    agree(workspace)


def test_rows_that_grew_too_old_leave(shop: Shop) -> None:
    workspace = shop.workspace
    shop.ship(*shop.answers(0, 30), *shop.answers(1, 30), *shop.answers(2, 30))
    shop.ship(shop.outcomes(shop.ids, day=3))
    agree(workspace)

    workspace.tables.expire(f"predictions/{CASE}", column="at", before=BEGIN + timedelta(days=1, hours=7))

    agree(workspace)


def test_rows_of_another_writer_are_seen(shop: Shop) -> None:
    workspace, name = shop.workspace, f"predictions/{CASE}"
    shop.ship(*shop.answers(0, 30))
    shop.ship(shop.outcomes(shop.ids, day=1))
    agree(workspace)
    (frame,) = tables_of(shop.answers(1, 10)).values()

    workspace.tables.append(
        name, frame.with_columns(pl.lit(None, pl.Int64).alias("_commit")), base=workspace.tables.version(name)
    )

    agree(workspace)


def test_only_what_is_new_is_read(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = shop.workspace
    shop.ship(*(one for day in range(20) for one in shop.answers(day, 30)))
    shop.ship(shop.outcomes(shop.ids, day=20))
    agree(workspace)
    read: list[int] = []
    beside = Matching.beside
    monkeypatch.setattr(
        Matching,
        "beside",
        lambda self, rows, *a, **k: read.append(rows.height) or beside(self, rows, *a, **k),
    )

    workspace.performance(CASE, metric="log_loss", every="1d", by=("pages",))
    assert read == []
    late = shop.ids[40:47]
    shop.ship(shop.outcomes(late, day=21))
    workspace.performance(CASE, metric="log_loss", every="1d", by=("pages",))

    assert sum(read) == 2 * len(late)  # as they are now, and as they were


def test_several_at_once_take_each_row_in_once(shop: Shop) -> None:
    workspace = shop.workspace
    shop.ship(*shop.answers(0, 50))
    shop.ship(shop.outcomes(shop.ids, day=1))
    workspace.performance(CASE, metric="brier", every="1d")
    shop.ship(*shop.answers(1, 50), shop.outcomes(shop.some(0.9), day=2))
    asked = Asked(endpoint=CASE, version=workspace.models.get(f"{CASE}/1"), metric="brier", every="1d")

    threads = [threading.Thread(target=Performing(workspace.rooms).scores, args=(asked,)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    agree(workspace, [("brier", "1d", ())])


def test_a_stretch_between_days_is_read_exactly(shop: Shop) -> None:
    workspace = shop.workspace
    shop.ship(*(one for day in range(6) for one in shop.answers(day, 40)))
    shop.ship(shop.outcomes(shop.some(0.9), day=6))
    since, until = BEGIN + timedelta(days=1, hours=5), BEGIN + timedelta(days=4, hours=20)
    asked = Asked(endpoint=CASE, version=workspace.models.get(f"{CASE}/1"), metric="log_loss")

    found = Performing(workspace.rooms).over(asked, since, until)

    assert found is not None
    sums, makeup = found
    known = workspace.answered(CASE).filter((pl.col("at") >= since) & (pl.col("at") < until))
    _, losses = live.losses(
        known, task=workspace.project.models[CASE].task, metric="log_loss", signature=asked.version.signature
    )
    assert sums["n"].to_list() == [known.height]
    np.testing.assert_allclose(makeup.values(sums), [losses["loss"].mean()], rtol=1e-12)
    np.testing.assert_allclose(makeup.variances(sums) * known.height, [losses["loss"].var()], rtol=1e-12)
