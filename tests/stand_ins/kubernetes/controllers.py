"""What the controllers of a cluster do, as far as clients notice: they fill new namespaces, empty those that go,
collect what belonged to what is gone, and say which generation of a workload they have seen. No pod is ever made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .kinds import Kind
from .registry import Registry
from .status import Json, Refused
from .store import Event, Key, Store

Do = Callable[..., Any]

_COLLECTED = ("foregroundDeletion", "orphan")
_WORKLOADS = ("apps/deployments", "apps/statefulsets", "apps/daemonsets")
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nc3RhbmQtaW4=\n-----END CERTIFICATE-----\n"


class Controllers:
    """A thread that reacts to what is written.

    Args:
        do: makes a request as a controller: method, path, body, content type.
    """

    def __init__(self, store: Store, registry: Registry, do: Do) -> None:
        self._store = store
        self._registry = registry
        self._do = do
        self._seen = 0
        self._owned: set[Key] = set()
        self._terminating: set[str] = set()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="stand-in controllers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._store.changed:
            self._stopping = True
            self._store.changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def settle(self) -> None:
        """Does now what there is to do."""
        with self._store.changed:
            while self._seen < self._store.revision:
                events = self._store.events_after(self._seen)
                self._seen = self._store.revision
                for event in events:
                    self._react(event)

    def _run(self) -> None:
        while True:
            with self._store.changed:
                while self._seen >= self._store.revision and not self._stopping:
                    self._store.changed.wait()
                if self._stopping:
                    return
            self.settle()

    def _react(self, event: Event) -> None:
        key, new = event.key, event.new
        self._note_owners(key, new)
        if new is None:
            self._collect_dependents(event.old or {})
        elif new["metadata"].get("deletionTimestamp"):
            self._finish_deletion(key, new)
        elif key.kind in _WORKLOADS:
            self._observe(key, new)
        if key.kind == "namespaces":
            self._namespace_changed(key.name, event)
        elif key.namespace in self._terminating and new is None:
            self._empty(key.namespace)

    def _namespace_changed(self, name: str, event: Event) -> None:
        if event.new is None:
            self._terminating.discard(name)
        elif event.new["metadata"].get("deletionTimestamp"):
            self._terminating.add(name)
            self._empty(name)
        elif event.old is None:
            self._fill(name)

    def _fill(self, namespace: str) -> None:
        """Every namespace has a service account, and the authority by which pods know the server."""
        where = f"/api/v1/namespaces/{namespace}"
        self._try("POST", f"{where}/serviceaccounts", {"metadata": {"name": "default"}})
        thing = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": _CERTIFICATE}}
        self._try("POST", f"{where}/configmaps", thing)

    def _empty(self, namespace: str) -> None:
        """Deletes what is left in a namespace that goes; the namespace itself when nothing is."""
        left = False
        for kind in self._registry.all():
            if not kind.namespaced:
                continue
            for key, thing in list(self._store.all(kind.path, namespace)):
                if not thing["metadata"].get("deletionTimestamp"):
                    self._try("DELETE", _url(kind, key))
                left = left or self._store.get(key) is not None
        found = self._store.get(Key("namespaces", "", namespace))
        if not left and found is not None:
            self._try(
                "PUT", f"/api/v1/namespaces/{namespace}/finalize", {**found, "spec": {"finalizers": []}}
            )

    def _note_owners(self, key: Key, new: Json | None) -> None:
        if new is not None and new["metadata"].get("ownerReferences"):
            self._owned.add(key)
        else:
            self._owned.discard(key)

    def _collect_dependents(self, owner: Json) -> None:
        """Deletes what belonged to nothing but a thing that is gone."""
        uid = owner["metadata"]["uid"]
        for key in list(self._owned):
            thing = self._store.get(key)
            owners = {ref["uid"] for ref in (thing or {}).get("metadata", {}).get("ownerReferences") or []}
            kind = self._registry.at(key.kind)
            if owners == {uid} and kind is not None:
                self._try("DELETE", _url(kind, key))

    def _finish_deletion(self, key: Key, thing: Json) -> None:
        """Takes away the finalizers of the garbage collector, once it has done its work."""
        finalizers = thing["metadata"].get("finalizers") or []
        kind = self._registry.at(key.kind)
        if kind is None or not set(_COLLECTED) & set(finalizers):
            return
        if "orphan" in finalizers:
            self._orphan(thing["metadata"]["uid"])
        else:
            self._collect_dependents(thing)
        left = [name for name in finalizers if name not in _COLLECTED]
        self._patch(_url(kind, key), {"metadata": {"finalizers": left or None}})

    def _orphan(self, uid: str) -> None:
        for key in list(self._owned):
            thing, kind = self._store.get(key), self._registry.at(key.kind)
            references = (thing or {}).get("metadata", {}).get("ownerReferences") or []
            left = [ref for ref in references if ref["uid"] != uid]
            if kind is not None and len(left) < len(references):
                self._patch(_url(kind, key), {"metadata": {"ownerReferences": left or None}})

    def _observe(self, key: Key, thing: Json) -> None:
        generation, kind = thing["metadata"]["generation"], self._registry.at(key.kind)
        if kind is not None and thing["status"].get("observedGeneration") != generation:
            self._patch(f"{_url(kind, key)}/status", {"status": {"observedGeneration": generation}})

    def _patch(self, url: str, change: Json) -> None:
        self._try("PATCH", url, change, "application/merge-patch+json")

    def _try(self, method: str, url: str, body: Json | None = None, how: str = "application/json") -> None:
        """What is gone, or was there already, needs nothing done."""
        try:
            self._do(method, url, body, how, "kube-controller-manager")
        except Refused:
            return


def _url(kind: Kind, key: Key) -> str:
    where = f"/apis/{kind.api_version}" if kind.group else "/api/v1"
    inside = f"/namespaces/{key.namespace}" if key.namespace else ""
    return f"{where}{inside}/{kind.plural}/{key.name}"
