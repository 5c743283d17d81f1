"""The KV engine, version 2: a path holds versions, each of which may be deleted, undeleted, destroyed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from .answers import Answer, Json, Refused, no_content, not_found
from .call import Call
from .clock import rfc3339
from .durations import in_words, seconds
from .mounts import Engine, children, listing
from .routing import route

_DEFAULT_VERSIONS = 10
_VERBS = {
    "create": "put",
    "update": "put",
    "read": "get",
    "list": "list",
    "delete": "delete",
    "patch": "patch",
}


@dataclass
class Version:
    """Times are epoch seconds; `deleted` may lie in the future (delete_version_after)."""

    data: Json | None
    created: float
    deleted: float | None = None
    destroyed: bool = False

    def is_deleted(self, now: float) -> bool:
        return self.deleted is not None and self.deleted <= now

    def shown(self) -> Json:
        return {
            "created_time": rfc3339(self.created),
            "deletion_time": "" if self.deleted is None else rfc3339(self.deleted),
            "destroyed": self.destroyed,
        }


@dataclass
class Settings:
    """Of the mount, or of one secret: what the secret leaves open the mount decides."""

    max_versions: int = 0
    cas_required: bool = False
    delete_version_after: float = 0

    def change(self, body: Json) -> None:
        if "max_versions" in body:
            self.max_versions = int(body["max_versions"])
        if "cas_required" in body:
            self.cas_required = body["cas_required"] in (True, "true", "1")
        if "delete_version_after" in body:
            self.delete_version_after = seconds(body["delete_version_after"])

    def shown(self) -> Json:
        return {
            "cas_required": self.cas_required,
            "delete_version_after": _go_duration(self.delete_version_after),
            "max_versions": self.max_versions,
        }


@dataclass
class Entry:
    """One secret: its versions by number, and its metadata."""

    created: float
    updated: float
    settings: Settings = field(default_factory=Settings)
    versions: dict[int, Version] = field(default_factory=dict)
    current: int = 0
    oldest: int = 0
    custom: dict[str, str] | None = None

    def add(self, version: Version, keep: int) -> int:
        self.current += 1
        self.versions[self.current] = version
        self.updated = version.created
        while len(self.versions) > keep:
            del self.versions[min(self.versions)]
            self.oldest = min(self.versions)
        return self.current


class Kv2(Engine):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._settings = Settings()
        self._entries: dict[str, Entry] = {}

    def collections(self) -> dict[str, Collection[str]]:
        return {"data": self._entries, "metadata": self._entries}

    @route("read", "config")
    def read_config(self, call: Call) -> Answer:
        return Answer(data=self._settings.shown())

    @route("write", "config")
    def write_config(self, call: Call) -> Answer:
        self._settings.change(call.body)
        return no_content()

    @route("read", "data/<key...>")
    def read(self, call: Call, key: str) -> Answer:
        entry = self._entries.get(key)
        number = _number(call.query.get("version")) or (entry.current if entry else 0)
        version = entry.versions.get(number) if entry else None
        if entry is None or version is None:
            raise not_found()
        gone = version.destroyed or version.is_deleted(self._now())
        data = {"data": None if gone else version.data, "metadata": self._metadata(entry, number)}
        return Answer(data=data, status=404 if gone else 200)

    @route("write", "data/<key...>")
    def write(self, call: Call, key: str) -> Answer:
        data = call.body.get("data")
        if data is None:
            raise Refused(400, "no data provided")
        if not isinstance(data, dict):
            raise Refused(
                400, 'Field validation failed: error converting input for field "data": expected a map'
            )
        entry = self._entries.get(key)
        self._check_cas(entry, call.body.get("options") or {})
        now = self._now()
        entry = self._entries.setdefault(key, entry or Entry(now, now))
        after = entry.settings.delete_version_after or self._settings.delete_version_after
        version = Version(data, now, now + after if after else None)
        number = entry.add(version, self._kept(entry))
        return Answer(data=self._metadata(entry, number))

    @route("delete", "data/<key...>")
    def delete_latest(self, call: Call, key: str) -> Answer:
        entry = self._entries.get(key)
        latest = entry.versions.get(entry.current) if entry else None
        if latest and not latest.destroyed and not latest.is_deleted(self._now()):
            latest.deleted = self._now()
        return no_content()

    @route("write", "delete/<key...>")
    def delete(self, call: Call, key: str) -> Answer:
        for version in self._named(call, key):
            if not version.destroyed and not version.is_deleted(self._now()):
                version.deleted = self._now()
        return no_content()

    @route("write", "undelete/<key...>")
    def undelete(self, call: Call, key: str) -> Answer:
        for version in self._named(call, key):
            if not version.destroyed:
                version.deleted = None
        return no_content()

    @route("write", "destroy/<key...>")
    def destroy(self, call: Call, key: str) -> Answer:
        for version in self._named(call, key):
            version.destroyed, version.data = True, None
        return no_content()

    @route("list", "metadata/<key...>")
    def list_keys(self, call: Call, key: str) -> Answer:
        return listing(children(self._entries, f"{key}/" if key else ""))

    @route("list", "metadata")
    def list_root(self, call: Call) -> Answer:
        return self.list_keys(call, "")

    @route("read", "metadata/<key...>")
    def read_metadata(self, call: Call, key: str) -> Answer:
        entry = self._entries.get(key)
        if entry is None:
            raise not_found()
        data = entry.settings.shown() | {
            "created_time": rfc3339(entry.created),
            "current_version": entry.current,
            "oldest_version": entry.oldest,
            "updated_time": rfc3339(entry.updated),
            "versions": {str(number): version.shown() for number, version in entry.versions.items()},
        }
        return Answer(data=data | self._custom(entry))

    @route("write", "metadata/<key...>")
    def write_metadata(self, call: Call, key: str) -> Answer:
        now = self._now()
        entry = self._entries.setdefault(key, Entry(now, now))
        entry.settings.change(call.body)
        if "custom_metadata" in call.body:
            entry.custom = call.body["custom_metadata"]
        return no_content()

    @route("delete", "metadata/<key...>")
    def delete_metadata(self, call: Call, key: str) -> Answer:
        self._entries.pop(key, None)
        return no_content()

    @route("read list create update delete patch", "<path...>")
    def other(self, call: Call, path: str) -> Answer:
        """A path of version 1, most likely."""
        warning = (
            "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints "
            f"to use. If using the Vault CLI, use 'vault kv {_VERBS[call.operation]}' for this operation."
        )
        return Answer(status=404, warnings=[warning])

    def _check_cas(self, entry: Entry | None, options: Json) -> None:
        required = self._settings.cas_required or (entry is not None and entry.settings.cas_required)
        if "cas" not in options:
            if required:
                raise Refused(400, "check-and-set parameter required for this call")
            return
        if int(options["cas"]) != (entry.current if entry else 0):
            raise Refused(400, "check-and-set parameter did not match the current version")

    def _named(self, call: Call, key: str) -> list[Version]:
        numbers = call.required("versions", "No version number provided")
        entry = self._entries.get(key)
        if entry is None:
            raise not_found()
        return [entry.versions[int(number)] for number in numbers if int(number) in entry.versions]

    def _kept(self, entry: Entry) -> int:
        return entry.settings.max_versions or self._settings.max_versions or _DEFAULT_VERSIONS

    def _metadata(self, entry: Entry, number: int) -> Json:
        return {**entry.versions[number].shown(), "version": number} | self._custom(entry)

    def _custom(self, entry: Entry) -> Json:
        """Vault has it since 1.9; the recorded 1.8 shows nothing of it, so it is shown where it is used."""
        return {} if entry.custom is None else {"custom_metadata": entry.custom}

    def _now(self) -> float:
        return self.core.clock.now()


def _number(text: str | None) -> int:
    if not text:
        return 0
    if not text.isdigit():
        raise Refused(400, f'Field validation failed: error converting input {text} for field "version"')
    return int(text)


def _go_duration(value: float) -> str:
    """This endpoint prints a duration in full: 1h0m0s."""
    if value >= 3600:
        return f"{int(value) // 3600}h{int(value) // 60 % 60}m{int(value) % 60}s"
    return f"{int(value) // 60}m{int(value) % 60}s" if value >= 60 else in_words(value)
