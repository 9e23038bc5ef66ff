"""A plain function is stored only where that is allowed, and then its package stands alone."""

import subprocess
import sys
import textwrap

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import UnsafeFormat
from treadle.core.signature import Field, Signature
from treadle.registry import packages
from treadle.store.objects.objects import Objects

SIGNATURE = Signature(
    inputs=(Field(name="distance", kind="integer"), Field(name="wind", kind="float")),
    outputs=(Field(name="prediction", kind="float"),),
)
ROWS = pl.DataFrame({"distance": [100, 200], "wind": [1.0, 2.0]})


@pytest.fixture
def objects(tmp_path):
    return Objects.open("objects", root=tmp_path, options={})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A module of the user's own, which uses another one."""
    (tmp_path / "rules_of_thumb.py").write_text("def per_mile(wind):\n    return 0.5 + wind / 4\n")
    (tmp_path / "own_model.py").write_text(
        textwrap.dedent(
            """
            import rules_of_thumb

            def delay(frame):
                return frame["distance"].to_numpy() * rules_of_thumb.per_mile(frame["wind"].to_numpy())

            class Estimator:
                def predict(self, frame):
                    return delay(frame)
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("own_model", "rules_of_thumb"):
        sys.modules.pop(name, None)


def pack(model, objects, *, allow_pickle):
    asked = packages.asked(model, signature=SIGNATURE, allow_pickle=allow_pickle)
    return packages.pack(
        model,
        task="regression",
        signature=SIGNATURE,
        golden=ROWS,
        expected=asked.predict(ROWS) if hasattr(asked, "predict") else asked(ROWS),
        objects=objects,
        allow_pickle=allow_pickle,
    )


@pytest.mark.parametrize("kind", ["function", "object"])
def test_a_package_that_may_be_a_pickle_stands_alone_and_says_what_it_is(project, objects, tmp_path, kind):
    import own_model

    package = pack(
        own_model.delay if kind == "function" else own_model.Estimator(), objects, allow_pickle=True
    )
    (project / "own_model.py").unlink()
    (project / "rules_of_thumb.py").unlink()
    program = f"""
import numpy as np
from pathlib import Path
from treadle.registry import packages
from treadle.store.objects.objects import Objects

objects = Objects.open("objects", root=Path({str(tmp_path)!r}), options={{}})
model = packages.load({package.digest!r}, objects=objects, cache=Path("cache"), allow_pickle=True)
rows = {{"distance": np.array([300]), "wind": np.array([10.0], dtype=np.float32)}}
print(model.predict(rows)["prediction"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[900.]"
    assert package.format == "pickle"
    assert package.notes[0].startswith("Stored as a pickle, as its declaration allows: loading it runs code")


def test_without_the_declaration_a_function_is_refused_and_nothing_is_stored(objects):
    with pytest.raises(UnsafeFormat, match="declare allow_pickle=True"):
        pack(lambda frame: np.zeros(2), objects, allow_pickle=False)

    assert list(objects.list()) == []


def test_a_pickle_is_not_loaded_by_somebody_who_does_not_expect_one(objects, tmp_path):
    package = pack(lambda frame: np.zeros(2), objects, allow_pickle=True)

    with pytest.raises(UnsafeFormat, match=r"model\.pickle is a pickle, which runs code"):
        packages.load(package.digest, objects=objects, cache=tmp_path / "cache")
