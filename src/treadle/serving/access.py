"""Who may ask for what: the token of a request is compared with those that are known, and guessing is slowed down."""

from __future__ import annotations

import hmac
import logging
from collections import OrderedDict

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import AuthRequired, Forbidden, SettingsError, TooManyAttempts
from treadle.serving.tokens import Token, Tokens, digest_of

_log = logging.getLogger("treadle.serving")

#: Wrong tokens that an address may show within a minute, and how many addresses are remembered.
_TRIES, _WINDOW, _ADDRESSES = 8, 60.0, 10_000


class Access:
    """The tokens of one server, and the addresses that showed wrong ones."""

    def __init__(self, token: str, tokens: Tokens, *, clock: Clock) -> None:
        """Read the tokens; `token` is the one of the setting `serving.token`, which allows everything.

        Raises:
            SettingsError: the file of tokens is there and cannot be read.
        """
        self._single = digest_of(token) if token else ""
        self._file, self._clock = tokens, clock
        self._stamp = self._stamp_of()
        found = tokens.all()
        self._known: dict[str, Token] = {token.digest: token for token in found or ()}
        #: Whether a token is asked for: where there is a file, also when no token in it is left.
        self.guarded = bool(token) or found is not None
        self._failed: OrderedDict[str, list[float]] = OrderedDict()
        #: (address, digest) of tokens that were right, which an address that is slowed down may go on with.
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()

    def look(self) -> None:
        """Read the file again where it has changed; one that is damaged or gone changes nothing."""
        stamp = self._stamp_of()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = self._file.all()
        except SettingsError as error:
            _log.warning("the tokens stay as they were: %s", error)
            return
        if found is None:
            _log.warning("the tokens stay as they were: %s has gone", self._file.path)
            return
        self._known = {token.digest: token for token in found}
        self.guarded = True

    def check(self, scope: str, given: str, address: str) -> str:
        """Make sure that a request may have what it asks for; return the name of its token.

        `given` is the header `Authorization`, `address` is who sent it; a scope of "any" is allowed to every token.

        Raises:
            AuthRequired: the token is missing, wrong or has ended.
            Forbidden: the token does not allow this.
            TooManyAttempts: the address has shown too many wrong ones.
        """
        if not self.guarded:
            return ""
        kind, _, shown = given.partition(" ")
        digest = digest_of(shown.strip()) if kind.lower() == "bearer" else ""
        host = address.rpartition(":")[0]
        if self._is_slowed(host) and (host, digest) not in self._right:
            msg = "Too many wrong tokens came from this address. Try again in a minute."
            raise TooManyAttempts(msg)
        token = self._find(digest)
        if token is None:
            self._fail(host)
            msg = (
                "The token is missing, wrong or has ended. Send the header 'Authorization: Bearer <token>' "
                "(setting serving.token, or `treadle tokens create`)."
            )
            raise AuthRequired(msg)
        self._remember(host, digest)
        if isinstance(token, str):
            return token
        if scope != "any" and scope not in token.scopes and "admin" not in token.scopes:
            msg = f"The token {token.name!r} allows {', '.join(token.scopes)}. Expected one that allows {scope}."
            raise Forbidden(msg)
        return token.name

    def _find(self, digest: str) -> Token | str | None:
        """Return the token of a digest, or the name of the single one; both sides are digests, so time tells nothing."""
        if self._single and hmac.compare_digest(digest, self._single):
            return "serving.token"
        token = self._known.get(digest)
        if token is None or not hmac.compare_digest(token.digest, digest):
            return None
        return None if token.expires_at is not None and token.expires_at <= self._clock.now() else token

    def _is_slowed(self, host: str) -> bool:
        tries = self._failed.get(host)
        if tries is None:
            return False
        now = monotonic()
        tries[:] = [at for at in tries if now - at < _WINDOW]
        return len(tries) >= _TRIES

    def _fail(self, host: str) -> None:
        self._failed.setdefault(host, []).append(monotonic())
        self._failed.move_to_end(host)
        if len(self._failed) > _ADDRESSES:
            self._failed.popitem(last=False)

    def _remember(self, host: str, digest: str) -> None:
        if (host, digest) not in self._right:
            self._right[host, digest] = None
            if len(self._right) > _ADDRESSES:
                self._right.popitem(last=False)

    def _stamp_of(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
