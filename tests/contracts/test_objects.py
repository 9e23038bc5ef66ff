"""Every objects back end keeps the contract; the fixtures of `conftest.py` find them by reflection."""

from treadle.testing.objects import ObjectsContract


class TestObjects(ObjectsContract):
    pass
