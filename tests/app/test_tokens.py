from __future__ import annotations

import json

from treadle.serving.tokens import digest_of


def test_a_token_is_made_listed_and_taken_away(shop, typed):
    done = typed("tokens", "create", "website", "--scope", "predict", "--scope", "outcome", "--ends", "90d")
    made, kept = done.out.strip(), (shop / ".treadle" / "tokens.json").read_text()
    listed = typed("tokens", "--json").out
    shown = typed("tokens").out
    revoked = typed("tokens", "revoke", "website")

    assert (done.code, made.startswith("tdl_"), "not shown again" in done.err) == (0, True, True)
    assert made not in kept
    assert digest_of(made) in kept
    (told,) = json.loads(listed)
    assert (told["name"], told["scopes"]) == ("website", ["predict", "outcome"])
    assert "digest" not in listed
    assert "predict, outcome" in shown
    assert (revoked.code, revoked.out) == (0, "token website is revoked\n")
    assert json.loads(typed("tokens", "--json").out) == []


def test_what_is_asked_wrongly_is_told(shop, typed):
    typed("tokens", "create", "website")

    for arguments, said in (
        (("create", "website"), "There is a token named 'website'"),
        (("create", "other", "--scope", "write"), "Available: predict, outcome, metrics, train, admin"),
        (("create", "other", "--ends", "soon"), "not a span of time"),
        (("revoke", "webs"), "Did you mean 'website'?"),
    ):
        done = typed("tokens", *arguments)
        assert done.code != 0
        assert said in done.sentence
