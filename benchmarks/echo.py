"""The least that a Granian server can do: send the body back."""

from __future__ import annotations

from typing import Any


async def app(scope: Any, protocol: Any) -> None:
    """Answer a request with its own body."""
    body = await protocol()
    protocol.response_bytes(200, [("content-type", "application/json")], body)
