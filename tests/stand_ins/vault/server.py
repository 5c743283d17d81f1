"""The stand-in for a Vault server, and what a test may do to it."""

from __future__ import annotations

from stand_ins.common.listening import Listening

from . import ids
from .clock import Clock
from .core import Core
from .faults import Faults
from .listener import Listener, TlsFiles
from .request_log import Request, RequestLog


class VaultServer(Listening):
    """A server on a free port of the loopback, alive while the context is. Any thread may use it.

    It starts as a dev server does: unsealed, with KV version 2 at `secret/` and a root token.

    Args:
        root_token: None makes one up.
        tls: serve HTTPS with these.
        now: the epoch time its clock starts at, in seconds; None is now.

    Attributes:
        address: its URL; the same after a restart.
        faults: what goes wrong, see Faults.
        log: the requests, connections and concurrency it saw.
        bugs: exceptions the stand-in should not have had; a test with any proves nothing.
    """

    def __init__(
        self, *, root_token: str | None = None, tls: TlsFiles | None = None, now: float | None = None
    ) -> None:
        super().__init__(tls)
        self.root_token = root_token or ids.token("")
        self.clock = Clock(now)
        self.core = Core(self.clock, self.root_token)
        self.faults = Faults()
        self.log = RequestLog()
        self.bugs: list[Exception] = []

    def _listen(self, port: int) -> Listener:
        return Listener(self, port, self._tls)

    def _stops(self) -> None:
        self.faults.let_go()

    @property
    def unseal_key(self) -> str:
        return self.core.unseal_key

    def restart(self, *, lose_state: bool = False, sealed: bool = False) -> None:
        """Stops and starts; `lose_state` as a dev server does, `sealed` as a server without auto-unseal does."""
        self.stop()
        if lose_state:
            self.core = Core(self.clock, self.root_token)
        self.core.sealed = sealed
        self.start()

    def seal(self) -> None:
        self.core.sealed = True

    def unseal(self) -> None:
        self.core.sealed = False
        self.core.expire()

    def advance(self, seconds: float) -> None:
        """Moves the clock, and ends the tokens and leases whose time that was."""
        self.clock.advance(seconds)
        self.core.expire()

    @property
    def requests(self) -> list[Request]:
        """What it was asked since `forget_requests`, the oldest first; a copy."""
        return self.log.all()

    def count(self, method: str | None, path_prefix: str) -> int:
        """How many requests of a method (None: any) had a path that begins so ("secret/data/" will do)."""
        return self.log.count(method, path_prefix)

    def forget_requests(self) -> None:
        self.log.forget()

    @property
    def credentials(self) -> dict[str, str]:
        """The database users that can log in now, and their passwords; a copy."""
        with self.core.lock:
            self.core.expire()
            return dict(self.core.credentials)

    def credential_alive(self, username: str) -> bool:
        return username in self.credentials

    def leases(self, prefix: str = "") -> list[str]:
        """The ids of the leases alive whose id begins so."""
        with self.core.lock:
            self.core.expire()
            return [lease.id for lease in self.core.leases.below(prefix)]

    def token_alive(self, token: str) -> bool:
        with self.core.lock:
            self.core.expire()
            return self.core.tokens.find(token) is not None

    def cap_lease(self, lease_id: str, seconds: float) -> None:
        """From now on no renewal takes the lease further than `seconds` from now."""
        with self.core.lock:
            self.core.leases.cap(lease_id, seconds)

    def directory_user(self, name: str, password: str, policies: list[str]) -> None:
        """Somebody the LDAP server knows that auth/ldap asks (no LDAP server is there to ask)."""
        with self.core.lock:
            self.core.directory[name] = (password, policies)

    def pause(self, seconds: float) -> None:
        """Waits, but not beyond the server's end, and not beyond that of the faults."""
        self.faults.wait(seconds, self._stopping)
