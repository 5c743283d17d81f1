"""Logging in to etcd: one token for all calls, renewed once for all that find it expired."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confsync.errors import Denied
from confsync_backends.etcd.faults import CallFailed, Kind
from confsync_backends.etcd.options import EtcdOptions, Secret, reveal
from confsync_backends.etcd.stubs import grpc, rpc_pb2

if TYPE_CHECKING:
    from confsync_backends.etcd.connection import Link

Metadata = tuple[tuple[str, str], ...]
# A member without a leader says so at once, instead of letting the call run into its deadline.
_REQUIRE_LEADER: Metadata = (("hasleader", "true"),)


class Session:
    """The login of one backend. Any thread may use it; whoever finds the token refused renews it for all.

    The token holds for every member: etcd replicates it.
    """

    def __init__(self, options: EtcdOptions, base: Path) -> None:
        self._options = options
        self._base = base
        self._lock = threading.Lock()
        self._token: str | None = None  # None: not logged in yet; "": this etcd wants no login

    @property
    def user(self) -> str | None:
        """Who we log in as, if anybody."""
        return self._options.user

    def invoke(self, link: Link, method: Callable[..., Any], request: Any, timeout: float) -> Any:
        """Call over the link, logging in first, or again, where that is needed.

        Raises:
            CallFailed: the call failed, or the login did.
            Denied: the password cannot be had.
        """
        token = self._current(link, timeout)
        try:
            return self._attempt(link, method, request, timeout, token)
        except CallFailed as failed:
            if failed.kind is not Kind.LOGIN or self.user is None:
                raise
        return self._attempt(link, method, request, timeout, self._renew(token, link, timeout))

    def metadata(self) -> Metadata:
        """What to send along with a stream; call after `invoke`, which has made sure of the token."""
        return _metadata(self._token)

    def forget(self) -> None:
        """Log in again before the next call."""
        self._token = None

    def _attempt(
        self, link: Link, method: Callable[..., Any], request: Any, timeout: float, token: str | None
    ) -> Any:
        try:
            return method(request, timeout=timeout, metadata=_metadata(token))
        except grpc.RpcError as error:
            raise CallFailed.from_rpc(error, secure=link.endpoint.secure, timeout=timeout) from error

    def _current(self, link: Link, timeout: float) -> str | None:
        token = self._token
        return self._renew(None, link, timeout) if token is None and self.user is not None else token

    def _renew(self, refused: str | None, link: Link, timeout: float) -> str:
        with self._lock:
            if self._token is not None and self._token != refused:
                return self._token  # another thread has renewed it while we waited
            self._token = self._login(link, timeout)
            return self._token

    def _login(self, link: Link, timeout: float) -> str:
        password = self._options.password
        assert password is not None  # noqa: S101 - the options' validator has made sure
        request = rpc_pb2.AuthenticateRequest(name=self.user, password=self._reveal(password))
        try:
            return str(self._attempt(link, link.authenticate, request, timeout, None).token)
        except CallFailed as failed:
            if failed.kind is Kind.AUTH_OFF:
                return ""
            raise

    def _reveal(self, password: Secret) -> str:
        try:
            return reveal(password, self._base)
        except Denied as missing:
            raise Denied(missing.message, hint=self._options.login_advice) from missing


def _metadata(token: str | None) -> Metadata:
    return (*_REQUIRE_LEADER, ("token", token)) if token else _REQUIRE_LEADER
