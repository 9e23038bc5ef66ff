"""Every online back end keeps the contract; the fixtures of `conftest.py` find them by reflection."""

from treadle.testing.online import OnlineContract


class TestOnline(OnlineContract):
    pass
