from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from treadle.core.errors import Busy, Conflict, InvalidInput, NotFound, PackageRefused
from treadle.core.records import ServerState, Variant, to_json
from treadle.core.traffic import Cascade, Split
from treadle.store.ledger import processes, tables

CHAMPION = Variant(name="champion", model="delay", version=1)


def SHADOW(weight=0.0, shadow=0.5):
    return Variant(name="next", model="delay", version=2, weight=weight, shadow=shadow)


def state(clock, revision, *, refused=None, server="here", process=None):
    who = msgspec.json.encode(process or processes.this()).decode()
    error = "no such operator" if refused else ""
    return ServerState(
        server=server,
        process=who,
        endpoint="delay",
        revision=revision,
        refused=refused,
        error=error,
        at=clock.now(),
    )


def test_a_change_is_a_new_revision(endpoints, revise):
    revise(("champion", 1, 1.0))

    revise(("champion", 2, 0.9), ("challenger", 3, 0.1))

    assert [revision.revision for revision in endpoints.revisions("delay")] == [1, 2]
    assert [variant.version for variant in endpoints.get("delay").variants] == [2, 3]
    assert endpoints.current() == {"delay": endpoints.get("delay")}
    assert endpoints.names() == ["delay"]


def test_a_change_of_what_somebody_else_has_changed_is_refused(endpoints, revise):
    revise(("champion", 1, 1.0))
    revise(("champion", 2, 1.0))

    with pytest.raises(Conflict, match="at revision 2"):
        endpoints.revise("delay", [CHAMPION], actor="me", reason="late", expected=1)

    assert endpoints.get("delay").revision == 2


def test_an_endpoint_that_must_be_new_is_refused_where_it_is_there(endpoints, revise):
    revise(("champion", 1, 1.0))

    with pytest.raises(Conflict):
        endpoints.revise("delay", [CHAMPION], actor="me", reason="first", expected=0)


def test_a_holdout_stays_until_it_is_changed(endpoints, revise):
    endpoints.revise("delay", [CHAMPION], actor="me", reason="first", expected=0, holdout=0.05)

    revise(("champion", 2, 1.0))

    assert endpoints.get("delay").holdout == 0.05


def test_the_kind_of_traffic_is_kept(endpoints):
    costly = Variant(name="costly", model="delay", version=2, weight=0.0)
    endpoints.revise(
        "delay", [CHAMPION, costly], actor="me", reason="", expected=0, traffic=Cascade(below=0.8)
    )

    assert endpoints.get("delay").traffic == Cascade(below=0.8)


def test_a_revision_of_an_earlier_release_is_a_split_without_holdout(endpoints, ledger, revise):
    body = msgspec.json.decode(to_json(revise(("champion", 1, 1.0))))
    old = {name: value for name, value in body.items() if name not in {"traffic", "holdout"}}
    with ledger.write() as connection:
        connection.execute(tables.revisions.update().values(body=msgspec.json.encode(old).decode()))

    found = endpoints.get("delay")

    assert (found.traffic, found.holdout) == (Split(), 0.0)


@pytest.mark.parametrize(
    ("variants", "holdout", "told"),
    [
        ([CHAMPION, SHADOW(weight=0.5)], 0, "weights"),
        ([CHAMPION, SHADOW(shadow=1.5)], 0, "0 to 1"),
        ([CHAMPION, SHADOW(weight=0, shadow=-1)], 0, "0 to 1"),
        ([SHADOW(), CHAMPION], 0, "first variant, next, is a shadow"),
        ([CHAMPION], 1, "holdout is 1"),
        ([CHAMPION], -0.1, "holdout is -0.1"),
    ],
)
def test_shadows_and_holdouts_that_cannot_be_are_refused(endpoints, variants, holdout, told):
    with pytest.raises(InvalidInput, match=told):
        endpoints.revise("delay", variants, actor="me", reason="", expected=0, holdout=holdout)


def test_a_revision_is_undone_with_the_transaction_it_belongs_to(endpoints, ledger):
    def fail():
        with ledger.write() as connection:
            endpoints.revise("delay", [CHAMPION], actor="me", reason="r", expected=0, connection=connection)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()

    assert endpoints.names() == []


@pytest.mark.parametrize(
    ("name", "variants"),
    [
        ("../delay", [CHAMPION]),
        ("", [CHAMPION]),
        ("delay", []),
        ("delay", [CHAMPION, CHAMPION]),
        ("delay", [Variant(name="a", model="m", version=1, weight=0.5)]),
        ("delay", [Variant(name="a", model="m", version=1, weight=1.5)]),
    ],
)
def test_names_and_variants_are_checked(endpoints, name, variants):
    with pytest.raises(InvalidInput):
        endpoints.revise(name, variants, actor="me", reason="r", expected=None)


def test_an_unknown_endpoint_is_named_with_the_nearest(endpoints, revise):
    revise(("champion", 1, 1.0))

    with pytest.raises(NotFound, match="Did you mean 'delay'"):
        endpoints.get("delays")


def test_waiting_ends_when_every_live_server_has_the_revision(endpoints, clock):
    endpoints.report(state(clock, 2))

    states = endpoints.wait("delay", 2, timeout=1)

    assert [found.revision for found in states] == [2]


def test_waiting_ends_with_the_reason_of_a_refusal(endpoints, clock):
    endpoints.report(state(clock, 1, refused=2))

    with pytest.raises(PackageRefused, match="no such operator"):
        endpoints.wait("delay", 2, timeout=1)


def test_waiting_names_the_server_that_is_behind(endpoints, clock):
    endpoints.report(state(clock, 1))

    with pytest.raises(Busy, match=r"Server here .* revision 1"):
        endpoints.wait("delay", 2, timeout=0.01)


def test_a_server_that_has_died_is_not_waited_for(endpoints, clock):
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import msgspec, sys; from treadle.store.ledger import processes as p;"
            "sys.stdout.buffer.write(msgspec.json.encode(p.this()))",
        ],
        stdout=subprocess.PIPE,
    )
    died = msgspec.json.decode(child.communicate()[0], type=processes.Process)
    endpoints.report(state(clock, 1, server="gone", process=died))

    states = endpoints.wait("delay", 2, timeout=1)
    endpoints.sweep()

    assert states == []


def test_a_server_that_has_ended_is_forgotten(endpoints, clock):
    endpoints.report(state(clock, 1))

    endpoints.forget("here")

    assert endpoints.states("delay") == []
