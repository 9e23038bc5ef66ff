"""Tokens that callers show, each with what it allows; only their digests are kept, in a file of the project."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

import msgspec

from treadle.core.errors import AlreadyExists, InvalidInput, SettingsError, not_found

Scope = Literal["predict", "outcome", "metrics", "train", "admin"]
#: What a token may allow: predictions and pages, outcomes, `/metrics`, asking for trainings, and everything.
SCOPES: tuple[Scope, ...] = get_args(Scope)
_PREFIX = "tdl_"
_LONGEST = 10 * 1024 * 1024


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without what its bearer shows."""

    #: What people call it.
    name: str
    #: SHA-256 of the token, in hexadecimal digits.
    digest: str
    #: What it allows.
    scopes: tuple[Scope, ...]
    #: When it was made.
    created_at: datetime
    #: When it ends; None: never.
    expires_at: datetime | None = None


class _File(msgspec.Struct, frozen=True):
    tokens: tuple[Token, ...] = ()


def digest_of(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """The tokens of a project, in its file."""

    def __init__(self, path: Path) -> None:
        """Use a file, which need not be there."""
        self.path = path

    def all(self) -> tuple[Token, ...] | None:
        """Return the tokens in order of their names; None: there is no file.

        Raises:
            SettingsError: the file cannot be read.
        """
        try:
            data = self.path.read_bytes()[:_LONGEST]
            return tuple(sorted(msgspec.json.decode(data, type=_File).tokens, key=lambda token: token.name))
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            msg = f"The file of tokens {self.path} (setting serving.tokens) cannot be read: {error}"
            raise SettingsError(msg) from error

    def create(
        self, name: str, *, scopes: Iterable[str], at: datetime, expires_at: datetime | None = None
    ) -> str:
        """Make a token and return it: it is not kept, and cannot be shown again.

        Raises:
            AlreadyExists: there is one of that name.
            InvalidInput: the name is empty, or a scope is unknown.
            SettingsError: as for `all`.
        """
        wanted = tuple(dict.fromkeys(scopes))
        for scope in wanted:
            if scope not in SCOPES:
                msg = f"There is no scope {scope!r}. Available: {', '.join(SCOPES)}."
                raise InvalidInput(msg, field="scope")
        if not wanted or not name or not name.isprintable() or len(name) > 100:
            msg = f"A token needs a name of 1 to 100 printable characters and a scope ({', '.join(SCOPES)})."
            raise InvalidInput(msg, field="name")
        known = self.all() or ()
        if any(token.name == name for token in known):
            msg = f"There is a token named {name!r}. Revoke it, or take another name."
            raise AlreadyExists(msg)
        made = _PREFIX + secrets.token_urlsafe(32)
        token = Token(
            name=name,
            digest=digest_of(made),
            scopes=msgspec.convert(wanted, tuple[Scope, ...]),
            created_at=at,
            expires_at=expires_at,
        )
        self._write((*known, token))
        return made

    def revoke(self, name: str) -> None:
        """Take a token away; servers hear of it within a second.

        Raises:
            NotFound: there is none of that name.
            SettingsError: as for `all`.
        """
        known = self.all() or ()
        if all(token.name != name for token in known):
            raise not_found("token", name, [token.name for token in known])
        self._write(tuple(token for token in known if token.name != name))

    def _write(self, tokens: tuple[Token, ...]) -> None:
        fresh = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_bytes(msgspec.json.format(msgspec.json.encode(_File(tokens)), indent=2) + b"\n")
            fresh.replace(self.path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            msg = f"The file of tokens {self.path} (setting serving.tokens) cannot be written: {error}"
            raise SettingsError(msg) from error
