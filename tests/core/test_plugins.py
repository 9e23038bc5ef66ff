"""Plug-ins are found by name, without importing them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from treadle.core import plugins
from treadle.core.errors import NotFound


def test_listing_imports_no_plugin():
    code = (
        "import sys; from treadle.core import plugins; names = plugins.available('trigger'); "
        "print({'age', 'every', 'new_rows'} <= set(names), any(m.startswith('treadle.loop.triggers.') for m in sys.modules))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "True False"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(NotFound, match=r"No trigger plug-in named 'aeg'.*Did you mean 'age'\?"):
        plugins.load("trigger", "aeg")


def test_a_class_is_found_in_the_module_of_its_name():
    assert plugins.public_class("trigger", "NewRows").__name__ == "NewRows"


def test_an_unknown_class_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Available: age, "):
        plugins.public_class("trigger", "Never")
