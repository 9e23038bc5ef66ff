"""Signing in with an OpenID Connect provider: the code flow with PKCE, a nonce, and a state that is bound to the browser."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from functools import partial
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from treadle.app.http.back import local
from treadle.app.http.door.asgi import ADDRESS, cookies_of, headers_of
from treadle.app.http.door.guard import Door
from treadle.app.http.signing import keep
from treadle.core.clock import monotonic
from treadle.core.errors import AuthRequired, ServerUnavailable
from treadle.core.optional import require
from treadle.core.people import User
from treadle.core.settings import UiSettings
from treadle.data.profiles.page.markup import Markup, element, joined

#: Seconds that somebody may take to sign in there, how many may do so at once, and seconds that the provider has for an answer.
_TAKES, _MOST, _PATIENCE = 600.0, 1_000, 10.0
#: What a provider may sign with: nothing that needs a secret which both sides know, and never nothing.
_SIGNED = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


class Begun(NamedTuple):
    """A way to the provider that somebody has begun."""

    nonce: str
    verifier: str
    next: str
    at: float


class Provider:
    """One OpenID Connect provider, as its settings and its own description say it."""

    def __init__(self, settings: UiSettings) -> None:
        """Take the settings.

        Raises:
            MissingExtra: Authlib is not installed.
        """
        self._found = settings
        self._http: Any = require("httpx2", extra="oidc")
        self._clients: Any = require("authlib.integrations.httpx_client", extra="oidc")
        self._described: dict[str, Any] = {}

    def way(self, redirect: str, *, state: str, nonce: str, verifier: str) -> str:
        """Return the address at the provider where somebody signs in."""
        client = self._client(redirect)
        with client:
            address, _ = client.create_authorization_url(
                self._says("authorization_endpoint"), state=state, code_verifier=verifier, nonce=nonce
            )
        return str(address)

    def person(self, redirect: str, *, code: str, begun: Begun) -> str:
        """Return the name of whoever the provider says has signed in.

        Raises:
            AuthRequired: it says nobody, or its word does not hold.
            ServerUnavailable: it does not answer.
        """
        client = self._client(redirect)
        try:
            with client:
                token = client.fetch_token(
                    self._says("token_endpoint"),
                    code=code,
                    grant_type="authorization_code",
                    code_verifier=begun.verifier,
                )
                claims = self._claims(str(token.get("id_token", "")), begun.nonce)
                if self._found.oidc_claim not in claims:
                    said = client.get(self._says("userinfo_endpoint")).raise_for_status().json()
                    claims = {**claims, **(said if said.get("sub") == claims["sub"] else {})}
        except self._http.HTTPError as error:
            raise self._silent(error) from error
        except self._clients.OAuthError as error:
            msg = "The provider did not accept the sign-in. Try again."
            raise AuthRequired(msg) from error
        name = claims.get(self._found.oidc_claim)
        if not isinstance(name, str) or not name or claims.get("email_verified") in {False, "false"}:
            msg = f"The provider names nobody (claim {self._found.oidc_claim!r}, setting ui.oidc_claim), or has not verified the address."
            raise AuthRequired(msg)
        return name

    def _claims(self, text: str, nonce: str) -> dict[str, Any]:
        """Return what a signed word of the provider's says, if it is its own, for us, of now, and of this sign-in."""
        jwt, keys, wrong = (require(f"joserfc.{name}", extra="oidc") for name in ("jwt", "jwk", "errors"))
        found = self._http.get(self._says("jwks_uri"), timeout=_PATIENCE).raise_for_status().json()
        rules = {
            "iss": {"essential": True, "value": self._says("issuer")},
            "aud": {"essential": True, "value": self._found.oidc_client},
            "sub": {"essential": True},
            "exp": {"essential": True},
            "nonce": {"essential": True, "value": nonce},
        }
        try:
            token = jwt.decode(text, keys.KeySet.import_key_set(found), algorithms=list(_SIGNED))
            jwt.JWTClaimsRegistry(leeway=60, **rules).validate(token.claims)
        except (wrong.JoseError, ValueError, KeyError, TypeError) as error:
            msg = f"What the provider says of the sign-in does not hold ({type(error).__name__}). Try again."
            raise AuthRequired(msg) from error
        claims: dict[str, Any] = token.claims
        return claims

    def _client(self, redirect: str) -> Any:
        found = self._found
        return self._clients.OAuth2Client(
            found.oidc_client,
            found.oidc_secret or None,
            scope="openid email profile",
            redirect_uri=redirect,
            code_challenge_method="S256",
            timeout=_PATIENCE,
        )

    def _says(self, name: str) -> str:
        if not self._described:
            place = f"{self._found.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                said = self._http.get(place, timeout=_PATIENCE).raise_for_status().json()
            except (self._http.HTTPError, ValueError) as error:
                raise self._silent(error) from error
            if str(said.get("issuer", "")).rstrip("/") != self._found.oidc_issuer.rstrip("/"):
                msg = f"The provider at {place} calls itself {said.get('issuer')!r}. Set ui.oidc_issuer to that, if it is right."
                raise AuthRequired(msg)
            self._described = said
        return str(self._described.get(name, ""))

    def _silent(self, error: Exception) -> ServerUnavailable:
        return ServerUnavailable(
            f"The OpenID Connect provider does not answer ({type(error).__name__}; setting ui.oidc_issuer)."
        )


