"""One request as the server reads it: which verb, on which resource, with which options."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from .status import Problem, forbidden_field, invalid, required, too_long, unsupported


@dataclass(frozen=True)
class Target:
    """What a URL names.

    Attributes:
        path: decoded, without the query.
        group, version, plural: "" when it names no resource.
        namespace: of a namespace itself, its name, as the real server has it.
        name: "" for a collection.
    """

    path: str
    group: str = ""
    version: str = ""
    plural: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def is_resource(self) -> bool:
        return bool(self.plural)

    @property
    def resource(self) -> str:
        """As rules of RBAC name it: "secrets", "deployments/status"."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        verb: get, list, watch, create, update, patch, delete or deletecollection; the method in lower case for
            what is no resource.
        query: every value of every parameter.
        headers: by name in lower case.
    """

    method: str
    verb: str
    target: Target
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    user: str = ""
    groups: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)

    def option(self, name: str) -> str:
        return (self.query.get(name) or [""])[0]

    def flag(self, name: str) -> bool:
        return self.option(name).lower() in ("true", "1", "t")

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip()

    @property
    def dry_run(self) -> bool:
        return "All" in self.query.get("dryRun", [])

    @property
    def manager(self) -> str:
        """Who writes: the field manager, or the first word of the user agent."""
        agent = self.headers.get("user-agent", "").partition("/")[0]
        return self.option("fieldManager") or "".join(c for c in agent if c.isprintable())[:128]


def read(method: str, url: str, headers: dict[str, str], body: bytes) -> Call:
    """What a request line and a body ask for."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    target = target_of(unquote(parts.path))
    return Call(method, _verb(method, target, query), target, query, headers, body)


def target_of(path: str) -> Target:
    """What a path names."""
    steps = [step for step in path.split("/") if step]
    if steps[:1] == ["api"] and len(steps) >= 3:
        group, version, rest = "", steps[1], steps[2:]
    elif steps[:1] == ["apis"] and len(steps) >= 4:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return Target(path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        rest = rest[2:] if len(rest) > 2 and rest[2] not in ("status", "finalize") else rest
    name = rest[1] if len(rest) > 1 else ""
    subresource = "/".join(rest[2:])
    return Target(path, group, version, rest[0], namespace, name, subresource)


def check_options(call: Call) -> None:
    """Raises Refused: 422, an option of a write is not valid."""
    applies = call.verb == "patch" and call.content_type == "application/apply-patch+yaml"
    problems: list[Problem] = []
    if call.verb == "patch" and not applies and call.option("force"):
        problems.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if applies and not call.option("fieldManager"):
        problems.append(required("fieldManager", "is required for apply patch"))
    if len(call.option("fieldManager")) > 128:
        problems.append(too_long("fieldManager", 128))
    if any(value != "All" for value in call.query.get("dryRun", [])):
        problems.append(unsupported("dryRun", call.query["dryRun"], ["All"]))
    if call.option("fieldValidation") not in ("", "Ignore", "Strict", "Warn"):
        known = ["", "Ignore", "Strict", "Warn"]
        problems.append(unsupported("fieldValidation", call.option("fieldValidation"), known))
    if problems:
        kind = {"create": "CreateOptions", "update": "UpdateOptions"}.get(call.verb, "PatchOptions")
        raise invalid("meta.k8s.io", kind, "", problems)


def _verb(method: str, target: Target, query: dict[str, list[str]]) -> str:
    if not target.is_resource:
        return method.lower()
    if method in ("GET", "HEAD"):
        if target.name:
            return "get"
        watched = (query.get("watch") or [""])[0].lower()
        return "watch" if "watch" in query and watched not in ("false", "0") else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())
