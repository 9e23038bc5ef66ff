"""Every format, ours and installed ones, passes the contract."""

import pytest

from treadle.core import plugins
from treadle.testing import formats


@pytest.mark.parametrize("check", formats.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", plugins.available("format"))
def test_format_keeps_its_contract(name, check):
    found = plugins.load("format", name)

    check(found)


@pytest.mark.parametrize("name", plugins.available("format"))
def test_format_is_called_like_its_file(name):
    assert name == plugins.load("format", name).NAME
