"""The objects of one kind in one namespace: looked at, applied, deleted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from confsync.sinks.kubernetes.cluster import Cluster
from confsync.sinks.kubernetes.failures import ApiFailure, Asked, Conflict, NotFound, Refused, Unreachable
from confsync.sinks.kubernetes.manifest import FIELD_MANAGER, Json, encoded
from confsync.sinks.kubernetes.objects import KubeObject
from confsync.sinks.kubernetes.resources import Resource

if TYPE_CHECKING:
    from confsync.sinks.kubernetes.client import Answer

_APPLY = "application/apply-patch+yaml"

_NEVER = "1"
"""A resourceVersion no object has: the first key etcd ever keeps is at revision 2."""


class Access:
    """Thread-safe. What is written is noted in the cluster's cache.

    Attributes:
        cache: ours among these objects.
    """

    def __init__(self, cluster: Cluster, resource: Resource, namespace: str) -> None:
        self._client = cluster.client
        self._resource = resource
        self._namespace = namespace
        self.cache = cluster.objects(resource, namespace)

    def find(self, name: str) -> KubeObject | None:
        """The object of this name, whosever it is; from the cache where it is ours.

        Raises:
            ApiFailure: it cannot be told.
        """
        found = self.cache.get(name)
        if found is None and self.cache.exists(name):
            return self.look(name)
        return found

    def look(self, name: str) -> KubeObject | None:
        """The object of this name, as the server has it now.

        Raises:
            ApiFailure: it cannot be told.
        """
        try:
            return self._parse(
                self._client.request("GET", self._resource, self._namespace, name), name, "get"
            )
        except NotFound:
            self.cache.missing(name)
            return None

    def apply(
        self,
        thing: Json,
        *,
        before: KubeObject | None,
        manager: str = FIELD_MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> KubeObject:
        """Apply server-side to just the object that was seen, or make one where none was; gives what it is now.

        Without a precondition an apply changes what it finds, also what another confsync, whose fields have the same
        manager, made in the meantime. With a uid only the object seen is changed. A resourceVersion that no object has
        is ignored where there is no object, and refused where there is one (apiserver's registry.Store.Update).

        Args:
            thing: what to apply; gets the precondition.
            before: the object that was seen.
            force: whether to take fields that others keep.

        Raises:
            ApiFailure: it was not done; see `is_precondition`. A Conflict with causes: others keep those fields.
        """
        precondition = {"uid": before.uid} if before is not None else {"resourceVersion": _NEVER}
        name = thing["metadata"]["name"]
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        answer = self._client.request(
            "PATCH",
            self._resource,
            self._namespace,
            name,
            query=query | ({"dryRun": "All"} if dry_run else {}),
            body=encoded({**thing, "metadata": {**thing["metadata"], **precondition}}),
            content_type=_APPLY,
        )
        now = self._parse(answer, name, "patch")
        if not dry_run:
            self.cache.put(now)
        return now

    def delete(self, name: str, uid: str, resource_version: str, *, dry_run: bool = False) -> None:
        """Delete an object if it is still as it was; it is no error if there is none.

        Raises:
            ApiFailure: it was not done. Conflict: it has changed, or is another.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        if dry_run:
            body["dryRun"] = ["All"]
        with suppress(NotFound):
            self._client.request("DELETE", self._resource, self._namespace, name, body=body)
        if not dry_run:
            self.cache.forget(name, uid)

    def _parse(self, answer: Answer, name: str, verb: str) -> KubeObject:
        try:
            return KubeObject.parse(answer.body, self._resource.kind)
        except ValueError as exc:
            asked = Asked(self._client.name, verb, self._resource, self._namespace, name)
            raise Unreachable(asked, str(exc)) from None


def is_precondition(failure: ApiFailure) -> bool:
    """Whether another object is there than was seen, or none."""
    if isinstance(failure, Refused):
        return any(cause.field == "metadata.uid" for cause in failure.causes)
    return isinstance(failure, Conflict) and not failure.causes
