"""Every tables back end keeps the contract; the fixtures of `conftest.py` find them by reflection."""

from treadle.testing.tables import TablesContract


class TestTables(TablesContract):
    pass
