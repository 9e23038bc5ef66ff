"""A model whose run pins a version of a tree beside the rows."""

from __future__ import annotations

import pytest
import tiny

from treadle.app.workspace import open_workspace
from treadle.core.errors import InvalidDeclaration, NotFound


@pytest.fixture
def shop(tmp_path):
    """The tiny project with a folder of words that its training function reads."""
    root = tiny.make(tmp_path / "shop")
    (root / "words").mkdir()
    (root / "words/list.txt").write_text("one")
    text = (root / "project.py").read_text()
    text = text.replace(
        "@td.model(", 'words = td.Tree("words", source="words")\n\n\n@td.model(\n    trees=[words],'
    )
    seen = (
        '    (HERE / "seen.txt").write_text((data.trees["words"] / "list.txt").read_text())\n    return fit('
    )
    (root / "project.py").write_text(text.replace("    return fit(", seen))
    return root


def test_a_run_pins_a_tree_and_a_change_of_it_is_something_new(shop):
    with open_workspace(shop, overrides={"compute.engine": "inline"}) as workspace:
        first = workspace.run("buys")
        again = workspace.run("buys")
        assert (shop / "seen.txt").read_text() == "one"
        (shop / "words/list.txt").write_text("two")
        second = workspace.run("buys")

        assert (first.unchanged, again.unchanged, second.unchanged) == (False, True, False)
        assert (shop / "seen.txt").read_text() == "two"
        assert [turn.run.data["words"] for turn in (first, second)] == [1, 2]
        assert "tree_version:words/2" in second.run.parents
        assert "tree_version:words/1" in workspace.models.get("buys/1").parents
        assert "dataset_version:visits/1" in workspace.models.get("buys/1").parents
        (shop / "words/list.txt").write_text("three")
        workspace.trees.add(workspace.project.tree("words"))
        assert workspace.trees.collect("words", keep=[]).versions == ()
        assert not (workspace.runs.folder(second.run.id) / "trees").exists()


def test_collecting_keeps_what_a_model_pins_the_last_and_the_young(shop, clock):
    with open_workspace(shop, clock=clock, overrides={"compute.engine": "inline"}) as workspace:
        workspace.run("buys")  # pins version 1 of the words
        for day in range(2, 7):
            clock.advance("1d")
            (shop / "words/list.txt").write_text(f"version {day}")
            workspace.trees.add(workspace.project.tree("words"))
        (status,) = workspace.status().trees
        keep = {"keep_last": 1, "younger_than": "25h"}

        would = workspace.collect(**keep)
        done = workspace.collect(["words"], **keep, dry_run=False)

        assert (status.version, status.files, status.size, status.versions) == (6, 1, 9, 6)
        (tree,) = done.trees
        assert (tree.versions, tree.kept, tree.contents > 0) == ((2, 3, 4), (1, 5, 6), True)
        assert (done.datasets, would.datasets[0].dataset) == ((), "visits")
        assert [one.versions for one in would.trees] == [(2, 3, 4)]
        assert [workspace.trees.read("words", "list.txt", version=n) for n in (1, 5)] == [
            b"one",
            b"version 5",
        ]
        assert workspace.status().trees[0].versions == 3
        with pytest.raises(NotFound, match="Did you mean 'words'"):
            workspace.collect(["wordz"])


def test_a_tree_and_a_dataset_of_one_name_are_refused(shop):
    text = (shop / "project.py").read_text()
    (shop / "project.py").write_text(text.replace('td.Tree("words"', 'td.Tree("visits"'))

    with open_workspace(shop) as workspace, pytest.raises(InvalidDeclaration, match="a dataset are named"):
        _ = workspace.project
