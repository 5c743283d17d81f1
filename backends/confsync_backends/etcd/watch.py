"""One gRPC watch stream for all prefixes: opening it where a reading ended, hearing that it lives, ending it.

A stream is never mended. Whatever happens to it, `__next__` says so and the caller opens another from the
revision it has.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from confsync.driver import Delta, Reading, Watch
from confsync.errors import Gap, SourceError, Unavailable
from confsync_backends.etcd.changes import Changes
from confsync_backends.etcd.connection import Connection, Link
from confsync_backends.etcd.faults import CallFailed, Kind
from confsync_backends.etcd.mailbox import Mailbox
from confsync_backends.etcd.ranges import Cover
from confsync_backends.etcd.stubs import grpc, rpc_pb2


class Place(NamedTuple):
    """What tells whether a watch can go on from a reading, besides its revision.

    A cluster that is wiped and started again on the same addresses has the same id, but begins with the first
    raft term.
    """

    cluster: int
    term: int


class EtcdWatch(Watch):
    """See `Watch`. Holds a connection of its own and one thread, `confsync-etcd-watch`."""

    def __init__(
        self,
        connection: Connection,
        link: Link,
        covers: Sequence[Cover],
        since: Reading,
        keepalive: float,
        timeout: float,
    ) -> None:
        self._connection = connection
        self._link = link
        self._covers = covers
        self._cluster = since.token.cluster if isinstance(since.token, Place) else 0
        self._keepalive = keepalive
        self._timeout = timeout
        self._changes = Changes(covers, since, self._ask)
        self._numbers: dict[int, int] = {}  # etcd's watch id -> index of the range
        self._answered = 0  # creations answered; etcd answers in the order they were asked for
        self._failure: SourceError | None = None
        self._closed = threading.Event()
        self._mailbox: Mailbox[Any] = Mailbox()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for cover in covers:
            self._requests.put(_create(cover, since.revision + 1))
        self._stream = link.watch(iter(self._requests.get, None))
        self._receiver = threading.Thread(target=self._receive, name="confsync-etcd-watch", daemon=True)
        self._receiver.start()

    @classmethod
    def open(
        cls,
        connection: Connection,
        covers: Sequence[Cover],
        since: Reading,
        *,
        keepalive: float,
        timeout: float,
    ) -> EtcdWatch:
        """Connect, and make sure that the store is the one the reading is from.

        Raises:
            Gap: it is not, or has gone back in time.
            Unavailable, Denied, Invalid: as `Backend.read`.
        """
        # One linearizable read of one key, which whoever may read the prefix may read: after it the token is
        # good and this member knows the newest revision.
        probe = rpc_pb2.RangeRequest(key=covers[0].key, count_only=True)
        try:
            link, answer = connection.dial(lambda link, timeout: link.range(probe, timeout))
        except CallFailed as failed:
            raise connection.explained(failed, covers[0].prefix) from failed
        try:
            _refuse_another_past(connection.address, since, answer.header)
            return cls(connection, link, covers, since, keepalive, timeout)
        except BaseException:
            link.close()
            raise

    def __next__(self) -> Delta:
        if self._closed.is_set():
            raise StopIteration
        if self._failure is not None:
            raise self._failure
        try:
            return self._next()
        except SourceError as error:
            if self._closed.is_set():
                raise StopIteration from error
            self._failure = error
            self._release()
            raise

    def _next(self) -> Delta:
        delta = None
        while delta is None:
            for response in self._hear():
                self._take_in(response)
            delta = self._changes.take()
        return delta

    def close(self) -> None:
        self._closed.set()
        self._release()

    def _release(self) -> None:
        self._mailbox.close()
        self._requests.put(None)
        self._stream.cancel()
        self._link.close()
        self._receiver.join(self._timeout)

    def _receive(self) -> None:
        try:
            for response in self._stream:
                if not self._mailbox.put(response):
                    return
        except grpc.RpcError as error:
            failed = CallFailed.from_rpc(error, secure=self._link.endpoint.secure, timeout=self._timeout)
            failed.__cause__ = error
            self._mailbox.end(failed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiting thread must learn of it
            self._mailbox.end(error)
        else:
            self._mailbox.end(CallFailed(Kind.UNAVAILABLE, "it ended the watch"))

    def _hear(self) -> list[Any]:
        responses = self._receive_within(self._keepalive)
        if responses:
            return responses
        # The answer shows that the stream lives, no more: its revision can be ahead of events not yet sent.
        self._requests.put(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))
        responses = self._receive_within(self._timeout)
        if responses:
            return responses
        raise Unavailable(f"etcd at {self._link.endpoint.url}: no sign of life within {self._timeout:.3g}s")

    def _receive_within(self, seconds: float) -> list[Any]:
        try:
            return self._mailbox.take(seconds)
        except CallFailed as failed:
            raise self._explain(failed) from failed

    def _take_in(self, response: Any) -> None:
        if self._cluster and response.header.cluster_id != self._cluster:
            raise Gap(f"etcd at {self._link.endpoint.url}: this is another cluster than the one read")
        if response.created:
            self._numbers[response.watch_id] = self._answered
            self._answered += 1
        if response.canceled:
            self._cancelled(response)
        if response.events:
            self._changes.add(self._numbers[response.watch_id], response.events)

    def _cancelled(self, response: Any) -> None:
        cover = self._covers[self._numbers.get(response.watch_id, 0)]
        if response.compact_revision:
            raise Gap(
                f"etcd at {self._link.endpoint.url}: history after {self._changes.revision} is compacted",
                key=cover.prefix,
            )
        failed = CallFailed.from_text(response.cancel_reason or "it cancelled the watch", Kind.UNAVAILABLE)
        raise self._explain(failed, cover)

    def _explain(self, failed: CallFailed, cover: Cover | None = None) -> SourceError:
        session = self._connection.session
        if failed.kind is Kind.LOGIN and session.user is not None:
            session.forget()
            failed = CallFailed(Kind.UNAVAILABLE, "the auth token expired; the next watch logs in again")
        prefix = cover.prefix if cover is not None else None
        return self._connection.explained(failed, prefix, at=self._link.endpoint)

    def _read(self, request: Any) -> Any:
        try:
            return self._link.txn(request, self._timeout)
        except CallFailed as failed:
            if failed.kind is not Kind.FUTURE:
                raise
        # etcd sends events just before their revision can be read. A linearizable read waits for it.
        for operation in request.success:
            operation.request_range.serializable = False
        return self._link.txn(request, self._timeout)

    def _ask(self, request: Any, cover: Cover) -> Any:
        try:
            return self._read(request)
        except CallFailed as failed:
            raise self._explain(failed, cover) from failed
        except ValueError as error:  # how gRPC says that `close` came in between
            raise StopIteration from error


def _create(cover: Cover, revision: int) -> Any:
    request = rpc_pb2.WatchCreateRequest(
        key=cover.key, range_end=cover.end, start_revision=revision, progress_notify=True
    )
    return rpc_pb2.WatchRequest(create_request=request)


def _refuse_another_past(address: str, since: Reading, header: Any) -> None:
    """Raise Gap unless the store that sent the header has the reading in its history."""
    if header.revision < since.revision:
        raise Gap(
            f"etcd at {address}: revision {header.revision} is before {since.revision}: restored or emptied"
        )
    if not isinstance(since.token, Place):
        return
    if header.cluster_id != since.token.cluster:
        raise Gap(f"etcd at {address}: this is another cluster than the one read")
    if header.raft_term < since.token.term:
        raise Gap(f"etcd at {address}: its raft term has gone back: restored or emptied")
