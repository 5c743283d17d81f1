"""Random names of the shapes Vault gives them."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def token(namespace_id: str) -> str:
    """`s.` and 24 characters; outside the root namespace the namespace's id follows."""
    return f"s.{letters(24)}" + (f".{namespace_id}" if namespace_id else "")


def accessor(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(4)}"
