"""Writes plain values as YAML that people read: blocks, and text always in quotes, so that no word is taken for something else."""

from __future__ import annotations

import json
from typing import Any


def text(value: Any) -> str:
    """Return a document.

    >>> print(text({"groups": [{"name": "a", "rules": []}]}), end="")
    groups:
      - name: "a"
        rules: []
    """
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        return [line for key, inner in value.items() for line in _entry(f"{_key(key)}:", inner)]
    if isinstance(value, list) and value:
        found = []
        for inner in value:
            first, *rest = _lines(inner)
            found += [f"- {first}", *(f"  {line}" for line in rest)]
        return found
    return [json.dumps(value, ensure_ascii=False)]


def _entry(head: str, inner: Any) -> list[str]:
    lines = _lines(inner)
    if isinstance(inner, dict | list) and inner:
        return [head, *(f"  {line}" for line in lines)]
    return [f"{head} {lines[0]}"]


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else json.dumps(key)
