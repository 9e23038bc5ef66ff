"""The relations of people who use a workspace together: users, their tokens, sessions of browsers, and what was changed or refused."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Table

from treadle.store.ledger.columns import held, key, metadata

#: Who may use the workspace, and as what (`Member`).
users = Table("users", metadata, key("name"), held("body"))

#: Tokens by the digest of what is shown (`Pass`).
user_tokens = Table(
    "user_tokens", metadata, key("digest"), held("user"), held("body"), Index("ix_user_tokens_user", "user")
)

#: Browsers that are signed in, by the digest of their cookie (`Session`).
sessions = Table(
    "sessions",
    metadata,
    key("digest"),
    held("user"),
    held("ends_at", BigInteger),
    held("body"),
    Index("ix_sessions_ends_at", "ends_at"),
)

#: Changes to users and tokens, and what was refused (`Event`).
team_events = Table(
    "team_events", metadata, key("id"), held("at", BigInteger), held("body"), Index("ix_team_events_at", "at")
)
