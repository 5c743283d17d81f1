"""Who somebody is, and what they may do: bearer tokens, client certificates, and RBAC.

Sources: apiserver's endpoints/handlers/responsewriters/errors.go, plugin/pkg/auth/authorizer/rbac of Kubernetes.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stand_ins.common.clock import Clock

from . import status
from .request import Call, Target
from .status import Json, Refused
from .store import Key, Store

ADMIN = "kubernetes-admin"
MASTERS = "system:masters"

_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class User:
    """Somebody.

    Attributes:
        expires: when the token stops working, in seconds since the epoch; 0 is never.
    """

    name: str
    groups: tuple[str, ...] = ()
    expires: float = 0.0


@dataclass(frozen=True)
class Question:
    """May this user do this?"""

    user: str
    groups: tuple[str, ...]
    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


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


class Rbac:
    """Answers from the roles and bindings in the store. The caller holds its lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, call: Call) -> None:
        """Raises Refused: 403, the caller may not do this."""
        if not self.allows(question_of(call)):
            raise forbidden(call, call.verb)

    def allows(self, question: Question) -> bool:
        if MASTERS in question.groups:
            return True
        return any(_fits(rule, question) for rule in self._rules(question))

    def _rules(self, question: Question) -> Iterator[Json]:
        for _, binding in self._store.all(f"{_RBAC}/clusterrolebindings"):
            if _binds(binding, question):
                yield from self._of_role(binding, "")
        if not question.namespace:
            return
        for _, binding in self._store.all(f"{_RBAC}/rolebindings", question.namespace):
            if _binds(binding, question):
                yield from self._of_role(binding, question.namespace)

    def _of_role(self, binding: Json, namespace: str) -> Iterator[Json]:
        ref = binding["roleRef"]
        if ref["kind"] == "ClusterRole":
            role = self._store.get(Key(f"{_RBAC}/clusterroles", "", ref["name"]))
        else:
            role = self._store.get(Key(f"{_RBAC}/roles", namespace, ref["name"]))
        yield from (role or {}).get("rules") or []


def question_of(call: Call) -> Question:
    target = call.target
    if not target.is_resource:
        return Question(call.user, call.groups, call.verb, path=target.path)
    name = target.name or _selected_name(call)
    return Question(call.user, call.groups, call.verb, target.group, target.resource, target.namespace, name)


def forbidden(call: Call, verb: str) -> Refused:
    """403, in the words in which the real server says what is missing."""
    target = call.target
    if not target.is_resource:
        why = f'User "{call.user}" cannot {verb} path "{target.path}"'
        return Refused(403, "Forbidden", f"forbidden: {why}", {})
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    what = f'resource "{target.resource}" in API group "{target.group}" {where}'
    name = target.name or _selected_name(call)
    return status.forbidden(target.group, target.plural, name, f'User "{call.user}" cannot {verb} {what}')


def _selected_name(call: Call) -> str:
    """A list of one object by its name is a request for that name."""
    if call.verb not in ("list", "watch", "deletecollection"):
        return ""
    for part in call.option("fieldSelector").split(","):
        field, equals, value = part.partition("=")
        if field == "metadata.name" and equals:
            return value.lstrip("=")
    return ""


def _binds(binding: Json, question: Question) -> bool:
    return any(_is_subject(subject, question) for subject in binding.get("subjects") or [])


def _is_subject(subject: Json, question: Question) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "Group":
        return name in question.groups
    if kind == "ServiceAccount":
        return question.user == f"system:serviceaccount:{subject.get('namespace')}:{name}"
    return question.user == name


def _fits(rule: Json, question: Question) -> bool:
    if not _has(rule, "verbs", question.verb):
        return False
    if question.path:
        return any(_covers(pattern, question.path) for pattern in rule.get("nonResourceURLs") or [])
    if not _has(rule, "apiGroups", question.group):
        return False
    below = question.resource.partition("/")[2]
    any_below = bool(below) and f"*/{below}" in (rule.get("resources") or [])
    if not any_below and not _has(rule, "resources", question.resource):
        return False
    names = rule.get("resourceNames") or []
    return not names or question.name in names


def _covers(pattern: str, path: str) -> bool:
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


def _has(rule: Json, field: str, wanted: str) -> bool:
    found: list[Any] = rule.get(field) or []
    return "*" in found or wanted in found


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def target_of_review(attributes: Json) -> Target:
    """What a SelfSubjectAccessReview asks about."""
    return Target(
        "",
        attributes.get("group", ""),
        attributes.get("version", ""),
        attributes.get("resource", ""),
        attributes.get("namespace", ""),
        attributes.get("name", ""),
        attributes.get("subresource", ""),
    )
