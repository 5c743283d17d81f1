"""The fields that the roles of all login engines share (docs/auth, "Token parameters")."""

from __future__ import annotations

from typing import Any

from .answers import Json
from .call import as_list
from .durations import seconds


def role_limits(role: dict[str, Any]) -> dict[str, float]:
    """ttl, max_ttl, explicit_max_ttl and period of the tokens of a role, in seconds."""
    return {
        "ttl": seconds(role.get("token_ttl") or role.get("ttl")),
        "max_ttl": seconds(role.get("token_max_ttl") or role.get("max_ttl")),
        "explicit_max_ttl": seconds(role.get("token_explicit_max_ttl")),
        "period": seconds(role.get("token_period") or role.get("period")),
    }


def named_policies(role: dict[str, Any]) -> list[str]:
    """Its policies, and the default one unless it does without."""
    names = {name.lower() for name in as_list(role.get("token_policies") or role.get("policies"))}
    return sorted(names if role.get("token_no_default_policy") else names | {"default"})


def shown(role: dict[str, Any]) -> Json:
    """The shared fields as reading a role shows them."""
    limits = role_limits(role)
    return {
        "token_bound_cidrs": [],
        "token_explicit_max_ttl": int(limits["explicit_max_ttl"]),
        "token_max_ttl": int(limits["max_ttl"]),
        "token_no_default_policy": bool(role.get("token_no_default_policy")),
        "token_num_uses": int(role.get("token_num_uses") or 0),
        "token_period": int(limits["period"]),
        "token_policies": as_list(role.get("token_policies") or role.get("policies")),
        "token_ttl": int(limits["ttl"]),
        "token_type": role.get("token_type") or "default",
    }
