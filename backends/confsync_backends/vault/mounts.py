"""What is mounted where: the secrets engine behind a path decides how the path is read.

Found out by `sys/internal/ui/mounts/PATH`, which needs no capability of its own but some on the path: the preflight
check of Vault's own CLI and UI. Vault lets no mount lie below another, so one that is known answers for all below it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confsync.errors import Denied, Invalid, Unavailable
from confsync.text import printable
from confsync_backends.vault.faults import Forbidden, Refused, TokenRejected
from confsync_backends.vault.options import VaultOptions
from confsync_backends.vault.reply import Reply

if TYPE_CHECKING:
    from confsync_backends.vault.session import Session

_VERSIONED = "2"
# What KV version 1 was called before it had versions.
_ALIASES = {"generic": "kv"}


@dataclass(frozen=True, slots=True)
class Mount:
    """A secrets engine, mounted.

    Attributes:
        path: where, with a slash at its end: `secret/`.
        type: `kv`, `database`, `pki`, `transit`, `cubbyhole`...
        version: kv's; 0 for all others.
    """

    path: str
    type: str
    version: int = 0

    def below(self, path: str) -> str:
        """The path from the mount on: `prod/db` of `secret/prod/db`; "" is the mount itself."""
        return path[len(self.path) :]


class OtherMount(Exception):
    """The answer is not one of the engine believed to be mounted there; the text is why. Never leaves this driver."""


@dataclass(slots=True)
class _LookUp:
    """A look-up under way, for those who would make the same; `failed` is told when it is `over`."""

    over: threading.Event = field(default_factory=threading.Event)
    failed: Unavailable | None = None


class Mounts:
    """Finds mounts, and remembers them. Thread-safe."""

    def __init__(self, session: Session, options: VaultOptions, address: str) -> None:
        self._session = session
        self._address = address
        self._lock = threading.Lock()
        self._configured = {
            path: Mount(path, written.type, _version(written.type, written.version))
            for path, written in options.mounts.items()
        }
        self._found: dict[str, Mount] = {}
        self._under_way: dict[str, _LookUp] = {}  # first segment of the path -> the one for all below it

    def known(self, path: str) -> Mount | None:
        """The mount of a path, where no call is needed to tell."""
        with self._lock:
            known = {**self._found, **self._configured}
        return next((known[prefix] for prefix in _prefixes(path) if prefix in known), None)

    def of(self, path: str) -> Mount:
        """The mount of a path.

        Raises:
            Denied: it does not exist, or the token may not look it up; Vault does not tell which.
            Invalid: it does not exist.
            Unavailable: Vault cannot tell now.
        """
        while True:
            mount = self.known(path)
            if mount is not None:
                return mount
            root = path.partition("/")[0]
            with self._lock:
                other = self._under_way.get(root)
                ours = self._under_way.setdefault(root, _LookUp())
            if other is None:
                return self._find(path, root, ours)
            other.over.wait()
            if other.failed is not None:
                # A copy: who raises an error writes its own path to it.
                raise copy.copy(other.failed) from other.failed.__cause__

    def forget(self, mount: Mount) -> bool:
        """Whether it will be looked up anew: what is configured is not."""
        with self._lock:
            return self._found.pop(mount.path, None) is not None

    def _find(self, path: str, root: str, look_up: _LookUp) -> Mount:
        """Look the mount up, and tell those who wait for it."""
        try:
            mount = self._look_up(path)
            with self._lock:
                self._found[mount.path] = mount
        except Unavailable as error:
            look_up.failed = error
            raise
        else:
            return mount
        finally:
            with self._lock:
                del self._under_way[root]
            look_up.over.set()

    def _look_up(self, path: str) -> Mount:
        try:
            reply, _ = self._session.call(
                "GET", f"sys/internal/ui/mounts/{path}", doing=f"finding out what is mounted at {path}"
            )
        except (Forbidden, TokenRejected) as error:
            raise Denied(
                f"vault at {self._address}: reading {printable(path)}: no mount there, or the token's policies "
                "allow nothing on this path, not even to see what is mounted",
                key=path,
                hint=f"check the path; if it is right, grant a capability on it, or write {_advice(path)}",
            ) from error
        except Refused as error:
            raise self._no_mount(path) from error
        if reply.status == 404:
            raise self._no_mount(path)
        return self._mount(path, reply)

    def _no_mount(self, path: str) -> Invalid:
        return Invalid(
            f"vault at {self._address}: reading {printable(path)}: nothing is mounted there",
            key=path,
            hint=f"check the path (vault secrets list), or write {_advice(path)}",
        )

    def _mount(self, path: str, reply: Reply) -> Mount:
        data = reply.data or {}
        found, kind = data.get("path"), data.get("type")
        if not isinstance(found, str) or not isinstance(kind, str) or found not in _prefixes(path):
            raise Unavailable(
                f"vault at {self._address}: reading {printable(path)}: its answer names no mount", key=path
            )
        kind = _ALIASES.get(kind, kind)
        return Mount(found, kind, _found_version(kind, data.get("options")))


def _version(kind: str, written: int | None) -> int:
    return (written or 2) if kind == "kv" else 0


def _found_version(kind: str, options: Any) -> int:
    if kind != "kv":
        return 0
    versioned = isinstance(options, Mapping) and options.get("version") == _VERSIONED
    return 2 if versioned else 1


def _prefixes(path: str) -> list[str]:
    """What may be its mount: `a/b/`, then `a/`, for `a/b`."""
    segments = path.split("/")
    return ["/".join(segments[:count]) + "/" for count in range(len(segments), 0, -1)]


def _advice(path: str) -> str:
    return f"mounts: {{{printable(path.partition('/')[0])}: {{type: kv, version: 2}}}}"
