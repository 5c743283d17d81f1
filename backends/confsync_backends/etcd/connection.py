"""Channels to an etcd cluster's members, and failing over from one to the next.

A channel that failed is thrown away rather than left to gRPC's reconnecting: its back-off would keep us
from a server that is up again, and it would go on knocking while nobody asks. The next call opens a new one
at once.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from confsync.errors import Invalid, SourceError
from confsync_backends.credential_file import read_bytes
from confsync_backends.etcd.certificates import common_name
from confsync_backends.etcd.endpoints import Endpoint, discover, parse_endpoint
from confsync_backends.etcd.faults import CallFailed, Kind
from confsync_backends.etcd.options import EtcdOptions, Tls
from confsync_backends.etcd.session import Session
from confsync_backends.etcd.stubs import grpc, rpc_pb2_grpc

T = TypeVar("T")

_SHORTEST_SHARE = 1.0  # seconds: no endpoint is given up sooner, unless the timeout itself is shorter


class Link:
    """One channel to one member."""

    def __init__(self, endpoint: Endpoint, channel: Any, session: Session) -> None:
        self.endpoint = endpoint
        self._channel = channel
        self._session = session
        kv = rpc_pb2_grpc.KVStub(channel)
        self._range, self._txn = kv.Range, kv.Txn
        auth = rpc_pb2_grpc.AuthStub(channel)
        self.authenticate = auth.Authenticate
        self._user_get, self._role_get = auth.UserGet, auth.RoleGet
        self._watch = rpc_pb2_grpc.WatchStub(channel).Watch
        # Guarded by the connection's lock:
        self.users = 0
        self.dropped = False

    def range(self, request: Any, timeout: float) -> Any:
        """KV.Range. Raises CallFailed, Denied."""
        return self._session.invoke(self, self._range, request, timeout)

    def txn(self, request: Any, timeout: float) -> Any:
        """KV.Txn. Raises CallFailed, Denied."""
        return self._session.invoke(self, self._txn, request, timeout)

    def user_get(self, request: Any, timeout: float) -> Any:
        """Auth.UserGet. Raises CallFailed, Denied."""
        return self._session.invoke(self, self._user_get, request, timeout)

    def role_get(self, request: Any, timeout: float) -> Any:
        """Auth.RoleGet. Raises CallFailed, Denied."""
        return self._session.invoke(self, self._role_get, request, timeout)

    def watch(self, requests: Any) -> Any:
        """Watch.Watch with the token of the last call: iterates over responses, raises grpc.RpcError."""
        return self._watch(requests, metadata=self._session.metadata())

    def close(self) -> None:
        """Cancel what runs on it. Idempotent."""
        self._channel.close()


class Connection:
    """All of one backend's links. Any thread may use it; opens nothing until it is called."""

    def __init__(self, options: EtcdOptions, base: Path) -> None:
        self._options = options
        self._base = base
        self.session = Session(options, base)
        self._lock = threading.Lock()
        self._links: dict[Endpoint, Link] = {}
        self._endpoints: list[Endpoint] = []
        self._good: Endpoint | None = None
        self._closed = False

    @property
    def address(self) -> str:
        """For messages."""
        return self._options.shown_address

    @property
    def user(self) -> str | None:
        """Who etcd takes us for: who logs in, or whose certificate we show; None where that is nobody."""
        tls = self._options.tls
        if self.session.user is not None or tls is None or tls.cert is None:
            return self.session.user
        try:
            return common_name(self._read(tls.cert, "tls.cert") or b"")
        except Invalid:
            return None

    def explained(
        self, failed: CallFailed, prefix: str | None = None, *, at: Endpoint | None = None
    ) -> SourceError:
        """The error for the core.

        Args:
            prefix: the one being read, as a byte prefix with its final slash.
            at: the one endpoint it is about.
        """
        where, user = at.url if at else self.address, self.session.user
        error = failed.as_source_error(where, prefix, user, self.user if failed.kind is Kind.DENIED else user)
        unreachable = failed.kind is Kind.UNAVAILABLE and not failed.connected
        error.hint = self._options.advice(error.hint, unreachable=unreachable)
        return error

    def call(self, run: Callable[[Link, float], T]) -> T:
        """Run `run(link, timeout)` on the last good endpoint, or else the first of the others that answers.

        Raises:
            CallFailed: none did, or one gave an answer that no other would better.
            SourceError: the endpoints, certificates or password cannot be had.
        """
        return self._first_answer(lambda endpoint, timeout: self._on_shared(endpoint, run, timeout))

    def dial(self, run: Callable[[Link, float], T]) -> tuple[Link, T]:
        """As `call`, over a new link that becomes the caller's own, to close."""
        return self._first_answer(lambda endpoint, timeout: self._on_new(endpoint, run, timeout))

    def close(self) -> None:
        """Close every shared link; calls under way fail. Idempotent."""
        with self._lock:
            self._closed = True
            links, self._links = list(self._links.values()), {}
        for link in links:
            link.close()

    def _first_answer(self, attempt: Callable[[Endpoint, float], T]) -> T:
        candidates = self._candidates()
        failures: list[tuple[Endpoint, CallFailed]] = []
        for number, endpoint in enumerate(candidates, start=1):
            try:
                answer = attempt(endpoint, self._share(number, len(candidates)))
            except CallFailed as failed:
                if not failed.elsewhere:
                    self._good = endpoint
                    raise
                failures.append((endpoint, failed))
            else:
                self._good = endpoint
                return answer
        self._endpoints = []  # look the SRV records up again
        raise _all_failed(failures) from failures[-1][1]

    def _share(self, number: int, of: int) -> float:
        """Seconds for one of several endpoints: a dead one must not use up the others' time."""
        timeout = self._options.timeout
        return timeout if number == of else max(timeout / of, min(timeout, _SHORTEST_SHARE))

    def _candidates(self) -> list[Endpoint]:
        endpoints = self._endpoints
        if not endpoints:
            endpoints = self._endpoints = self._look_up()
        good = self._good
        return sorted(endpoints, key=lambda endpoint: endpoint != good)

    def _look_up(self) -> list[Endpoint]:
        domain = self._options.discovery_srv
        if domain is not None:
            return discover(domain, self._options.timeout)
        return [parse_endpoint(url) for url in self._options.endpoints]

    def _on_shared(self, endpoint: Endpoint, run: Callable[[Link, float], T], timeout: float) -> T:
        link = self._shared(endpoint)
        unusable = False
        try:
            return run(link, timeout)
        except CallFailed as failed:
            unusable = not failed.connected
            raise
        except ValueError as error:  # how gRPC says that `close` came in between
            raise CallFailed(Kind.UNAVAILABLE, "the connection was closed") from error
        finally:
            self._give_back(link, unusable=unusable)

    def _on_new(self, endpoint: Endpoint, run: Callable[[Link, float], T], timeout: float) -> tuple[Link, T]:
        self._refuse_when_closed()
        link = self._open(endpoint)
        try:
            return link, run(link, timeout)
        except BaseException:
            link.close()
            raise

    def _shared(self, endpoint: Endpoint) -> Link:
        with self._lock:
            self._refuse_when_closed()
            link = self._links.get(endpoint)
            if link is None:
                link = self._links[endpoint] = self._open(endpoint)
            link.users += 1
            return link

    def _give_back(self, link: Link, *, unusable: bool) -> None:
        """Nobody takes up an unusable link any more; the last of those who still wait on it closes it."""
        with self._lock:
            link.users -= 1
            link.dropped = link.dropped or unusable
            if link.dropped and self._links.get(link.endpoint) is link:
                del self._links[link.endpoint]
            close = link.dropped and link.users == 0
        if close:
            link.close()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise CallFailed(Kind.UNAVAILABLE, "this backend is closed")

    def _open(self, endpoint: Endpoint) -> Link:
        return Link(endpoint, self._channel(endpoint), self.session)

    def _channel(self, endpoint: Endpoint) -> Any:
        arguments: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.min_reconnect_backoff_ms", int(self._options.dial_timeout * 1000)),
            # Else a new channel inherits the back-off of the one just thrown away.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if not endpoint.secure:
            return grpc.insecure_channel(endpoint.target, arguments)
        tls = self._options.tls or Tls()
        if tls.server_name:
            arguments.append(("grpc.ssl_target_name_override", tls.server_name))
        return grpc.secure_channel(endpoint.target, self._credentials(tls), arguments)

    def _credentials(self, tls: Tls) -> Any:
        ca = tls.ca or ssl.get_default_verify_paths().cafile
        return grpc.ssl_channel_credentials(
            root_certificates=self._read(ca, "tls.ca"),
            private_key=self._read(tls.key, "tls.key"),
            certificate_chain=self._read(tls.cert, "tls.cert"),
        )

    def _read(self, path: str | None, option: str) -> bytes | None:
        if path is None:
            return None
        try:
            content = read_bytes(self._base / path)
        except OSError as error:
            raise Invalid(
                f"etcd at {self.address}: {option}: {self._base / path}: {error.strerror}",
                hint=self._options.advice_on(option),
            ) from error
        # gRPC takes anything, and then fails without naming the file.
        if b"-----BEGIN " not in content:
            raise Invalid(
                f"etcd at {self.address}: {option}: {self._base / path} holds nothing in PEM format"
            )
        return content


def _all_failed(failures: list[tuple[Endpoint, CallFailed]]) -> CallFailed:
    """One error for all endpoints: what can be tried again, if any can; else the first one's kind."""
    if len(failures) == 1:
        return failures[0][1]
    reasons = "; ".join(f"{endpoint.url}: {failed.text}" for endpoint, failed in failures)
    chosen = next((failed for _, failed in failures if failed.kind is Kind.UNAVAILABLE), failures[0][1])
    return CallFailed(
        chosen.kind,
        f"none of {len(failures)} endpoints answered: {reasons}",
        hint=next((failed.hint for _, failed in failures if failed.hint), None),
        connected=any(failed.connected for _, failed in failures),
    )
