"""Ids and digests."""

from __future__ import annotations

import os
import time

import pytest

from treadle.core.ids import digest_of, new_id


def test_ids_sort_in_the_order_in_which_they_were_made():
    made = [new_id("run") for _ in range(10_000)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_an_id_sorts_after_the_one_that_a_clock_ahead_of_ours_made():
    ahead = "run_7zzzzzzzzzzzzzzzz000000000"

    made = new_id("run", after=ahead)

    assert made > ahead
    assert len(made) == len(ahead)
    assert new_id("run") < ahead


def test_equal_values_have_equal_digests():
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_draws_other_ids_than_its_parent():
    new_id()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, " ".join(new_id()[-16:] for _ in range(20)).encode())
        os._exit(0)
    os.waitpid(child, 0)

    of_child = os.read(read, 4096).decode().split()

    assert len(of_child) == 20
    assert not set(of_child) & {new_id()[-16:] for _ in range(300)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_makes_other_ids_than_its_parent_within_a_millisecond(monkeypatch):
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    for _ in range(50):
        new_id()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, " ".join(new_id() for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)

    of_child = os.read(read, 8192).decode().split()

    assert len(of_child) == 100
    assert not set(of_child) & {new_id() for _ in range(300)}


def test_the_moment_of_an_id_is_its_first_ten_digits():
    before = time.time_ns() // 1_000_000

    made = new_id()

    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    moment = sum(digits.index(digit) << 5 * place for place, digit in enumerate(reversed(made[:10])))
    assert before <= moment <= time.time_ns() // 1_000_000 + 1
