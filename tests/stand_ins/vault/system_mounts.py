"""sys/: mounts of secret engines and logins, and the look-up a client asks before it reads."""

from __future__ import annotations

from .answers import Answer, Json, Refused, no_content
from .call import Call
from .durations import seconds
from .mounts import Engine, Mount
from .policies import Acl
from .routing import route


class MountRoutes(Engine):
    @route("read", "mounts")
    def mounts(self, call: Call) -> Answer:
        return self._listed(call, "")

    @route("read", "auth")
    def logins(self, call: Call) -> Answer:
        return self._listed(call, "auth/")

    @route("read", "mounts/<path...>/tune")
    def read_tuning(self, call: Call, path: str) -> Answer:
        return self._read_tuning(call, path)

    @route("write", "mounts/<path...>/tune")
    def tune(self, call: Call, path: str) -> Answer:
        return self._tune(call, path)

    @route("read", "auth/<path...>/tune")
    def read_login_tuning(self, call: Call, path: str) -> Answer:
        return self._read_tuning(call, f"auth/{path}")

    @route("write", "auth/<path...>/tune")
    def tune_login(self, call: Call, path: str) -> Answer:
        return self._tune(call, f"auth/{path}")

    @route("write", "mounts/<path...>")
    def mount_engine(self, call: Call, path: str) -> Answer:
        return self._mount(call, f"{path}/")

    @route("delete", "mounts/<path...>")
    def unmount_engine(self, call: Call, path: str) -> Answer:
        return self._unmount(call, f"{path}/")

    @route("write", "auth/<path...>")
    def enable_login(self, call: Call, path: str) -> Answer:
        return self._mount(call, f"auth/{path}/")

    @route("delete", "auth/<path...>")
    def disable_login(self, call: Call, path: str) -> Answer:
        return self._unmount(call, f"auth/{path}/")

    @route("read", "internal/ui/mounts")
    def visible(self, call: Call) -> Answer:
        """The mounts the caller's policies reach into."""
        acl = self._acl(call)
        seen: dict[str, Json] = {"auth": {}, "secret": {}}
        for path, mount in call.namespace.mounts.items():
            kind, name = (
                ("auth", path.removeprefix("auth/")) if path.startswith("auth/") else ("secret", path)
            )
            if acl.reaches_into(call.namespace.path + path):
                seen[kind][name] = mount.info()
        return Answer(data=dict(seen))

    @route("read", "internal/ui/mounts/<path...>")
    def look_up(self, call: Call, path: str) -> Answer:
        acl = self._acl(call)
        found = call.namespace.find(path)
        if found is None or not acl.reaches_into(call.namespace.path + found[0].path):
            raise Refused(
                403,
                "preflight capability check returned 403, please ensure client's policies grant access to path "
                f'"{path}/"',
            )
        return Answer(data={**found[0].info(), "path": found[0].path})

    def _acl(self, call: Call) -> Acl:
        caller = self.core.identified(call)
        return caller.namespace.acl(caller.policies)

    def _listed(self, call: Call, kind: str) -> Answer:
        mounts = {
            path.removeprefix(kind): mount.info()
            for path, mount in call.namespace.mounts.items()
            if path.startswith("auth/") == (kind == "auth/")
        }
        return Answer(data=mounts, top_level=True)

    def _mount(self, call: Call, path: str) -> Answer:
        kind = str(call.required("type", "backend type must be specified as a string"))
        options = dict(call.body.get("options") or {}) or None
        if kind == "kv-v2":
            kind, options = "kv", {"version": "2"}
        config = call.body.get("config") or {}
        mount = Mount(path, kind, options, str(call.body.get("description") or ""), config)
        self.core.mount(call.namespace, mount)
        return no_content()

    def _unmount(self, call: Call, path: str) -> Answer:
        mount = call.namespace.mounts.get(path)
        if path in ("sys/", "auth/token/"):
            raise Refused(400, f"cannot unmount '{path}'")
        if mount is None:
            return no_content()
        for lease in self.core.leases.below(call.namespace.path + path):
            self.core.leases.revoke(lease.id)
        self.core.tokens.revoke_from(call.namespace, path)
        del call.namespace.mounts[path]
        return no_content()

    def _read_tuning(self, call: Call, path: str) -> Answer:
        mount = self._known(call, path)
        data: Json = {
            "default_lease_ttl": int(mount.default_ttl),
            "description": mount.description,
            "force_no_cache": False,
            "max_lease_ttl": int(mount.max_ttl),
        }
        return Answer(data=data | ({"options": mount.options} if mount.options else {}), top_level=True)

    def _tune(self, call: Call, path: str) -> Answer:
        mount = self._known(call, path)
        for name in ("default_lease_ttl", "max_lease_ttl"):
            if name in call.body:
                seconds(call.body[name])
                mount.config = {**mount.config, name: call.body[name]}
        if "description" in call.body:
            mount.description = str(call.body["description"])
        return no_content()

    def _known(self, call: Call, path: str) -> Mount:
        mount = call.namespace.mounts.get(f"{path}/")
        if mount is None:
            raise Refused(400, f'cannot fetch sysview for path "{path}/"')
        return mount
