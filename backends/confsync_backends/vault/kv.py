"""Secrets of the key-value engine: version 2 keeps versions and tells a change by metadata, version 1 neither.

https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 and .../kv-v1
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from confsync.clock import Clock
from confsync.driver import Address, Secret
from confsync.errors import Invalid, Unavailable
from confsync.text import printable
from confsync_backends.vault.faults import Forbidden, TokenRejected
from confsync_backends.vault.mounts import Mount, OtherMount
from confsync_backends.vault.reply import Reply

if TYPE_CHECKING:
    from confsync_backends.vault.session import Session

METADATA = ("metadata", "")
_NOTHING = "there is no secret"


class _Standing(NamedTuple):
    """How one version of a secret stands.

    Attributes:
        version: its number; 0: there is no such version.
        missing: why it cannot be read, or "".
    """

    version: int
    missing: str = ""


class Versioned:
    """Version 2 of the engine."""

    def __init__(self, session: Session, address: str, clock: Clock) -> None:
        self._session = session
        self._address = address
        self._clock = clock
        # Where metadata is denied: mounts, and to which login. A set's `add` and `in` need no lock.
        self._blind: set[tuple[str, int]] = set()

    def fetch(self, mount: Mount, address: Address) -> Secret:
        """The secret, or why there is none.

        Raises:
            OtherMount: something else is mounted there.
        """
        version = _asked_version(address, self._address)
        if METADATA in address.parameters:
            return _described(self._metadata(mount, address))
        query = {"version": str(version)} if version else None
        reply = self._get(mount, "data", address, query)
        if reply.data is None:
            return Secret(None, missing=self._why_missing(mount, address, version))
        return self._secret(address, reply)

    def changed(self, mount: Mount, address: Address, known: Secret) -> bool:
        """Whether `fetch` would answer otherwise, told by the metadata; True where that may not be read.

        Raises:
            OtherMount: something else is mounted there.
        """
        reply = self._visible_metadata(mount, address)
        if reply is None:
            return True
        if METADATA in address.parameters:
            return _described(reply) != known
        before = _Standing(known.version, known.missing if known.version else "")
        return self._standing(reply, _asked_version(address, self._address)) != before

    def _get(
        self, mount: Mount, part: str, address: Address, query: Mapping[str, str] | None = None
    ) -> Reply:
        path = f"{mount.path}{part}/{mount.below(address.path)}"
        reply, _ = self._session.call("GET", path, query=query, doing=f"reading {address.path}")
        return believed(reply)

    def _metadata(self, mount: Mount, address: Address) -> Reply:
        return self._get(mount, "metadata", address)

    def _visible_metadata(self, mount: Mount, address: Address) -> Reply | None:
        """The metadata, or None where the policies hide it: then it is asked for once for each mount and login."""
        if (mount.path, self._session.number) in self._blind:
            return None
        try:
            return self._metadata(mount, address)
        except (Forbidden, TokenRejected):
            self._blind.add((mount.path, self._session.number))
            return None

    def _why_missing(self, mount: Mount, address: Address, version: int) -> str:
        if not version:
            return _NOTHING
        reply = self._visible_metadata(mount, address)
        if reply is None:
            return f"there is no version {version}, or no secret at all (its metadata may not be read)"
        latest = _latest(reply)
        return f"there is no version {version} (the latest is {latest})" if latest else _NOTHING

    def _secret(self, address: Address, reply: Reply) -> Secret:
        whole = reply.data or {}
        metadata, data = whole.get("metadata"), whole.get("data")
        if not isinstance(metadata, dict) or not isinstance(data, dict | None):
            raise OtherMount("its answer is not one of version 2")
        version, created = _count(metadata, "version"), parse_time(metadata.get("created_time"))
        if data is not None:
            return Secret(data, version=version, created=created)
        missing = _missing(version, metadata, math.inf)  # it is deleted, whatever anybody's clock says
        if not missing:
            about = f"vault at {self._address}: reading {printable(address.path)}"
            raise Unavailable(f"{about}: its answer has neither data nor a reason why not", key=address.path)
        return Secret(None, missing=missing, version=version, created=created)

    def _standing(self, reply: Reply, asked: int) -> _Standing:
        """How the asked version stands by the metadata; 0 asks for the latest."""
        metadata = reply.data or {}
        version = asked or _latest(reply)
        versions = metadata.get("versions")
        found = versions.get(str(version)) if isinstance(versions, dict) else None
        if not isinstance(found, dict):
            return _Standing(0)
        return _Standing(version, _missing(version, found, self._now(reply)))

    def _now(self, reply: Reply) -> float:
        # What is to be deleted at some time is deleted by the server's clock, which it tells in whole seconds.
        return self._clock.now() if reply.date is None else reply.date + 1.0


def fetch_unversioned(session: Session, address: Address, shown: str, *, bound: bool = False) -> Secret:
    """The secret of a version 1 engine, or of a cubbyhole, which is `bound` to its token.

    Its `lease_duration` only suggests when to look again: there is no lease to renew or to end.

    Args:
        shown: where Vault is, for messages.

    Raises:
        OtherMount: something else is mounted there.
    """
    if address.parameters:
        name = address.parameters[0][0]
        raise Invalid(
            f"vault at {shown}: reading {printable(address.path)}: version 1 of kv knows no {printable(name)}",
            key=address.path,
            hint="leave it out, or upgrade the mount: vault kv enable-versioning MOUNT",
        )
    reply, number = session.call("GET", address.path, doing=f"reading {address.path}")
    if believed(reply).data is None:
        return Secret(None, missing=_NOTHING)
    return Secret(reply.data, session=number if bound else 0)


def believed(reply: Reply) -> Reply:
    """The reply, if an engine of the expected kind gave it.

    Raises:
        OtherMount: no engine did (the mount is gone), or it remarks that the path is none of its own.
    """
    if reply.status == 404 and (reply.errors or reply.warnings):
        raise OtherMount("; ".join(reply.errors or reply.warnings))
    return reply


def parse_time(text: object) -> float | None:
    """Seconds since the epoch of `2026-11-21T03:27:36.266686232Z`; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _asked_version(address: Address, shown: str) -> int:
    """The version asked for; 0 is the latest.

    Raises:
        Invalid: a parameter that is none of kv's.
    """
    about = f"vault at {shown}: reading {printable(address.path)}"
    parameters = dict(address.parameters)
    version = parameters.pop("version", "0")
    if parameters and (parameters != dict([METADATA]) or "version" in dict(address.parameters)):
        name = printable(next(iter(parameters)))
        raise Invalid(f"{about}: a kv secret takes no {name}", key=address.path, hint="it takes ?version=3")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise Invalid(
            f"{about}: {printable(version)!r} is no version", key=address.path, hint="write ?version=3"
        )
    return int(version)


