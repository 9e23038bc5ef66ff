"""Every ledger back end keeps the contract; the fixtures of `conftest.py` find them by reflection."""

from treadle.testing.ledger import LedgerContract


class TestLedger(LedgerContract):
    pass
