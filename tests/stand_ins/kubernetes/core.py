"""The way of a request: who? may they? which kind? and then get, list, watch or write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stand_ins.common.clock import Clock

from . import bootstrap, deletion, discovery, lists, patches, reviews, status, users, watches
from .access import Rbac
from .answers import Answer, to_json
from .custom import CustomKinds
from .kinds import Kind
from .registry import Registry
from .request import Call, check_options, read
from .status import Json, Refused, beyond_the_stand_in, named, page_not_found, unauthorized
from .store import Key, Store
from .users import Tokens, User
from .views import view_of
from .watches import Watchers
from .writes import Writes, Written

VERSION: Json = {
    "buildDate": "1970-01-01T00:00:00Z",
    "compiler": "gc",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "gitCommit": "$Format:%H$",
    "gitTreeState": "",
    "gitVersion": "v0.0.0-master+$Format:%H$",
    "goVersion": "go1.26.6",
    "major": "1",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "minor": "36",
    "platform": "linux/amd64",
}

_PATCHES = (patches.JSON, patches.MERGE, patches.STRATEGIC, patches.APPLY)


class Core:
    """Everything a server knows. Any thread may call `answer`; a lock lets one through at a time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = Store()
        self.tokens = Tokens(clock)
        self.watchers = Watchers()
        self.registry = Registry()
        self.rbac = Rbac(self.store)
        self.custom = CustomKinds(self.registry, self.store)
        self.writes = Writes(self.store, clock, self.rbac.check_creation)
        for resource, thing in bootstrap.objects():
            kind = next(kind for kind in self.registry.all() if kind.plural == resource)
            where = f"/apis/{kind.api_version}" if kind.group else "/api/v1"
            self.do("POST", f"{where}/{resource}", thing)

    def identified(self, call: Call, certificate: User | None) -> Call:
        """The call with its user; user "" is a token that is none."""
        user: User | None = certificate or users.ANONYMOUS
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            user = self.tokens.user_of(token.strip())
        return call if user is None else replace(call, user=user.name, groups=user.groups)

    def do(
        self,
        method: str,
        url: str,
        body: Json | None = None,
        content_type: str = "application/json",
        manager: str = "kube-apiserver",
    ) -> Any:
        """A request of the cluster's own, which no log shows; gives the body of the answer.

        Raises:
            Refused: it was not granted.
        """
        headers = {"content-type": content_type, "user-agent": manager}
        raw = b"" if body is None else to_json(body)
        call = replace(read(method, url, headers, raw), user=users.ADMIN, groups=(users.MASTERS,))
        return self.answer(call).body

    def answer(self, call: Call) -> Answer:
        """Answers one request.

        Raises:
            Refused: it was not granted.
        """
        with self.store.changed:
            if not call.user:
                raise unauthorized()
            self.rbac.check(call)
            if not call.target.is_resource:
                return self._page(call)
            if reviews.is_review(call.target):
                return reviews.answer(call, self.rbac, self.clock)
            return self._resource(call, self.registry.find(call.target, call.verb))

    def _page(self, call: Call) -> Answer:
        """What is no resource: the version, whether it lives, and what it serves."""
        path = call.target.path.rstrip("/")
        if path == "/version":
            return Answer(body=VERSION)
        if path in ("/healthz", "/livez", "/readyz"):
            return Answer(text="ok", headers={"Content-Type": "text/plain; charset=utf-8"})
        found = discovery.page(path, self.registry)
        if found is None:
            raise page_not_found()
        return Answer(body=found)

    def _resource(self, call: Call, kind: Kind) -> Answer:
        if call.target.subresource == "token":
            return reviews.token(call, self.store, self.tokens, self.clock)
        view = view_of(call, self.clock.now())
        if call.verb == "get":
            return Answer(body=view(self._get(call, kind)))
        if call.verb == "list":
            return Answer(body=view(lists.listed(self.store, call, kind)))
        if call.verb == "watch":
            watch = watches.watch(self.store, self.clock, self.watchers, call, kind)
            return Answer(watch=replace(watch, view=view))
        if call.verb == "delete":
            return _deleted(self._delete(call, kind), kind)
        if call.verb == "deletecollection":
            return self._delete_all(call, kind)
        check_options(call)
        if call.target.subresource and call.content_type == patches.APPLY:
            raise beyond_the_stand_in("server-side apply of a subresource")
        written = self._write(call, kind)
        return Answer(201 if written.created else 200, written.thing)

    def _write(self, call: Call, kind: Kind) -> Written:
        if call.verb == "patch":
            _check_patch_type(call, kind)
            written = self.writes.patch(call, kind)
        elif call.verb == "update":
            _check_media_type(call)
            written = self.writes.update(call, kind)
        else:
            _check_media_type(call)
            written = self.writes.create(call, kind)
        if not call.dry_run:
            self.custom.written(kind, written.thing)
        return written

    def _get(self, call: Call, kind: Kind) -> Json:
        asked = lists.revision_asked(call, kind)
        if asked:
            lists.check_not_of_the_future(self.store, asked)
        namespace = call.target.namespace if kind.namespaced else ""
        found = self.store.get(Key(kind.path, namespace, call.target.name))
        if found is None:
            raise status.not_found(kind.group, kind.plural, call.target.name)
        return found

    def _delete(self, call: Call, kind: Kind) -> Written:
        options = deletion.options(call)
        if kind.plural == "namespaces" and call.target.name in ("default", "kube-system", "kube-public"):
            why = "this namespace may not be deleted"
            raise status.forbidden("", "namespaces", call.target.name, why)
        written = self.writes.delete(_dry(call, options), kind, options)
        if written.gone and not call.dry_run:
            self.custom.removed(kind, written.thing)
        return written

    def _delete_all(self, call: Call, kind: Kind) -> Answer:
        options = deletion.options(call)
        found = lists.listed(self.store, call, kind)
        for thing in found["items"]:
            target = replace(call.target, name=thing["metadata"]["name"])
            self.writes.delete(_dry(replace(call, target=target), options), kind, options)
        return Answer(body=found)


def _deleted(written: Written, kind: Kind) -> Answer:
    if not written.gone:
        return Answer(body=written.thing)
    meta = written.thing["metadata"]
    body: Json = {
        "apiVersion": "v1",
        "details": named(kind.group, kind.plural, meta["name"], uid=meta["uid"]),
        "kind": "Status",
        "metadata": {},
        "status": "Success",
    }
    return Answer(body=body)


def _dry(call: Call, options: Json) -> Call:
    """A dry run may be asked for in the body too."""
    return replace(call, query=call.query | {"dryRun": options["dryRun"]}) if options.get("dryRun") else call


def _check_patch_type(call: Call, kind: Kind) -> None:
    known = _PATCHES if not kind.whole else (patches.JSON, patches.MERGE, patches.APPLY)
    if call.content_type not in known:
        raise _unsupported_media_type(*known)


def _check_media_type(call: Call) -> None:
    known = ("application/json", "application/yaml")
    if call.content_type not in ("", *known):
        raise _unsupported_media_type(*known, "application/vnd.kubernetes.protobuf")


def _unsupported_media_type(*known: str) -> Refused:
    told = "the body of the request was in an unknown format - accepted media types include: "
    return Refused(415, "UnsupportedMediaType", told + ", ".join(known), {})
