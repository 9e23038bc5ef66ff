"""Who may use a workspace, and what they show: users with roles, their tokens, and browsers that are signed in.

Of tokens and sessions only digests are kept. Everything is read anew for each request, so that what is taken away counts at
once. Each change stands in the audit, with who made it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, delete, func, select

from treadle.core.clock import Clock, parse_span
from treadle.core.errors import AlreadyExists, InvalidInput, closest, not_found
from treadle.core.ids import new_id
from treadle.core.people import ROLES, SOMEBODY, Event, Member, Pass, Role, Session, User
from treadle.core.records import from_json, to_json
from treadle.serving.tokens import digest_of
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: How long refused attempts are kept, and how many of them at most.
_KEPT, _MOST = timedelta(days=90), 10_000
_LONGEST = 200
#: Names that would be taken for somebody else's in the audit.
_TAKEN = (SOMEBODY, "treadle")


class Team:
    """The people of one workspace."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        """Use a ledger, and the world's clock: tokens end whatever moment the project lives in."""
        self._ledger, self._clock = ledger, clock

    def members(self) -> list[Member]:
        """Return who may use the workspace, in order of their names."""
        with self._ledger.read() as connection:
            return _members(connection)

    def add(self, name: str, role: Role, *, actor: str = SOMEBODY, reason: str = "") -> Member:
        """Let somebody use the workspace, or give them another role.

        Raises:
            InvalidInput: the name cannot be one, there is no such role, or nobody who may say who may would be left.
        """
        _check_name(name, "user")
        if role not in ROLES:
            msg = f"There is no role {role!r}. {closest(role, ROLES)}"
            raise InvalidInput(msg, field="role")
        made = Member(name=name, role=role, since=self._clock.now())
        with self._ledger.write() as connection:
            before = {one.name: one for one in _members(connection)}.get(name)
            t.put(connection, t.users, name=name, body=to_json(made))
            _check_admin(connection, before)
            what = f"{before.role} → {role}" if before else f"became {role}"
            self._note(connection, f"user:{name}", what, actor=actor, reason=reason)
        return made

    def remove(self, name: str, *, actor: str = SOMEBODY, reason: str = "") -> None:
        """Take somebody's way in away, with their tokens and sessions.

        Raises:
            NotFound: there is nobody of that name.
            InvalidInput: nobody who may say who may would be left.
        """
        with self._ledger.write() as connection:
            known = {one.name: one for one in _members(connection)}
            if name not in known:
                raise not_found("user", name, known)
            connection.execute(delete(t.users).where(t.users.c.name == name))
            _check_admin(connection, known[name])
            connection.execute(delete(t.user_tokens).where(t.user_tokens.c.user == name))
            connection.execute(delete(t.sessions).where(t.sessions.c.user == name))
            self._note(connection, f"user:{name}", "removed", actor=actor, reason=reason)

    def tokens(self, user: str = "") -> list[Pass]:
        """Return the tokens of somebody, or of all, without what is shown."""
        with self._ledger.read() as connection:
            found = [
                from_json(body, Pass) for body in connection.execute(select(t.user_tokens.c.body)).scalars()
            ]
        return sorted((one for one in found if user in {"", one.user}), key=lambda one: (one.user, one.name))

    def create_token(
        self,
        name: str,
        user: str,
        *,
        scopes: Sequence[str] = (),
        ends: str = "",
        actor: str = SOMEBODY,
        reason: str = "",
    ) -> str:
        """Make a token of somebody and return it: it is not kept, and cannot be shown again. `ends` is a span, as `90d`.

        `scopes` are roles and operations (as `alerts.*`): a role allows what that role may, an operation itself.

        Raises:
            NotFound: there is no such user.
            AlreadyExists: they have one of that name.
            InvalidInput: the name cannot be one, or a scope is none.
        """
        _check_name(name, "token")
        wanted = tuple(dict.fromkeys(scopes))
        for scope in wanted:
            if scope not in ROLES and not all(c.isalnum() or c in "._*" for c in scope):
                msg = f"There is no scope {scope!r}. Expected a role ({', '.join(ROLES)}) or operations, as 'alerts.*'."
                raise InvalidInput(msg, field="scopes")
        now = self._clock.now()
        made = f"tdu_{secrets.token_urlsafe(32)}"
        token = Pass(
            name=name,
            user=user,
            scopes=wanted,
            created_at=now,
            expires_at=now + parse_span(ends) if ends else None,
        )
        with self._ledger.write() as connection:
            known = [one.name for one in _members(connection)]
            if user not in known:
                raise not_found("user", user, known)
            if any(one.name == name for _, one in _tokens_of(connection, user)):
                msg = f"{user} has a token named {name!r}. Revoke it, or take another name."
                raise AlreadyExists(msg)
            t.put(connection, t.user_tokens, digest=digest_of(made), user=user, body=to_json(token))
            self._note(connection, f"token:{user}/{name}", "made", actor=actor, reason=reason)
        return made

    def revoke_token(self, name: str, user: str, *, actor: str = SOMEBODY, reason: str = "") -> None:
        """Take a token away, with the sessions that were begun with it; this counts at once.

        Raises:
            NotFound: they have none of that name.
        """
        with self._ledger.write() as connection:
            known = {one.name: digest for digest, one in _tokens_of(connection, user)}
            if name not in known:
                raise not_found(f"token of {user}", name, known)
            connection.execute(delete(t.user_tokens).where(t.user_tokens.c.digest == known[name]))
            self._note(connection, f"token:{user}/{name}", "revoked", actor=actor, reason=reason)

    def is_asked(self) -> bool:
        """Say whether people have to say who they are: once there is a user."""
        with self._ledger.read() as connection:
            return bool(connection.execute(select(func.count()).select_from(t.users)).scalar_one())

    def by_token(self, shown: str) -> User | None:
        """Return whose token is shown; None: nobody's, or it has ended."""
        with self._ledger.read() as connection:
            return self._by_digest(connection, digest_of(shown))

    def by_name(self, name: str, *, newcomers: str = "", by: str = "proxy") -> User | None:
        """Return who a login elsewhere says that somebody is; `newcomers` is the role of those who are not known here."""
        with self._ledger.read() as connection:
            return _known(connection, name, newcomers, by)

    def sign_in(self, user: User, *, shown: str = "", lasts: str = "12h", by: str = "token") -> str:
        """Begin a session and return what the browser keeps; `shown` is the token that it ends with."""
        made, now = secrets.token_urlsafe(32), self._clock.now()
        ends = now + parse_span(lasts)
        session = Session(user=user.name, by=by, token=digest_of(shown) if shown else "", ends_at=ends)
        with self._ledger.write() as connection:
            connection.execute(delete(t.sessions).where(t.sessions.c.ends_at <= t.micros(now)))
            row = {"digest": digest_of(made), "user": user.name, "ends_at": t.micros(ends)}
            t.put(connection, t.sessions, **row, body=to_json(session))
            self._note(connection, f"user:{user.name}", "signed in", actor=user.name, reason=f"by {by}")
        return made

    def by_session(self, shown: str, *, newcomers: str = "") -> User | None:
        """Return who has signed in with a browser; None: nobody, or it is over."""
        wanted = select(t.sessions.c.body).where(t.sessions.c.digest == digest_of(shown))
        with self._ledger.read() as connection:
            body = connection.execute(wanted).scalar_one_or_none()
            session = from_json(body, Session) if body else None
            if session is None or session.ends_at <= self._clock.now():
                return None
            if not session.token:
                return _known(connection, session.user, newcomers, "session")
            found = self._by_digest(connection, session.token)
        return User(name=found.name, role=found.role, by="session", scopes=found.scopes) if found else None

    def sign_out(self, shown: str) -> None:
        """End a browser's session."""
        with self._ledger.write() as connection:
            connection.execute(delete(t.sessions).where(t.sessions.c.digest == digest_of(shown)))

    def did(self, subject: str, what: str, *, actor: str, reason: str = "") -> None:
        """Keep who asked for something whose own record does not say it."""
        with self._ledger.write() as connection:
            self._note(connection, subject[:_LONGEST], what, actor=actor, reason=reason[:_LONGEST])

    def refused(self, subject: str, what: str, *, actor: str, reason: str = "") -> None:
        """Keep that somebody was refused, for a while."""
        with self._ledger.write() as connection:
            self._note(connection, subject[:_LONGEST], what, actor=actor, reason=reason[:_LONGEST])
            old = t.micros(self._clock.now() - _KEPT)
            gone = t.team_events.c.body.like('%"what":"refused%')
            connection.execute(delete(t.team_events).where(t.team_events.c.at < old, gone))
            newest = select(t.team_events.c.id).where(gone).order_by(t.team_events.c.id.desc())
            edge = connection.execute(newest.offset(_MOST).limit(1)).scalar_one_or_none()
            if edge is not None:
                connection.execute(delete(t.team_events).where(t.team_events.c.id <= edge, gone))

    def _by_digest(self, connection: Connection, digest: str) -> User | None:
        body = connection.execute(
            select(t.user_tokens.c.body).where(t.user_tokens.c.digest == digest)
        ).scalar_one_or_none()
        token = from_json(body, Pass) if body else None
        if token is None or (token.expires_at is not None and token.expires_at <= self._clock.now()):
            return None
        found = _known(connection, token.user, "", "token")
        return User(name=found.name, role=found.role, by="token", scopes=token.scopes) if found else None

    def _note(self, connection: Connection, subject: str, what: str, *, actor: str, reason: str) -> None:
        now = self._clock.now()
        made = Event(id=new_id("event"), at=now, subject=subject, what=what, actor=actor, reason=reason)
        t.put(connection, t.team_events, id=made.id, at=t.micros(now), body=to_json(made))


