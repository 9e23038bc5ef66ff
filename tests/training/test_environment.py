"""What a run ran with."""

from __future__ import annotations

import json
import platform
from importlib import metadata

from treadle.store.objects.objects import Objects
from treadle.training import environment


def test_python_and_packages_are_named() -> None:
    found = environment.describe()

    assert found["python"] == platform.python_version()
    assert found["packages"]["polars"] == metadata.version("polars")


def test_the_same_environment_is_the_same_object(folder_objects: Objects) -> None:
    digest = environment.store(folder_objects)

    assert environment.store(folder_objects) == digest
    assert json.loads(folder_objects.get(digest)) == environment.describe()
