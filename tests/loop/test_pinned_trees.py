"""A model whose run pins a version of a tree beside the rows."""

from __future__ import annotations

import pytest
import tiny

from treadle.app.workspace import open_workspace
from treadle.core.errors import InvalidDeclaration


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


def test_a_tree_and_a_dataset_of_one_name_are_refused(shop):
    text = (shop / "project.py").read_text()
    (shop / "project.py").write_text(text.replace('td.Tree("words"', 'td.Tree("visits"'))

    with open_workspace(shop) as workspace, pytest.raises(InvalidDeclaration, match="a dataset are named"):
        _ = workspace.project
