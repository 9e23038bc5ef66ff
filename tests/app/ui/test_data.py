"""Pages of data: datasets, versions, contract, quarantine with its way out, differences, profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from hostile_shop import land, visits
from treadle.app.profiled import profiled
from treadle.app.ui.pages import data, dataset, dataset_version
from treadle.app.workspace import Workspace
from treadle.core.errors import NotFound
from ui_pages import Look, Text, said


@pytest.fixture
def bad(shop: Path, workspace: Workspace) -> Workspace:
    """The workspace after rows landed of which some break the contract."""
    land(
        shop,
        "b.csv",
        *visits(400, 20),
        "w1,2024-01-01T00:00:00Z,many,true",
        "w2,2024-01-01T00:00:00Z,<b>,true",
    )
    workspace.ingest("visits")
    return workspace


def test_datasets_are_listed_with_what_is_put_aside(bad: Workspace, look: Look) -> None:
    page = Text(str(data.make(look("/data"))))

    assert "/data/visits" in page.links
    assert "/data/visits/2" in page.links
    assert "2" in page.parts


def test_versions_are_listed_newest_first(bad: Workspace, look: Look) -> None:
    page = Text(str(dataset.make(look("/data/visits", dataset="visits"))))

    numbers = [link.rpartition("/")[2] for link in page.links if link.startswith("/data/visits/")]
    assert numbers == ["2", "1"]


def test_the_contract_is_told_in_words(look: Look) -> None:
    text = said(dataset.make(look("/data/visits?tab=contract", dataset="visits")))

    assert "pages" in text
    assert "always there" in text


def test_rows_in_quarantine_are_shown_with_reason_and_way_out(bad: Workspace, look: Look) -> None:
    page = str(dataset.make(look("/data/visits?tab=quarantine", dataset="visits")))
    text = said(page)

    assert "2 rows in quarantine." in text
    assert "b.csv" in text
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'action="/do/readmit"' in page


def test_a_form_is_shown_to_whom_its_operation_is_allowed(bad: Workspace, look: Look) -> None:
    pages = {
        role: str(dataset.make(look("/data/visits?tab=quarantine", dataset="visits", role=role)))
        for role in ("viewer", "annotator")
    }

    assert 'action="/do/readmit"' in pages["annotator"]
    assert 'action="/do/readmit"' not in pages["viewer"]
    assert "needs the role annotator; yours is viewer" in said(pages["viewer"])


def test_an_empty_quarantine_says_so(look: Look) -> None:
    text = said(dataset.make(look("/data/visits?tab=quarantine", dataset="visits")))

    assert "every row that landed met the contract" in text


def test_rows_are_re_admitted_with_who_and_why(bad: Workspace) -> None:
    done = bad.readmit("visits", reason="typed by hand", reason_has="many", set_={"pages": "7"}, actor="ada")

    assert (done.accepted, done.bad, done.reasons) == (1, 0, ())
    assert bad.quarantine.waiting("visits") == 1
    newest = bad.audit(kind="data", limit=1)[0]
    assert (newest.actor, newest.reason) == ("ada", "readmitted: typed by hand")


def test_the_quarantine_comes_part_by_part(bad: Workspace) -> None:
    everything = bad.quarantine.page("visits").rows

    first = bad.quarantine.page("visits", limit=1)
    second = bad.quarantine.page("visits", limit=1, after=first.after)

    assert (*first.rows, *second.rows) == everything
    assert second.after == ""
    assert [one.rows for one in bad.quarantine.reasons("visits")] == [1, 1]
    assert [one.row for one in bad.quarantine.page("visits", reason="many").rows] == [first.rows[0].row]


def test_a_version_shows_rows_by_split_columns_and_some_rows(look: Look) -> None:
    page = Text(str(dataset_version.make(look("/data/visits/1", dataset="visits", version="1"))))
    text = " ".join(page.parts)

    for split in ("train", "validation", "test"):
        assert split in page.parts
    assert "landing/a.csv" in text
    assert "/data/visits/1/profile" in page.links
    with pytest.raises(NotFound):
        dataset_version.make(look("/data/visits/x", dataset="visits", version="x"))
    with pytest.raises(NotFound):
        dataset_version.make(look("/data/visits/9", dataset="visits", version="9"))


def test_a_profile_is_made_when_asked_for_kept_and_forgotten_with_its_rows(
    workspace: Workspace, look: Look
) -> None:
    path = {"dataset": "visits", "version": "1"}

    offered = said(dataset_version.make_profile(look("/data/visits/1/profile", **path)))
    made = said(dataset_version.make_profile(look("/data/visits/1/profile?make=yes", **path)))
    kept = said(dataset_version.make_profile(look("/data/visits/1/profile", **path)))

    assert "No profile of this version was made yet" in offered
    assert "Column by column" in made
    assert kept == made
    workspace.forget("visits", where={"visit": workspace.datasets.read("visits")["visit"][0]}, reason="asked")
    assert profiled(workspace, "visits", 1, make=False) is None


def test_two_versions_are_compared(bad: Workspace, look: Look) -> None:
    counted = said(dataset.make(look("/data/visits?tab=difference", dataset="visits")))
    moved = said(dataset.make(look("/data/visits?tab=difference&from=1&to=2&moved=yes", dataset="visits")))
    wrong = said(dataset.make(look("/data/visits?tab=difference&from=2&to=1", dataset="visits")))

    assert "400 → 420" in counted
    assert "What moved" in moved
    assert "Choose an earlier version first" in wrong
