"""Every tables back end keeps the contract; the fixtures of `conftest.py` find them by reflection."""

import os

import pytest

from treadle.testing.tables import TablesContract


class TestTables(TablesContract):
    @pytest.fixture
    def deliveries(self) -> int:
        return int(os.environ.get("TREADLE_TEST_APPENDS", "10"))