def _members(connection: Connection) -> list[Member]:
    bodies = connection.execute(select(t.users.c.body).order_by(t.users.c.name)).scalars()
    return [from_json(body, Member) for body in bodies]


def _tokens_of(connection: Connection, user: str) -> list[tuple[str, Pass]]:
    wanted = select(t.user_tokens.c.digest, t.user_tokens.c.body).where(t.user_tokens.c.user == user)
    return [(digest, from_json(body, Pass)) for digest, body in connection.execute(wanted)]


def _known(connection: Connection, name: str, newcomers: str, by: str) -> User | None:
    body = connection.execute(select(t.users.c.body).where(t.users.c.name == name)).scalar_one_or_none()
    if body:
        return User(name=name, role=from_json(body, Member).role, by=by)
    for role in ROLES:
        if role == newcomers and name and name.isprintable() and name not in _TAKEN:
            return User(name=name[:_LONGEST], role=role, by=by)
    return None


def _check_name(name: str, noun: str) -> None:
    if not name or len(name) > _LONGEST or not name.isprintable() or name != name.strip() or name in _TAKEN:
        msg = f"{name[:_LONGEST]!r} cannot be the name of a {noun}. Expected 1 to {_LONGEST} printable characters, as 'ann@example.org'."
        raise InvalidInput(msg, field="name")


def _check_admin(connection: Connection, before: Member | None) -> None:
    """Make sure that somebody can still say who may: the last admin stays one, unless everybody goes."""
    left = _members(connection)
    if before is not None and before.role == "admin" and left and all(one.role != "admin" for one in left):
        msg = f"{before.name} is the last admin. Make somebody else one first: treadle users add NAME --role admin"
        raise InvalidInput(msg, field="role")
