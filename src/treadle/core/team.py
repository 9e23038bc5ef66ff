"""How people reach the dashboard and the team server, as `treadle.toml` says it."""

from __future__ import annotations

from typing import Literal

from treadle.core.section import Section


class UiSettings(Section, frozen=True, kw_only=True):
    """The dashboard and the team server, and who may use them."""

    #: Address to listen on; one that is not loopback is refused while nobody has to say who they are.
    host: str = "127.0.0.1"
    #: Port to listen on.
    port: int = 8500
    #: Names by which browsers and programs reach it besides those of loopback, with commas between, as `treadle.team`.
    hosts: str = ""
    #: How long somebody who has signed in stays so, as `12h`.
    session: str = "12h"
    #: Bytes of the largest request, but for rows and files that are sent by digest.
    max_body: int = 8 * 1024 * 1024
    #: Bytes of the largest file or frame of rows that may be sent.
    max_upload: int = 512 * 1024 * 1024
    #: Seconds within which more of a request's body must come.
    body_timeout: float = 10.0
    #: Requests that an address may make in a second, over ten seconds.
    rate: float = 100.0
    #: Where requests are logged, a line of JSON each: a file, or `-` for standard output; empty: nowhere.
    access_log: str = ".treadle/logs/ui.jsonl"
    #: Addresses and networks of proxies that are trusted to say who asks, with commas between, as `10.0.0.7`.
    proxies: str = ""
    #: Header in which such a proxy says who has signed in there, as `X-Forwarded-User`; empty: none does.
    proxy_user: str = ""
    #: What somebody becomes whom a login elsewhere knows and this project does not; empty: they are refused.
    newcomers: Literal["", "viewer", "annotator", "operator"] = ""
    #: Address of an OpenID Connect provider with which people sign in; empty: none.
    oidc_issuer: str = ""
    #: What this server is called there.
    oidc_client: str = ""
    #: What it shows there to prove it.
    oidc_secret: str = ""
    #: The claim that names a person, as `email`.
    oidc_claim: str = "email"
