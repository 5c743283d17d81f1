"""auth/jwt: a token that somebody else signed, proven by that one's public key.

Error strings: github.com/hashicorp/vault-plugin-auth-jwt and github.com/hashicorp/cap.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from . import jwt, roles
from .answers import Answer, Json, Refused, beyond_the_stand_in, no_content, not_found
from .call import Call, as_list
from .mounts import Engine, listing
from .routing import route

_LEEWAY = 150
"""Seconds past its end, or before its beginning, that a token is still believed."""


class Jwt(Engine):
    without_token = ("login",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._config: dict[str, Any] = {}
        self._roles: dict[str, dict[str, Any]] = {}

    def collections(self) -> dict[str, Collection[str]]:
        return {"role": self._roles}

    def role_limits(self, token_role: str) -> dict[str, Any] | None:
        role = self._roles.get(token_role)
        return roles.role_limits(role) if role else None

    @route("write", "config")
    def configure(self, call: Call) -> Answer:
        if not as_pems(call.body.get("jwt_validation_pubkeys")):
            raise beyond_the_stand_in("JWT keys from anywhere but jwt_validation_pubkeys")
        self._config = dict(call.body)
        return no_content()

    @route("list", "role")
    def list_roles(self, call: Call) -> Answer:
        return listing(self._roles)

    @route("write", "role/<name>")
    def write_role(self, call: Call, name: str) -> Answer:
        if call.body.get("role_type") not in ("jwt",):
            raise beyond_the_stand_in("a role_type that is not jwt")
        call.required("user_claim", "a user claim must be defined on the role")
        if not any(call.body.get(f"bound_{what}") for what in ("audiences", "subject", "claims")):
            raise Refused(400, "must have at least one bound constraint when creating/updating a role")
        self._roles[name] = dict(call.body)
        return no_content()

    @route("read", "role/<name>")
    def read_role(self, call: Call, name: str) -> Answer:
        if name not in self._roles:
            raise not_found()
        return Answer(data=self._roles[name] | roles.shown(self._roles[name]))

    @route("write", "login")
    def login(self, call: Call) -> Answer:
        name = str(call.body.get("role") or self._config.get("default_role") or "")
        if not name:
            raise Refused(400, "missing role")
        role = self._roles.get(name)
        if role is None:
            raise Refused(400, f'role "{name}" could not be found')
        token = str(call.required("jwt", "missing token"))
        claims = self._proven(token)
        self._check_time(claims)
        self._check_bounds(claims, role)
        user = claims.get(role["user_claim"])
        if user is None:
            raise Refused(400, f'claim "{role["user_claim"]}" not found in token')
        return self.core.login(call, self.mount, str(user), name, role, {"role": name}, f"jwt-{user}")

    def _proven(self, token: str) -> Json:
        try:
            claims = jwt.claims(token)
        except ValueError as exc:
            raise Refused(400, f"error validating token: error verifying token signature: {exc}") from exc
        keys = as_pems(self._config.get("jwt_validation_pubkeys"))
        if not any(jwt.is_signed_by(token, pem) for pem in keys):
            raise _invalid(
                "error verifying token signature: no known key successfully validated the token signature"
            )
        return claims

    def _check_time(self, claims: Json) -> None:
        now = self.core.clock.now()
        if not any(claims.get(name) for name in ("iat", "nbf", "exp")):
            raise _invalid("no issued at (iat), not before (nbf), or expiration time (exp) claims in token")
        if now > claims.get("exp", now) + _LEEWAY:
            raise _invalid("invalid expiration time (exp) claim: token is expired")
        if now < claims.get("nbf", now) - _LEEWAY:
            raise _invalid("invalid not before (nbf) claim: token not yet valid")

    def _check_bounds(self, claims: Json, role: Json) -> None:
        issuer, subject = self._config.get("bound_issuer"), role.get("bound_subject")
        if issuer and claims.get("iss") != issuer:
            raise _invalid("invalid issuer (iss) claim")
        if subject and claims.get("sub") != subject:
            raise _invalid("invalid subject (sub) claim")
        audiences, bound = as_list(claims.get("aud")), as_list(role.get("bound_audiences"))
        if audiences and not bound:
            raise Refused(400, "audience claim found in JWT but no audiences bound to the role")
        if bound and not set(bound) & set(audiences):
            raise _invalid("invalid audience (aud) claim: audience claim does not match any bound audience")
        for name, wanted in (role.get("bound_claims") or {}).items():
            if claims.get(name) not in (wanted if isinstance(wanted, list) else [wanted]):
                raise Refused(
                    400,
                    f'error validating claims: claim "{name}" does not match any associated bound claim values',
                )


def as_pems(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and value else list(value or [])


def _invalid(text: str) -> Refused:
    return Refused(400, f"error validating token: {text}")
