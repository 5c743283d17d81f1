"""The kinds with little of their own: namespaces, leases, events, service accounts, roles and their bindings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

from . import names
from .fields import ANY, ATOMIC_LIST, ATOMIC_MAP, BOOLEAN, INTEGER, STRING, Shape, keyed, struct
from .go import Undecodable
from .kinds import Kind, api_object, with_only
from .metadata import NameRule
from .status import Json, Problem, invalid_value, required, unsupported


class Namespaces(Kind):
    plural, kind, namespaced = "namespaces", "Namespace", False
    shape = api_object(spec=struct(finalizers=ATOMIC_LIST), status=ANY)
    zero: ClassVar[Json] = {"metadata": {}, "spec": {}, "status": {}}
    subresources: ClassVar[tuple[str, ...]] = ("status", "finalize")
    selectable: ClassVar[tuple[str, ...]] = ("status.phase",)
    name_rule: ClassVar[NameRule] = staticmethod(names.of_label)
    verbs: ClassVar[tuple[str, ...]] = ("create", "delete", "get", "list", "patch", "update", "watch")

    def default(self, thing: Json) -> None:
        name = thing["metadata"].get("name")
        if name:
            labels = {**(thing["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": name}
            thing["metadata"]["labels"] = labels

    def prepare(self, new: Json, old: Json | None) -> None:
        if old is None:
            new |= {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}

    def limited(self, new: Json, old: Json, subresource: str) -> Json:
        if subresource == "finalize":
            return with_only(new, old, "spec")
        return super().limited({**new, "spec": old["spec"]} if not subresource else new, old, subresource)


class Leases(Kind):
    group, plural, kind = "coordination.k8s.io", "leases", "Lease"
    shape = api_object(
        spec=struct(
            acquireTime=STRING, holderIdentity=STRING, leaseDurationSeconds=INTEGER, leaseTransitions=INTEGER,
            preferredHolder=STRING, renewTime=STRING, strategy=STRING,
        )
    )  # fmt: skip
    zero: ClassVar[Json] = {"metadata": {}, "spec": {}}
    needs_revision = True
    created_by_put = True

    def decode(self, thing: Json) -> None:
        super().decode(thing)
        spec = thing.setdefault("spec", {})
        for name in [name for name, value in spec.items() if value is None]:
            del spec[name]
        for name in ("acquireTime", "renewTime"):
            if name in spec:
                spec[name] = _micro_time(spec[name])

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        spec = thing["spec"]
        duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        if duration is not None and duration <= 0:
            yield invalid_value("spec.leaseDurationSeconds", duration, "must be greater than 0")
        if transitions is not None and transitions < 0:
            yield invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


class Events(Kind):
    plural, kind = "events", "Event"
    shape = api_object(
        action=STRING, count=INTEGER, eventTime=STRING, firstTimestamp=STRING, involvedObject=ATOMIC_MAP,
        lastTimestamp=STRING, message=STRING, reason=STRING, related=ATOMIC_MAP, reportingComponent=STRING,
        reportingInstance=STRING, series=ANY, source=struct(component=STRING, host=STRING), type=STRING,
    )  # fmt: skip
    zero: ClassVar[Json] = {
        "metadata": {}, "eventTime": None, "firstTimestamp": None, "lastTimestamp": None, "involvedObject": {},
        "source": {}, "reportingComponent": "", "reportingInstance": "",
    }  # fmt: skip
    created_by_put = True
    selectable: ClassVar[tuple[str, ...]] = (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    )  # fmt: skip

    def default(self, thing: Json) -> None:
        for name in ("eventTime", "firstTimestamp", "lastTimestamp"):
            thing.setdefault(name, None)
        for name in ("reportingComponent", "reportingInstance"):
            thing.setdefault(name, "")
        thing.setdefault("source", {})
        thing.setdefault("involvedObject", {})

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        named = thing["involvedObject"].get("namespace", "")
        if named != thing["metadata"]["namespace"]:
            yield invalid_value("involvedObject.namespace", named, "does not match event.namespace")


class ServiceAccounts(Kind):
    plural, kind = "serviceaccounts", "ServiceAccount"
    shape = api_object(
        automountServiceAccountToken=BOOLEAN,
        imagePullSecrets=ATOMIC_LIST,
        secrets=keyed(ANY, "name"),
    )
    subresources: ClassVar[tuple[str, ...]] = ("token",)


_RULE = struct(
    apiGroups=ATOMIC_LIST, nonResourceURLs=ATOMIC_LIST, resourceNames=ATOMIC_LIST, resources=ATOMIC_LIST,
    verbs=ATOMIC_LIST,
)  # fmt: skip
_SUBJECT = struct(apiGroup=STRING, kind=STRING, name=STRING, namespace=STRING)
_ROLE_REF = Shape("struct", {"apiGroup": STRING, "kind": STRING, "name": STRING}, atomic=True)


class Roles(Kind):
    group, plural, kind = "rbac.authorization.k8s.io", "roles", "Role"
    shape = api_object(rules=Shape("list", element=_RULE, atomic=True))
    zero: ClassVar[Json] = {"metadata": {}, "rules": None}
    name_rule: ClassVar[NameRule] = staticmethod(names.of_path_segment)

    def default(self, thing: Json) -> None:
        thing.setdefault("rules", None)

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        for place, rule in enumerate(thing.get("rules") or []):
            where = f"rules[{place}]"
            if not rule.get("verbs"):
                yield required(f"{where}.verbs", "verbs must contain at least one value")
            if rule.get("nonResourceURLs"):
                continue
            if not rule.get("apiGroups"):
                yield required(f"{where}.apiGroups", "resource rules must supply at least one api group")
            if not rule.get("resources"):
                yield required(f"{where}.resources", "resource rules must supply at least one resource")


class ClusterRoles(Roles):
    plural, kind, namespaced = "clusterroles", "ClusterRole", False
    shape = api_object(aggregationRule=ANY, rules=Shape("list", element=_RULE, atomic=True))


class RoleBindings(Kind):
    group, plural, kind = "rbac.authorization.k8s.io", "rolebindings", "RoleBinding"
    shape = api_object(roleRef=_ROLE_REF, subjects=Shape("list", element=_SUBJECT, atomic=True))
    zero: ClassVar[Json] = {"metadata": {}, "roleRef": {"apiGroup": "", "kind": "", "name": ""}}
    name_rule: ClassVar[NameRule] = staticmethod(names.of_path_segment)

    def default(self, thing: Json) -> None:
        thing.setdefault("roleRef", {}).setdefault("apiGroup", self.group)
        for subject in thing.get("subjects") or []:
            group = "" if subject.get("kind") == "ServiceAccount" else self.group
            if group:
                subject.setdefault("apiGroup", group)

    def content_problems(self, thing: Json) -> Iterator[Problem]:
        role = thing["roleRef"]
        known = ["Role", "ClusterRole"] if self.namespaced else ["ClusterRole"]
        if role.get("kind") not in known:
            yield unsupported("roleRef.kind", role.get("kind") or "", known)
        if not role.get("name"):
            yield required("roleRef.name")

    def changes_refused(self, new: Json, old: Json) -> Iterator[Problem]:
        if new["roleRef"] != old["roleRef"]:
            yield invalid_value("roleRef", new["roleRef"], "cannot change roleRef")


class ClusterRoleBindings(RoleBindings):
    plural, kind, namespaced = "clusterrolebindings", "ClusterRoleBinding", False


def _micro_time(text: Any) -> str:
    """A time to the microsecond, as leases have it; Go reads any RFC 3339 there.

    Raises:
        Undecodable: it is no time.
    """
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        layout = "2006-01-02T15:04:05.000000Z07:00"
        raise Undecodable(f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"') from None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
