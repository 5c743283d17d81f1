"""What somebody may do: RBAC.

Sources: apiserver's endpoints/handlers/responsewriters/errors.go, plugin/pkg/auth/authorizer/rbac of Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from . import status
from .request import Call, Target
from .status import Json, Refused
from .store import Key, Store
from .users import MASTERS

_RBAC = "rbac.authorization.k8s.io"


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


class Rbac:
    """Answers from the roles and bindings in the store. The caller holds its lock."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(self, call: Call) -> None:
        """Raises Refused: 403, the caller may not do this."""
        question = question_of(call)
        if not self.allows(question):
            raise _forbidden(call, self._missing_roles(question))

    def check_creation(self, call: Call) -> None:
        """Raises Refused: 403, the caller may patch but not create; the real server does not say so."""
        question = replace(question_of(call), verb="create")
        if not self.allows(question):
            target, why = call.target, self._missing_roles(question)
            raise status.forbidden(target.group, target.plural, target.name, why)

    def allows(self, question: Question) -> bool:
        if MASTERS in question.groups:
            return True
        return any(_fits(rule, question) for rule in self._rules(question))

    def _rules(self, question: Question) -> Iterator[Json]:
        for key in self._roles(question):
            yield from (self._store.get(key) or {}).get("rules") or []

    def _roles(self, question: Question) -> Iterator[Key]:
        """The roles that are bound to the user where the question is asked."""
        bindings = [thing for _, thing in self._store.all(f"{_RBAC}/clusterrolebindings")]
        if question.namespace:
            local = self._store.all(f"{_RBAC}/rolebindings", question.namespace)
            bindings += [thing for _, thing in local]
        for binding in bindings:
            if not any(_is_subject(subject, question) for subject in binding.get("subjects") or []):
                continue
            ref = binding["roleRef"]
            if ref["kind"] == "ClusterRole":
                yield Key(f"{_RBAC}/clusterroles", "", ref["name"])
            else:
                yield Key(f"{_RBAC}/roles", question.namespace, ref["name"])

    def _missing_roles(self, question: Question) -> str:
        """What the server adds when a role that is bound is not there."""
        missing = [key for key in self._roles(question) if self._store.get(key) is None]
        texts = [
            f'{"clusterrole" if key.kind.endswith("clusterroles") else "role"}.{_RBAC} "{key.name}" not found'
            for key in missing
        ]
        if not texts:
            return ""
        return "RBAC: " + (texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def question_of(call: Call) -> Question:
    target = call.target
    if not target.is_resource:
        return Question(call.user, call.groups, call.verb, path=target.path)
    name = target.name or _selected_name(call)
    return Question(call.user, call.groups, call.verb, target.group, target.resource, target.namespace, name)


def _forbidden(call: Call, reason: str) -> Refused:
    """403, in the words in which the real server says what is missing."""
    target, tail = call.target, f": {reason}" if reason else ""
    if not target.is_resource:
        why = f'User "{call.user}" cannot {call.verb} path "{target.path}"'
        return Refused(403, "Forbidden", f"forbidden: {why}{tail}", {})
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    what = f'resource "{target.resource}" in API group "{target.group}" {where}'
    name = target.name or _selected_name(call)
    why = f'User "{call.user}" cannot {call.verb} {what}{tail}'
    return status.forbidden(target.group, target.plural, name, why)


def _selected_name(call: Call) -> str:
    """A list of one object by its name is a request for that name."""
    if call.verb not in ("list", "watch", "deletecollection"):
        return ""
    for part in call.option("fieldSelector").split(","):
        field, equals, value = part.partition("=")
        if field == "metadata.name" and equals:
            return value.lstrip("=")
    return ""


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
