"""Contract suites: what every plug-in of a kind must do, to be run on your own plug-ins too.

Subclass a suite in a test module, and give it the fixture that it asks for:

    from treadle.testing.objects import ObjectsContract

    class TestMyObjects(ObjectsContract):
        @pytest.fixture
        def objects(self): ...
"""