def _missing(version: int, metadata: Mapping[str, Any], now: float) -> str:
    """Why this version cannot be read, or ""."""
    if metadata.get("destroyed") is True:
        return f"version {version} was destroyed"
    deleted = parse_time(metadata.get("deletion_time"))
    if deleted is None or deleted > now:
        return ""
    return f"version {version} was deleted on {datetime.fromtimestamp(deleted, UTC):%Y-%m-%d %H:%M:%SZ}"


def _described(reply: Reply) -> Secret:
    """The metadata as a secret of its own."""
    metadata, version = reply.data, _latest(reply)
    if metadata is None:
        return Secret(None, missing=_NOTHING)
    versions = metadata.get("versions")
    latest = versions.get(str(version)) if isinstance(versions, dict) else None
    return Secret(
        {
            "current_version": version,
            "created_time": metadata.get("created_time"),
            "updated_time": metadata.get("updated_time"),
            "custom_metadata": metadata.get("custom_metadata") or {},
            "deletion_time": latest.get("deletion_time", "") if isinstance(latest, dict) else "",
        },
        version=version,
        created=parse_time(metadata.get("updated_time")),
    )


def _latest(reply: Reply) -> int:
    """The number of the latest version by the metadata; 0: there is none."""
    return 0 if reply.data is None else _count(reply.data, "current_version")


def _count(metadata: Mapping[str, Any], name: str) -> int:
    """A version's number.

    Raises:
        OtherMount: there is none; no version 2 engine answers so.
    """
    value = metadata.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise OtherMount(f"its answer has no {name}")
    return value