class Ways:
    """Who is on the way to the provider."""

    def __init__(self) -> None:
        self._begun: OrderedDict[str, Begun] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, wanted: str) -> tuple[str, Begun]:
        """Note that somebody begins, and return the state that they come back with."""
        made = Begun(secrets.token_urlsafe(24), secrets.token_urlsafe(48), wanted, monotonic())
        state = secrets.token_urlsafe(24)
        with self._lock:
            self._begun[state] = made
            if len(self._begun) > _MOST:
                self._begun.popitem(last=False)
        return state, made

    def end(self, state: str) -> Begun:
        """Return what somebody began who comes back; it counts once.

        Raises:
            AuthRequired: nobody did, or too long ago.
        """
        with self._lock:
            found = self._begun.pop(state, None)
        if found is None or monotonic() - found.at > _TAKES:
            msg = "This sign-in was not begun here, or too long ago. Begin again."
            raise AuthRequired(msg)
        return found


def routes(door: Door) -> list[Route]:
    """Return the way to the provider and back; none where no provider is set."""
    if not door.settings.oidc_issuer:
        return []
    provider, ways = Provider(door.settings), Ways()
    return [
        Route("/oidc/begin", partial(_begin, door, provider, ways), methods=["GET"]),
        Route("/oidc/done", partial(_done, door, provider, ways), methods=["GET"]),
    ]


def _redirect(request: Request) -> str:
    return f"{request.scope['scheme']}://{request.headers['host']}/oidc/done"


def _cookie(door: Door) -> str:
    return f"treadle_login_{door.settings.port}"


async def _begin(door: Door, provider: Provider, ways: Ways, request: Request) -> Response:
    state, begun = ways.begin(local(request.query_params.get("next", "/")))
    named = {"state": state, "nonce": begun.nonce, "verifier": begun.verifier}
    response = RedirectResponse(await run_in_threadpool(provider.way, _redirect(request), **named), 303)
    # Lax, for it is a page of the provider that leads back here.
    secure = request.scope["scheme"] == "https"
    response.set_cookie(
        _cookie(door), state, max_age=int(_TAKES), httponly=True, samesite="lax", secure=secure
    )
    return response


async def _done(door: Door, provider: Provider, ways: Ways, request: Request) -> Response:
    state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
    door.attempts.check(request.scope[ADDRESS])
    try:
        _check_browser(cookies_of(headers_of(request.scope)).get(_cookie(door), ""), state)
        begun = ways.end(state)
        name = await run_in_threadpool(provider.person, _redirect(request), code=code, begun=begun)
        user = await run_in_threadpool(_known, door, name)
    except AuthRequired:
        door.attempts.wrong(request.scope[ADDRESS])
        raise
    response = _onward(begun.next)
    await run_in_threadpool(partial(keep, response, door, user, request.scope, by="oidc"))
    response.delete_cookie(_cookie(door), httponly=True, samesite="lax")
    return response


def _check_browser(kept: str, state: str) -> None:
    if not hmac.compare_digest(kept.encode(), state.encode()):
        msg = "This sign-in was begun by another browser. Begin again."
        raise AuthRequired(msg)


def _known(door: Door, name: str) -> User:
    team = door.team()
    user = team.by_name(name, newcomers=door.settings.newcomers, by="session")
    if user is None:
        team.refused(f"user:{name}", "refused", actor=name, reason="the project does not know them")
        msg = f"{name!r} has signed in, but is no user of this project. An admin lets them in: treadle users add NAME (or setting ui.newcomers)."
        raise AuthRequired(msg)
    return user


def _onward(wanted: str) -> HTMLResponse:
    """Return a page of ours that leads on: a strict cookie is not sent on a way that began elsewhere."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="refresh", content=f"0; url={wanted}"),
        element("title", "Signed in – Treadle"),
    )
    body = element("body", element("p", element("a", "Go on", href=wanted)))
    return HTMLResponse(joined([Markup("<!doctype html>"), element("html", head, body, lang="en")]))
