"""Users, tokens and sessions: what is kept of them, what they allow, and when they end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from treadle.core.clock import ManualClock
from treadle.core.errors import AlreadyExists, InvalidInput, NotFound
from treadle.core.people import User
from treadle.loop.audit import audit
from treadle.loop.team import Team
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger


@pytest.fixture
def ledger(ledger_url: str, tmp_path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(ledger_url, root=tmp_path) as opened:
        yield opened


@pytest.fixture
def team(ledger: Ledger, clock: ManualClock) -> Team:
    made = Team(ledger, clock)
    made.add("root", "admin")
    made.add("ann", "operator", actor="root", reason="she is new")
    return made


def test_nobody_is_asked_before_there_is_a_user(ledger: Ledger, clock: ManualClock) -> None:
    team = Team(ledger, clock)

    assert not team.is_asked()
    team.add("ann", "admin")
    assert team.is_asked()


def test_a_token_says_whose_it_is_and_only_its_digest_is_kept(team: Team, ledger: Ledger) -> None:
    shown = team.create_token("laptop", "ann", scopes=("viewer",))

    assert team.by_token(shown) == User(name="ann", role="operator", by="token", scopes=("viewer",))
    assert team.by_token(shown + "x") is None
    with ledger.read() as connection:
        rows = [tuple(row) for table in t.metadata.sorted_tables for row in connection.execute(select(table))]
    assert shown not in str(rows)


def test_a_token_ends_with_its_time_and_when_it_is_revoked(team: Team, clock: ManualClock) -> None:
    short, long = team.create_token("a", "ann", ends="1h"), team.create_token("b", "ann")

    clock.advance("1h")
    assert (team.by_token(short), team.by_token(long) is None) == (None, False)
    team.revoke_token("b", "ann")
    assert team.by_token(long) is None


def test_a_session_ends_with_its_time_its_token_its_user_and_when_one_signs_out(
    team: Team, clock: ManualClock
) -> None:
    shown = team.create_token("a", "ann")
    ann = team.by_token(shown)
    assert ann is not None

    for end in (
        lambda _: clock.advance("12h"),
        lambda _: team.revoke_token("a", "ann"),
        team.sign_out,
    ):
        shown = shown if team.by_token(shown) else team.create_token("a", "ann")
        cookie = team.sign_in(ann, shown=shown)
        found = team.by_session(cookie)
        assert found == User(name="ann", role="operator", by="session")
        end(cookie)
        assert team.by_session(cookie) is None
    cookie = team.sign_in(ann, by="oidc")
    team.remove("ann")
    assert team.by_session(cookie) is None


def test_a_role_that_is_taken_away_counts_at_once(team: Team) -> None:
    shown = team.create_token("a", "ann")

    team.add("ann", "viewer")

    found = team.by_token(shown)
    assert found is not None
    assert not found.may("operator")


def test_the_last_admin_stays_one(team: Team) -> None:
    with pytest.raises(InvalidInput, match="last admin"):
        team.add("root", "viewer")
    with pytest.raises(InvalidInput, match="last admin"):
        team.remove("root")


@pytest.mark.parametrize("name", ["", " ann", "a\nb", "x" * 201, "a person", "treadle", "\x1b[31m"])
def test_a_name_that_would_mislead_is_none(team: Team, name: str) -> None:
    with pytest.raises(InvalidInput):
        team.add(name, "viewer")


def test_what_is_not_there_or_there_already_is_said(team: Team) -> None:
    team.create_token("a", "ann")

    with pytest.raises(AlreadyExists):
        team.create_token("a", "ann")
    with pytest.raises(NotFound, match="Did you mean 'ann'"):
        team.create_token("a", "anne")
    with pytest.raises(NotFound):
        team.revoke_token("b", "ann")
    with pytest.raises(InvalidInput, match="scope"):
        team.create_token("c", "ann", scopes=("all; drop",))


@pytest.mark.parametrize(
    ("scopes", "role", "operation", "may"),
    [
        ((), "operator", "promote", True),
        ((), "admin", "team.add", False),
        (("viewer",), "viewer", "status", True),
        (("viewer",), "operator", "promote", False),
        (("promote",), "operator", "promote", True),
        (("promote",), "viewer", "status", False),
        (("alerts.*", "viewer"), "operator", "alerts.silence", True),
        (("admin",), "admin", "team.add", False),
    ],
)
def test_a_scope_allows_no_more_than_the_role(scopes, role, operation: str, may: bool) -> None:
    assert User(name="ann", role="operator", scopes=scopes).may(role, operation) == may


def test_every_change_and_refusal_stands_in_the_audit(team: Team, ledger: Ledger) -> None:
    team.create_token("a", "ann", actor="root", reason="for the cluster")
    team.refused("operation:promote", "refused: needs operator", actor="ann")

    found = [(one.subject, one.what, one.actor, one.reason) for one in audit(ledger, kind="team")]

    assert ("user:ann", "became operator", "root", "she is new") in found
    assert ("token:ann/a", "made", "root", "for the cluster") in found
    assert ("operation:promote", "refused: needs operator", "ann", "") in found
