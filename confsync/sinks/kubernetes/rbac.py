"""What a 403 says, and the rule that would allow what it denies.

The server's words are recorded in tests/stand_ins/kubernetes/recordings.jsonl. An apply that creates needs the verb
`create` beside `patch`, and the server then denies it without saying so: its message ends after "is forbidden:", or
names no verb.
"""

from __future__ import annotations

import re

from confsync.sinks.kubernetes.failures import Asked
from confsync.text import printable

_DENIED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>[a-z]*) resource "(?P<resource>[a-z0-9./-]+)" '
    r'in API group "(?P<group>[a-z0-9.-]*)" '
    r'(?:in the namespace "(?P<namespace>[a-z0-9-]+)"|at the cluster scope)'
)
_MISSING_ROLE = re.compile(r'((?:cluster)?role)\.rbac\.authorization\.k8s\.io "([^"]{1,253})" not found')
_SILENT = re.compile(r"is forbidden:\s*$")
_SERVICE_ACCOUNT = re.compile(r"system:serviceaccount:([a-z0-9.-]+):([a-z0-9.-]+)")
_ANONYMOUS = "system:anonymous"
_LONGEST = 200


def denial(asked: Asked, message: str) -> tuple[str, str]:
    """What is denied, and what to do about it; each one line."""
    denied = _DENIED.search(message)
    if denied is None or not denied["verb"]:
        return _unsaid(asked, message, silent=denied is not None)
    user = printable(denied["user"])[:_LONGEST]
    if user == _ANONYMOUS:
        why = f"403: the server takes us for {_ANONYMOUS}: it was sent no credentials that it knows"
        return why, "give the cluster's user in the kubeconfig a token or a certificate"
    where = f"in namespace {denied['namespace']!r}" if denied["namespace"] else "in the whole cluster"
    why = f"403: {user} may not {denied['verb']} {denied['resource']} {where}"
    missing = _MISSING_ROLE.search(message)
    if missing:
        why += f"; it is bound to the {missing[1]} {printable(missing[2])!r}, which does not exist"
    return why, _advice(rule(denied["group"], denied["resource"], denied["verb"]), denied["namespace"], user)


def rule(group: str, resource: str, verb: str) -> str:
    """A rule of a Role or ClusterRole, as YAML on one line."""
    return f'{{apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]}}'


def _unsaid(asked: Asked, message: str, silent: bool) -> tuple[str, str]:
    resource = asked.resource
    if asked.verb == "patch" and (silent or _SILENT.search(message)):
        why = f"403: it does not exist yet, and an apply that creates needs the verb create on {resource.plural}"
        return why, _advice(rule(resource.group, resource.plural, "create"), asked.namespace)
    why = f"403: the server forbids to {asked.verb} {resource.plural}"
    return why, _advice(rule(resource.group, resource.plural, asked.verb), asked.namespace)


def _advice(needed: str, namespace: str | None, user: str = "") -> str:
    role = f"a Role in namespace {namespace!r}" if namespace else "a ClusterRole"
    return f"add the rule {needed} to {role} bound to {_subject(user)}"


def _subject(user: str) -> str:
    account = _SERVICE_ACCOUNT.fullmatch(user)
    if account:
        return f"the ServiceAccount {account[2]!r} of namespace {account[1]!r}"
    return f"the user {user!r}" if user else "confsync's account"
