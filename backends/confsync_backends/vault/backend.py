"""Vault as an addressed backend: which engine a path belongs to decides who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from confsync.clock import Clock, SystemClock
from confsync.driver import Address, AddressedBackend, Lease, Personal, Secret
from confsync.errors import Invalid, SourceError, Unavailable
from confsync.text import printable
from confsync_backends.vault import dynamic, kv, transit
from confsync_backends.vault.auth.token import VARIABLE
from confsync_backends.vault.calls import Calls
from confsync_backends.vault.faults import spoken
from confsync_backends.vault.mounts import Mount, Mounts, OtherMount
from confsync_backends.vault.options import VaultOptions

if TYPE_CHECKING:
    from confsync_backends.vault.session import Session

T = TypeVar("T")


class VaultBackend(AddressedBackend):
    """Reads secrets by path; logs in when a call first needs it. All methods may be called from any thread."""

    Options = VaultOptions
    sensitive: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("hvac", "requests")
    credentials: ClassVar[tuple[str, ...]] = (VARIABLE,)
    # The second: below a namespace that is written in the path.
    logins: ClassVar[tuple[str, ...]] = ("auth/*", "*/auth/token/*")

    def __init__(self, options: VaultOptions, calls: Calls, session: Session, clock: Clock) -> None:
        self._calls = calls
        self._session = session
        self._clock = clock
        self._shown = options.shown_address
        self._mounts = Mounts(session, options, self._shown)
        self._versioned = kv.Versioned(session, self._shown, clock)

    @classmethod
    def open(cls, options: Any, base: Path) -> VaultBackend:
        from confsync_backends.vault.session import Session

        calls, clock = Calls(options, base), SystemClock()
        return cls(options, calls, Session(calls, options, base, clock), clock)

    @classmethod
    def personal(cls, options: Any, others: Sequence[Any], base: Path) -> Personal:
        from confsync_backends.vault.personal import personal

        return personal(options, others, base)

    @property
    def address(self) -> str:
        return self._shown

    def close(self) -> None:
        self._calls.close()

    def only_look(self) -> None:
        self._session.only_look()

    def is_dynamic(self, address: Address) -> bool:
        with _about(address.path):
            return dynamic.is_dynamic(self._mounts.of(address.path), address.path)

    def fetch(self, address: Address) -> Secret:
        return self._at(address.path, lambda mount: self._fetch(mount, address))

    def changed(self, address: Address, known: Secret) -> bool:
        return self._at(
            address.path,
            lambda mount: mount.version != 2 or self._versioned.changed(mount, address, known),
        )

    def names(self, path: str) -> tuple[str, ...]:
        return self._at(path.strip("/"), lambda mount: self._names(mount, path.strip("/")))

    def renew(self, lease: Lease) -> Lease:
        with _about(dynamic.origin(lease)):
            return dynamic.renew(self._session, lease, self._shown)

    def revoke(self, lease: Lease) -> None:
        with _about(dynamic.origin(lease)):
            dynamic.revoke(self._session, lease)

    def decrypt(self, key: str, ciphertexts: Sequence[str]) -> list[bytes | SourceError]:
        with _about(key):
            return transit.decrypt(self._session, key.strip("/"), ciphertexts, self._shown)

    @property
    def session(self) -> int:
        return self._session.number

    def tend(self) -> float | None:
        return self._session.tend()

    def verify(self) -> None:
        self._session.verify()

    def export_session(self) -> bytes | None:
        return self._session.export()

    def import_session(self, exported: bytes) -> None:
        self._session.import_(exported)

    def end_session(self) -> None:
        self._session.end()

    def _fetch(self, mount: Mount, address: Address) -> Secret:
        if not mount.below(address.path):
            raise Invalid(
                f"vault at {self._shown}: reading {printable(address.path)}: this is a mount, no secret in it",
                hint=f"write for example {printable(mount.path)}NAME",
            )
        if mount.version == 2:
            return self._versioned.fetch(mount, address)
        if mount.type in ("kv", "cubbyhole"):
            return kv.fetch_unversioned(self._session, address, self._shown, bound=mount.type == "cubbyhole")
        return dynamic.fetch(self._session, mount, address, self._clock)

    def _names(self, mount: Mount, path: str) -> tuple[str, ...]:
        asked = f"{mount.path}metadata/{mount.below(path)}" if mount.version == 2 else path
        reply, _ = self._session.call("LIST", asked, doing=f"listing {path}")
        names = (kv.believed(reply).data or {}).get("keys") or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Unavailable(
                f"vault at {self._shown}: listing {printable(path)}: its answer is no list of names"
            )
        return tuple(sorted(names))

    def _at(self, path: str, use: Callable[[Mount], T]) -> T:
        """Use the path's mount; where the answer shows that it is another one by now, look again once."""
        with _about(path):
            mount = self._mounts.of(path)
            try:
                return use(mount)
            except OtherMount as error:
                if not self._mounts.forget(mount):
                    raise self._contradicted(path, mount, error) from None
            mount = self._mounts.of(path)
            try:
                return use(mount)
            except OtherMount as error:
                raise self._contradicted(path, mount, error) from None

    def _contradicted(self, path: str, mount: Mount, error: OtherMount) -> Invalid:
        version = f" version {mount.version}" if mount.version else ""
        return Invalid(
            f"vault at {self._shown}: reading {printable(path)}: {mount.path} is taken for {mount.type}{version}, "
            f"but answers otherwise ({spoken([str(error)])!r})",
            hint="check the path, and mounts: of this source if it names this mount",
        )


@contextmanager
def _about(path: str) -> Iterator[None]:
    """Errors name the path that was asked for, not the one it became; none where Vault as a whole does not answer."""
    try:
        yield
    except SourceError as error:
        if error.key is not None or not isinstance(error, Unavailable):
            error.key = path
        raise
