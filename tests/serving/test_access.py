from __future__ import annotations

import stat
from datetime import timedelta

import pytest

from treadle.core.errors import (
    AlreadyExists,
    AuthRequired,
    Forbidden,
    InvalidInput,
    NotFound,
    SettingsError,
    TooManyAttempts,
)
from treadle.serving.access import Access
from treadle.serving.tokens import Tokens

HOME = "127.0.0.1:4000"


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "tokens.json")


@pytest.fixture
def make(tokens, clock):
    def create(name, *scopes, **more):
        return f"Bearer {tokens.create(name, scopes=scopes, at=clock.now(), **more)}"

    return create


def test_a_token_allows_what_it_says(tokens, make, clock):
    asker, all_of_it = make("asker", "predict"), make("ann", "admin")
    access = Access("", tokens, clock=clock)

    assert access.check("predict", asker, HOME) == "asker"
    assert access.check("any", asker, HOME) == "asker"
    assert [access.check(scope, all_of_it, HOME) for scope in ("predict", "outcome", "metrics")] == [
        "ann"
    ] * 3
    with pytest.raises(Forbidden, match="'asker' allows predict. Expected one that allows admin"):
        access.check("admin", asker, HOME)


def test_the_single_token_allows_everything(tokens, clock):
    access = Access("s3cret", tokens, clock=clock)

    assert access.check("admin", "bearer s3cret", HOME) == "serving.token"
    for wrong in ("", "s3cret", "Bearer s3cre", "Basic s3cret", "Bearer \u00e9"):
        with pytest.raises(AuthRequired):
            access.check("any", wrong, "10.0.0.1:1")


def test_a_token_ends(tokens, make, clock):
    token = make("brief", "predict", expires_at=clock.now() + timedelta(hours=1))
    access = Access("", tokens, clock=clock)

    assert access.check("predict", token, HOME) == "brief"
    clock.advance("1h")

    with pytest.raises(AuthRequired, match="has ended"):
        access.check("predict", token, HOME)


def test_the_file_holds_no_token_and_only_its_owner_reads_it(tokens, make):
    token = make("asker", "predict").removeprefix("Bearer ")

    assert token not in tokens.path.read_text()
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600


def test_what_changes_in_the_file_is_taken_up_and_damage_is_not(tokens, make, clock):
    first = make("first", "predict")
    access = Access("", tokens, clock=clock)

    second = make("second", "predict")
    access.look()
    assert access.check("predict", second, HOME) == "second"
    tokens.revoke("first")
    access.look()
    with pytest.raises(AuthRequired):
        access.check("predict", first, HOME)
    for damage in (b"{", b'{"tokens": 7}', b"\xff"):
        tokens.path.write_bytes(damage)
        access.look()
        assert access.check("predict", second, HOME) == "second"
    tokens.path.unlink()
    access.look()
    assert (access.guarded, access.check("predict", second, HOME)) == (True, "second")


def test_a_file_without_tokens_lets_nobody_in(tokens, make, clock):
    make("only", "predict")
    tokens.revoke("only")

    assert Access("", tokens, clock=clock).guarded
    assert not Access("", Tokens(tokens.path.with_name("none.json")), clock=clock).guarded


def test_a_damaged_file_is_refused_at_the_start(tokens, clock):
    tokens.path.write_text('{"tokens": [{"name": "x"}]}')

    with pytest.raises(SettingsError, match="tokens.json"):
        Access("", tokens, clock=clock)


def test_guessing_is_slowed_down_and_others_are_not(tokens, make, clock):
    right = make("asker", "predict")
    access = Access("", tokens, clock=clock)
    access.check("predict", right, HOME)

    seen = []
    for number in range(20):
        try:
            access.check("predict", f"Bearer guess-{number}", HOME)
        except (AuthRequired, TooManyAttempts) as error:
            seen.append(type(error))

    assert seen == [AuthRequired] * 8 + [TooManyAttempts] * 12
    assert access.check("predict", right, HOME) == "asker"  # it was right here before
    assert access.check("predict", right, "10.0.0.9:1") == "asker"
    with pytest.raises(TooManyAttempts):
        access.check("predict", make("other", "predict"), HOME)


@pytest.mark.parametrize(
    ("name", "scopes", "error"),
    [("", ["predict"], InvalidInput), ("a\nb", ["predict"], InvalidInput), ("x", [], InvalidInput),
     ("x", ["write"], InvalidInput), ("there", ["predict"], AlreadyExists)],
)  # fmt: skip
def test_what_cannot_be_made_is_said(tokens, make, clock, name, scopes, error):
    make("there", "predict")

    with pytest.raises(error):
        tokens.create(name, scopes=scopes, at=clock.now())
    with pytest.raises(NotFound, match="there"):
        tokens.revoke("ther")
