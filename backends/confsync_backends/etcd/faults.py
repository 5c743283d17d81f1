"""Which gRPC or etcd error means what. Some differ only in their text, looked at here and nowhere else."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Any

from confsync.errors import Denied, Gap, Invalid, SourceError, Unavailable
from confsync_backends.etcd.stubs import grpc


class Kind(Enum):
    """What an error asks us to do."""

    UNAVAILABLE = auto()  # try another endpoint, or later
    LOGIN = auto()  # the token is missing, expired or outdated
    AUTH_OFF = auto()  # logging in is not needed here
    DENIED = auto()
    INVALID = auto()
    COMPACTED = auto()  # the revision asked for is gone
    FUTURE = auto()  # this member has not come to the revision asked for


_TEXTS = (
    ("required revision has been compacted", Kind.COMPACTED),
    ("required revision is a future revision", Kind.FUTURE),
    ("invalid auth token", Kind.LOGIN),
    ("revision of auth store is old", Kind.LOGIN),
    ("user name is empty", Kind.LOGIN),
    ("authentication is not enabled", Kind.AUTH_OFF),
    ("authentication failed", Kind.DENIED),
    ("user name not found", Kind.DENIED),
    ("permission denied", Kind.DENIED),
)
_CODES = {
    grpc.StatusCode.PERMISSION_DENIED: Kind.DENIED,
    grpc.StatusCode.UNAUTHENTICATED: Kind.DENIED,
    grpc.StatusCode.INVALID_ARGUMENT: Kind.INVALID,
    grpc.StatusCode.FAILED_PRECONDITION: Kind.INVALID,
    grpc.StatusCode.OUT_OF_RANGE: Kind.INVALID,
    grpc.StatusCode.NOT_FOUND: Kind.INVALID,
    grpc.StatusCode.UNIMPLEMENTED: Kind.INVALID,
}
# What gRPC says of a connection that did not come about -> kind, what we say, what to do.
_CONNECTING = (
    (
        "CERTIFICATE_VERIFY_FAILED", Kind.INVALID,
        "its certificate is not trusted", "set tls.ca to the CA that signed it",
    ),
    (
        "Hostname Verification Check failed", Kind.INVALID,
        "its certificate is for another name", "set tls.server_name to a name in it",
    ),
    (
        "Unwrap failed", Kind.DENIED,
        "it refused our client certificate", "set tls.cert and tls.key to a certificate it trusts",
    ),
    (
        "WRONG_VERSION_NUMBER", Kind.INVALID,
        "it does not speak TLS", "write http:// for this endpoint",
    ),
    (
        "Handshake read failed", Kind.UNAVAILABLE,
        "it closed the connection during the TLS handshake", "if it does not speak TLS, write http://",
    ),
    ("before receiving SETTINGS", Kind.UNAVAILABLE, "it accepts connections but does not answer", None),
    ("Connection refused", Kind.UNAVAILABLE, "connection refused", None),
)  # fmt: skip
_NOISE = re.compile(r"^failed to connect to all addresses; last error: \w+: (?:ipv[46]:\S+: )?")
_LONGEST = 256


class CallFailed(Exception):
    """A call to etcd failed. Stays inside this driver: `as_source_error` is what leaves it.

    Attributes:
        kind: what to do about it.
        text: what happened, without the endpoint.
        hint: what the user can do, or None.
        connected: whether etcd itself answered, as opposed to the network.
    """

    def __init__(self, kind: Kind, text: str, *, hint: str | None = None, connected: bool = False) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.hint = hint
        self.connected = connected

    @classmethod
    def from_rpc(cls, error: Any, *, secure: bool, timeout: float) -> CallFailed:
        """From a `grpc.RpcError` of a call to one endpoint."""
        code, details = error.code(), str(error.details() or "")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return cls(Kind.UNAVAILABLE, f"no answer within {timeout:.3g}s")
        if details.startswith("etcdserver:"):
            return cls.from_text(details, _CODES.get(code, Kind.UNAVAILABLE))
        if code is grpc.StatusCode.UNAVAILABLE:
            return cls._connecting(details, secure=secure)
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return cls(
                Kind.INVALID, "it answers, but not as etcd v3", hint="check the endpoint's host and port"
            )
        return cls(
            _CODES.get(code, Kind.UNAVAILABLE), f"{code.name}: {details[:_LONGEST]}", connected=code in _CODES
        )

    @classmethod
    def from_text(cls, details: str, otherwise: Kind) -> CallFailed:
        """From what etcd itself said, in an error or as the reason why a watch was cancelled."""
        kind = next((kind for text, kind in _TEXTS if text in details), otherwise)
        return cls(kind, details.rpartition("etcdserver: ")[2][:_LONGEST], connected=True)

    @classmethod
    def _connecting(cls, details: str, *, secure: bool) -> CallFailed:
        for text, kind, message, hint in _CONNECTING:
            if text in details:
                return cls(kind, message, hint=hint)
        hint = None if secure or "Socket closed" not in details else "if it speaks TLS, write https://"
        return cls(Kind.UNAVAILABLE, _NOISE.sub("", details)[:_LONGEST], hint=hint)

    @property
    def elsewhere(self) -> bool:
        """Whether another endpoint may do better."""
        return not self.connected or self.kind is Kind.UNAVAILABLE

    def as_source_error(
        self, address: str, prefix: str | None = None, user: str | None = None, taken_for: str | None = None
    ) -> SourceError:
        """For the core.

        Args:
            prefix: the one being read, as a byte prefix with its final slash.
            user: who logs in, if anybody.
            taken_for: who etcd takes us for, whichever way.
        """
        if self.kind is Kind.DENIED and prefix is not None and "permission denied" in self.text:
            return Denied(
                f"etcd at {address}: {who(taken_for)} may not read all of {prefix or 'the root'}",
                key=prefix,
                hint="the whole prefix must be granted, a part does not do: "
                f"etcdctl role grant-permission ROLE --prefix=true read {prefix or repr('')}",
            )
        about = f" (reading {prefix})" if prefix else ""
        message = f"etcd at {address}: {self.text}{about}"
        if self.kind is Kind.LOGIN and user is None:
            return Denied(f"{message}: it wants a login", key=prefix, hint="set user and password")
        if self.kind is Kind.DENIED:
            return Denied(message, key=prefix, hint=self.hint or "check user and password")
        if self.kind is Kind.INVALID:
            return Invalid(message, key=prefix, hint=self.hint)
        if self.kind is Kind.COMPACTED:
            return Gap(message, key=prefix)
        return Unavailable(message, key=prefix, hint=self.hint)


def who(user: str | None) -> str:
    """For messages."""
    return f"user {user!r}" if user else "nobody without a login"
