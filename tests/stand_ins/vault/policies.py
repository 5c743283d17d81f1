"""Policies: their HCL, and what they allow. As docs/concepts/policies of Vault describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .answers import Refused, beyond_the_stand_in
from .call import as_list

CAPABILITIES = frozenset({"create", "read", "update", "delete", "list", "sudo", "deny", "patch"})
_LEGACY = {
    "deny": ["deny"],
    "read": ["read", "list"],
    "write": ["create", "read", "update", "delete", "list"],
    "sudo": ["create", "read", "update", "delete", "list", "sudo"],
}

DEFAULT = """
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
path "sys/renew" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "sys/tools/hash" { capabilities = ["update"] }
path "sys/tools/hash/*" { capabilities = ["update"] }
path "sys/control-group/request" { capabilities = ["update"] }
"""

RESPONSE_WRAPPING = """
path "cubbyhole/response" { capabilities = ["create", "read"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
"""


@dataclass(frozen=True)
class Rule:
    """One path of a policy, in full: the namespace is part of it."""

    path: str
    capabilities: frozenset[str]

    def matches(self, path: str) -> bool:
        if "+" not in self.path and not self.path.endswith("*"):
            return path == self.path
        return re.fullmatch(self._regex(), path) is not None

    @property
    def is_exact(self) -> bool:
        return not self.path.endswith("*") and "+" not in self.path.split("/")

    def rank(self) -> tuple[int, bool, int, int, str]:
        """The greater it is, the rather this rule is the one that counts among those that match."""
        wildcards = [place for place in (self.path.find("+"), self.path.find("*")) if place >= 0]
        first = min(wildcards) if wildcards else len(self.path) + 1
        return first, not self.path.endswith("*"), -self.path.split("/").count("+"), len(self.path), self.path

    def _regex(self) -> str:
        stem, ending = (self.path[:-1], ".*") if self.path.endswith("*") else (self.path, "")
        segments = ("[^/]+" if segment == "+" else re.escape(segment) for segment in stem.split("/"))
        return "/".join(segments) + ending


class Acl:
    """What the policies of one token allow together. Immutable."""

    def __init__(self, rules: Iterable[Rule], *, root: bool = False) -> None:
        self.root = root
        self._rules = _merge(rules)

    def capabilities(self, path: str, *, listing: bool = False) -> frozenset[str]:
        """What may be done at `path`; empty is nothing."""
        if self.root:
            return frozenset({"root"})
        rule = self._rule(path, listing=listing)
        if rule is None or "deny" in rule.capabilities:
            return frozenset()
        return rule.capabilities

    def allows(self, operation: str, path: str, *, sudo: bool = False) -> bool:
        if self.root:
            return True
        found = self.capabilities(path, listing=operation == "list")
        return operation in found and (not sudo or "sudo" in found)

    def reaches_into(self, mount_path: str) -> bool:
        """Whether anything below the mount is allowed: the check of sys/internal/ui/mounts."""
        if self.root:
            return True
        return any(
            rule.capabilities and "deny" not in rule.capabilities and _overlaps(rule.path, mount_path)
            for rule in self._rules.values()
        )

    def _rule(self, path: str, *, listing: bool) -> Rule | None:
        exact = self._rules.get(path) or (self._rules.get(path.rstrip("/")) if listing else None)
        if exact is not None and exact.is_exact:
            return exact
        return max((rule for rule in self._rules.values() if rule.matches(path)), key=Rule.rank, default=None)


def _merge(rules: Iterable[Rule]) -> dict[str, Rule]:
    """The same path in several policies: capabilities add up, and deny takes them all."""
    merged: dict[str, Rule] = {}
    for rule in rules:
        known = merged.get(rule.path)
        merged[rule.path] = Rule(rule.path, rule.capabilities | known.capabilities) if known else rule
    return merged


def _overlaps(rule: str, mount: str) -> bool:
    if "+" in rule.split("/"):
        segments = rule.removesuffix("*").rstrip("/").split("/")
        wanted = mount.rstrip("/").split("/")
        return all(mine in ("+", theirs) for mine, theirs in zip(segments, wanted, strict=False))
    stem = rule.removesuffix("*")
    return stem.startswith(mount) or (rule.endswith("*") and mount.startswith(stem))


def parse(text: str) -> list[Rule]:
    """The rules of a policy in HCL or JSON.

    Raises:
        Refused: 400, as Vault answers to a policy it cannot read; 501 for what only the stand-in cannot do.
    """
    try:
        blocks = _from_json(text) if text.lstrip().startswith("{") else _from_hcl(text)
    except ValueError as exc:
        raise Refused(400, f"failed to parse policy: {exc}") from exc
    return [_rule(path, fields) for path, fields in blocks]


def _rule(path: str, fields: dict[str, Any]) -> Rule:
    capabilities = as_list(fields.get("capabilities")) or _LEGACY.get(str(fields.get("policy")), [])
    for capability in capabilities:
        if capability not in CAPABILITIES:
            raise Refused(400, f'failed to parse policy: path "{path}": invalid capability "{capability}"')
    if "*" in path[:-1]:
        raise Refused(
            400, f'failed to parse policy: path "{path}": invalid path: cannot use * except at the end'
        )
    return Rule(path.removeprefix("/"), frozenset(capabilities))


def _from_json(text: str) -> list[tuple[str, dict[str, Any]]]:
    return list(json.loads(text).get("path", {}).items())


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]=,]|[A-Za-z_][\w-]*|\d+')
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|#[^\n]*|//[^\n]*|/\*.*?\*/', re.DOTALL)


def _from_hcl(text: str) -> list[tuple[str, dict[str, Any]]]:
    code = _COMMENT.sub(lambda match: match.group(1) or " ", text)
    left = _TOKEN.sub("", code).strip()
    if left:
        raise ValueError(f"illegal character {left[0]!r}")
    words = iter(_TOKEN.findall(code))
    return [_block(word, words) for word in words]


def _block(keyword: str, words: Any) -> tuple[str, dict[str, Any]]:
    if keyword == "name":
        raise beyond_the_stand_in("a policy that names itself")
    name = next(words, "")
    if keyword not in ("path", '"path"') or not name.startswith('"') or next(words, "") != "{":
        raise ValueError(f"invalid key {keyword!r} on line 1")
    fields: dict[str, Any] = {}
    for word in words:
        if word == "}":
            return json.loads(name), fields
        if word == ",":
            continue
        if word not in ("capabilities", "policy", '"capabilities"', '"policy"'):
            raise beyond_the_stand_in(f"{word} in a policy")
        if next(words, "") != "=":
            raise ValueError("expected an equal sign")
        fields[word.strip('"')] = _value(words)
    raise ValueError("object expected closing RBRACE got: EOF")


def _value(words: Any) -> Any:
    first = next(words, "")
    if first != "[":
        return json.loads(first)
    values: list[Any] = []
    for word in words:
        if word == "]":
            return values
        if word != ",":
            values.append(json.loads(word))
    raise ValueError("list expected closing RBRACK got: EOF")
