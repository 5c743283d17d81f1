"""Who somebody is: bearer tokens, service accounts, people."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from dataclasses import dataclass

from stand_ins.common.clock import Clock

from .status import Json

ADMIN = "kubernetes-admin"
MASTERS = "system:masters"


@dataclass(frozen=True)
class User:
    """Somebody.

    Attributes:
        expires: when the token stops working, in seconds since the epoch; 0 is never.
    """

    name: str
    groups: tuple[str, ...] = ()
    expires: float = 0.0


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


class Tokens:
    """Bearer tokens and whose they are. Any thread may use it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._users: dict[str, User] = {}

    def issue(self, user: User, claims: Json | None = None) -> str:
        """A new token, of the form of a JSON web token; nobody but this server can check it."""
        now = int(self._clock.now())
        said = {"iat": now, "iss": "https://kubernetes.default.svc.cluster.local", "jti": str(uuid.uuid4())}
        said |= {"exp": int(user.expires)} if user.expires else {}
        parts = ({"alg": "RS256", "kid": "stand-in"}, said | (claims or {"sub": user.name}))
        signed = ".".join(_part(json.dumps(part).encode()) for part in parts)
        return self.accept(f"{signed}.{_part(secrets.token_bytes(64))}", user)

    def accept(self, token: str, user: User) -> str:
        self._users[token] = user
        return token

    def revoke(self, token: str) -> None:
        self._users.pop(token, None)

    def user_of(self, token: str) -> User | None:
        """Whose it is; None when it is nobody's or has expired."""
        user = self._users.get(token)
        expired = user is not None and 0 < user.expires <= self._clock.now()
        return None if expired else user


def service_account(namespace: str, name: str, expires: float = 0.0) -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, expires)


def person(name: str, *groups: str) -> User:
    return User(name, (*groups, "system:authenticated"))


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
