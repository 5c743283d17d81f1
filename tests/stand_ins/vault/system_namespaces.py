"""sys/: namespaces, which Vault Enterprise and OpenBao have."""

from __future__ import annotations

from .answers import Answer, no_content, not_found
from .call import Call
from .mounts import Engine, Namespace, listing
from .routing import route


class NamespaceRoutes(Engine):
    @route("list", "namespaces")
    def list_namespaces(self, call: Call) -> Answer:
        here = call.namespace.path
        below = (
            path.removeprefix(here) for path in self.core.namespaces if path.startswith(here) and path != here
        )
        return listing(name for name in below if name.count("/") == 1)

    @route("read", "namespaces/<name...>")
    def read_namespace(self, call: Call, name: str) -> Answer:
        found = self.core.namespaces.get(f"{call.namespace.path}{name}/")
        if found is None:
            raise not_found()
        return Answer(data=_shown(found))

    @route("write", "namespaces/<name...>")
    def create_namespace(self, call: Call, name: str) -> Answer:
        path = f"{call.namespace.path}{name}/"
        found = self.core.namespaces.get(path) or self.core.add_namespace(path)
        return Answer(data=_shown(found))

    @route("delete", "namespaces/<name...>")
    def delete_namespace(self, call: Call, name: str) -> Answer:
        path = f"{call.namespace.path}{name}/"
        if path in self.core.namespaces:
            self.core.remove_namespace(path)
        return no_content()


def _shown(namespace: Namespace) -> dict[str, object]:
    return {"custom_metadata": {}, "id": namespace.id, "path": namespace.path, "uuid": namespace.uuid}
