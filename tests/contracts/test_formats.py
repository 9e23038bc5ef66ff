"""Every format, ours and installed ones, passes the contract."""

from importlib.util import find_spec

import pytest

from treadle.core import plugins
from treadle.testing import formats

#: Libraries of 800 MB together, which `make deep` installs.
DEEP = ("torch", "keras")


@pytest.mark.parametrize("check", formats.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", plugins.available("format"))
def test_format_keeps_its_contract(name, check):
    if name in DEEP and find_spec(name) is None:
        pytest.skip(f"{name} is not installed: make deep")
    found = plugins.load("format", name)

    check(found)


@pytest.mark.parametrize("name", plugins.available("format"))
def test_format_is_called_like_its_file(name):
    assert name == plugins.load("format", name).NAME
