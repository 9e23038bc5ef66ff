"""What every online back end must do."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from treadle.core.errors import Conflict, InvalidInput
from treadle.store.online.backend import LONGEST_KEY, ORDER
from treadle.store.online.online import Online

_NAME = b"treadle/shop/prices/2f0c/"
_HEAD = b"\x00writer 1"


def _value(order: int, text: bytes = b"") -> bytes:
    return order.to_bytes(ORDER) + text


class OnlineContract:
    """Give the fixture `online` (empty)."""

    def test_what_nobody_put_is_none(self, online: Online) -> None:
        """A store that was never written to can be read."""
        assert online.get([_NAME + b"apple", _NAME + b"pear"]) == [None, None]
        assert online.get([]) == []
        assert online.state(_NAME) is None
        assert online.namespaces() == []

    def test_values_come_back_in_the_order_of_the_keys(self, online: Online) -> None:
        """Bytes come back the same; a key may be asked for twice."""
        online.note(_NAME, _HEAD)

        written = online.put(
            _NAME, [(_NAME + bytes([n]), _value(n, bytes(n))) for n in range(256)], head=_HEAD
        )

        assert written == 256
        assert online.get([_NAME + b"\xff", _NAME, _NAME + b"\x00", _NAME + b"\xff"]) == [
            _value(255, bytes(255)),
            None,
            _value(0),
            _value(255, bytes(255)),
        ]

    def test_an_older_value_does_not_take_the_place_of_a_newer_one(self, online: Online) -> None:
        """The first bytes decide, as unsigned numbers; a value as new as the stored one takes its place."""
        online.note(_NAME, _HEAD)
        key = _NAME + b"apple"
        big, bigger = 127, 128  # as signed bytes, the second would be the smaller

        assert online.put(_NAME, [(key, _value(big, b"first"))], head=_HEAD) == 1
        assert online.put(_NAME, [(key, _value(bigger, b"second"))], head=_HEAD) == 1
        assert online.put(_NAME, [(key, _value(big, b"third"))], head=_HEAD) == 0
        assert online.put(_NAME, [(key, _value(bigger, b"fourth"))], head=_HEAD) == 1

        assert online.get([key]) == [_value(bigger, b"fourth")]

    @pytest.mark.parametrize("noted", [None, b"writer 2"], ids=["never written", "another writer"])
    def test_a_writer_who_is_not_expected_changes_nothing(self, online: Online, noted: bytes | None) -> None:
        """Thus one that was taken for dead is kept out, and an emptied store is noticed."""
        key = _NAME + b"apple"
        if noted is not None:
            online.note(_NAME, noted)
            online.put(_NAME, [(key, _value(1))], head=noted)
        before = online.get([key])

        with pytest.raises(Conflict):
            online.put(_NAME, [(key, _value(2))], head=_HEAD)
        with pytest.raises(Conflict):
            online.delete(_NAME, [key], head=_HEAD)
        with pytest.raises(Conflict):
            online.note(_NAME, b"writer 3", was=_HEAD)

        assert online.get([key]) == before
        assert getattr(online.state(_NAME), "head", None) == noted

    def test_a_head_changes_only_from_what_was_expected(self, online: Online) -> None:
        """Without an expectation it is set, whatever it was."""
        online.note(_NAME, b"1")
        online.note(_NAME, b"2", was=b"1")
        online.note(_NAME, b"3")

        assert getattr(online.state(_NAME), "head", None) == b"3"

    def test_keys_are_counted(self, online: Online) -> None:
        """Putting twice and deleting twice count once."""
        online.note(_NAME, _HEAD)
        keys = [_NAME + str(n).encode() for n in range(5)]

        online.put(_NAME, [(key, _value(1)) for key in keys], head=_HEAD)
        online.put(_NAME, [(key, _value(2)) for key in keys[:3]], head=_HEAD)
        removed = [online.delete(_NAME, keys[:2], head=_HEAD) for _ in range(2)]
        online.note(_NAME, b"next")

        assert removed == [2, 0]
        assert online.state(_NAME) == (b"next", 3)
        assert online.get(keys[1:3]) == [None, _value(2)]

    def test_a_scan_finds_every_key_of_its_namespace_and_no_other(self, online: Online) -> None:
        """Also where the name has characters that mean something in patterns."""
        many = {b"treadle/a*[b]?/" + str(n).encode(): _value(n, b"x" * 100) for n in range(2_500)}
        other = b"treadle/aaab-/"
        for name, values in {b"treadle/a*[b]?/": many, other: {other + b"1": _value(1)}}.items():
            online.note(name, _HEAD)
            online.put(name, list(values.items()), head=_HEAD)

        found = [pair for batch in online.scan(b"treadle/a*[b]?/") for pair in batch]

        assert dict(found) == {key: value[:ORDER] for key, value in many.items()}
        assert online.namespaces() == sorted([b"treadle/a*[b]?/", other])
        assert online.namespaces(b"treadle/aa") == [other]

    def test_what_is_cleared_is_gone_and_nothing_else(self, online: Online) -> None:
        """Clearing twice is as good as once."""
        names = [b"treadle/shop/prices/1/", b"treadle/shop/prices/12/"]
        for name in names:
            online.note(name, _HEAD)
            online.put(name, [(name + str(n).encode(), _value(n)) for n in range(1_500)], head=_HEAD)

        removed = [online.clear(names[0]) for _ in range(2)]

        assert removed == [1_500, 0]
        assert online.namespaces() == [names[1]]
        assert online.state(names[0]) is None
        assert online.state(names[1]) == (_HEAD, 1_500)
        assert online.get([names[0] + b"7", names[1] + b"7"]) == [None, _value(7)]

    def test_tidying_keeps_what_is_there(self, online: Online) -> None:
        """It may be done at any time, as often as one likes, and one can go on writing."""
        online.note(_NAME, _HEAD)
        online.put(_NAME, [(_NAME + str(n).encode(), _value(n)) for n in range(100)], head=_HEAD)
        online.delete(_NAME, [_NAME + b"7"], head=_HEAD)

        online.tidy()
        online.tidy()

        assert online.state(_NAME) == (_HEAD, 99)
        assert online.get([_NAME + b"7", _NAME + b"8"]) == [None, _value(8)]
        assert online.put(_NAME, [(_NAME + b"7", _value(1))], head=_HEAD) == 1

    def test_a_key_that_is_too_long_or_of_another_namespace_is_refused(self, online: Online) -> None:
        """The longest that is allowed can be stored."""
        online.note(_NAME, _HEAD)
        longest = _NAME + b"x" * (LONGEST_KEY - len(_NAME))

        online.put(_NAME, [(longest, _value(1))], head=_HEAD)
        for bad in (longest + b"x", b"treadle/shop/costs/2f0c/apple"):
            with pytest.raises(InvalidInput):
                online.put(_NAME, [(bad, _value(1))], head=_HEAD)

        assert online.get([longest]) == [_value(1)]

    def test_many_read_while_one_writes(self, online: Online) -> None:
        """Every read gives whole values, of which none is older than one that was read before."""
        online.note(_NAME, _HEAD)
        keys = [_NAME + str(n).encode() for n in range(20)]
        done = threading.Event()

        def read() -> bool:
            before = [b""] * len(keys)
            while not done.is_set():
                found = [value or b"" for value in online.get(keys)]
                if any(len(value) not in {0, 200} for value in found):
                    return False
                if any(new < old for new, old in zip(found, before, strict=True)):
                    return False
                before = found
            return True

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read) for _ in range(4)]
            for round_ in range(50):
                filler = bytes([round_]) * (200 - ORDER)
                online.put(_NAME, [(key, _value(round_, filler)) for key in keys], head=_HEAD)
            done.set()

        assert [reader.result() for reader in readers] == [True] * 4
