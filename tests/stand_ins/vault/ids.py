"""Random names of the shapes Vault gives them."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def token(namespace_id: str, kind: str = "service") -> str:
    """`s.` and 24 characters, or `b.` and many; outside the root namespace the namespace's id follows."""
    name = f"b.{letters(95)}" if kind == "batch" else f"s.{letters(24)}"
    return name + (f".{namespace_id}" if namespace_id else "")


def accessor(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(4)}"
