"""The backend: reads whole prefixes at one revision, and opens watches."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from confsync.driver import Backend, Entry, Personal, Reading
from confsync.errors import Denied, Invalid, Unavailable
from confsync_backends.etcd.connection import Connection
from confsync_backends.etcd.faults import CallFailed, Kind
from confsync_backends.etcd.grants import grant_of
from confsync_backends.etcd.options import EtcdOptions
from confsync_backends.etcd.personal import PASSWORD, USER, personal
from confsync_backends.etcd.ranges import Cover, covers, fill
from confsync_backends.etcd.stubs import rpc_pb2
from confsync_backends.etcd.watch import EtcdWatch, Place

_RESTARTS = 3  # of a read whose revision was compacted while it went on
_FIRST_PAGE = 500  # keys, while nothing is known of the values' size
_PAGE_BYTES = 4 * 1024**2
_PAGE_SECONDS = 0.5  # slower than this, and the next page is smaller


class EtcdBackend(Backend):
    """An etcd v3 cluster."""

    Options = EtcdOptions
    credentials: ClassVar[tuple[str, ...]] = (USER, PASSWORD)

    def __init__(self, options: EtcdOptions, base: Path) -> None:
        self._options = options
        self._connection = Connection(options, base)
        self._lock = threading.Lock()
        self._watches: weakref.WeakSet[EtcdWatch] = weakref.WeakSet()

    @classmethod
    def open(cls, options: EtcdOptions, base: Path) -> EtcdBackend:
        """No I/O happens here; files named in the options are read when a connection or login needs them."""
        return cls(options, base)

    @classmethod
    def personal(cls, options: Any, others: Sequence[Any], base: Path) -> Personal:  # noqa: ARG003
        return personal(options, others)

    @property
    def address(self) -> str:
        return self._connection.address

    def read(self, prefixes: Sequence[str]) -> Reading:
        return self._read(prefixes, covers(prefixes))

    def read_granted(self, prefixes: Sequence[str]) -> Reading:
        user = self._connection.user
        if user is None:
            return super().read_granted(prefixes)
        grant = grant_of(self._connection, user)
        parts = list(grant.parts(covers(prefixes)))
        if not parts:
            raise Denied(f"etcd at {self.address}: user {user!r} may read nothing of it")
        return replace(self._read(prefixes, parts), grant=grant)

    def _read(self, prefixes: Sequence[str], wanted: Sequence[Cover]) -> Reading:
        for _ in range(_RESTARTS):
            try:
                return _Read(self._connection, self._options.page_size).run(prefixes, wanted)
            except _RevisionLost as lost:
                cause = lost
        raise Unavailable(
            f"etcd at {self.address}: the history was compacted {_RESTARTS} times while it was being read"
        ) from cause

    def watch(self, prefixes: Sequence[str], since: Reading) -> EtcdWatch:
        """See `Backend.watch`. Given several prefixes, `since.trees` must be those of `since.revision`."""
        watch = EtcdWatch.open(
            self._connection,
            covers(prefixes),
            since,
            keepalive=self._options.keepalive,
            timeout=self._options.timeout,
        )
        with self._lock:
            self._watches.add(watch)
        return watch

    def close(self) -> None:
        self._connection.close()
        with self._lock:
            watches = list(self._watches)
        for watch in watches:
            watch.close()


class _RevisionLost(Exception):
    """The revision a read was made at is no longer, or not yet, to be had."""


class _Read:
    """One read: the first answer fixes the revision, everything else is asked for at that one."""

    def __init__(self, connection: Connection, page_size: int) -> None:
        self._connection = connection
        self._page_size = page_size
        self._limit = min(page_size, _FIRST_PAGE)
        self._revision = 0
        self._place: Place | None = None

    def run(self, prefixes: Sequence[str], wanted: Sequence[Cover]) -> Reading:
        trees: dict[str, dict[str, Entry]] = {prefix: {} for prefix in prefixes}
        for cover in wanted:
            for kvs in self._pages(cover):
                for view in cover.views:
                    fill(trees[view.asked], view, cover, kvs)
        return Reading(self._revision, trees, self._place)

    def _pages(self, cover: Cover) -> Iterator[Any]:
        key = cover.key
        while True:
            began = time.monotonic()
            answer = self._page(cover, key)
            seconds = time.monotonic() - began
            yield answer.kvs
            if not answer.more:
                return
            if not answer.kvs:
                raise Unavailable(f"etcd at {self._connection.address}: an empty page of {cover.prefix!r}")
            key = answer.kvs[-1].key + b"\0"
            self._adapt(answer, seconds)

    def _adapt(self, answer: Any, seconds: float) -> None:
        """Ask for as many keys as make a good page: for each, etcd walks the whole range."""
        average = answer.ByteSize() // len(answer.kvs) + 1
        fitting = _PAGE_BYTES // average
        if seconds > _PAGE_SECONDS:
            fitting = min(fitting, self._limit // 2)
        self._limit = max(1, min(fitting, self._page_size))

    def _page(self, cover: Cover, key: bytes) -> Any:
        try:
            answer = self._ask(cover, key, member_local=self._revision > 0)
        except CallFailed as failed:
            if failed.kind in {Kind.COMPACTED, Kind.FUTURE}:
                raise _RevisionLost from failed
            raise self._connection.explained(failed, cover.prefix) from failed
        self._keep_place(answer.header)
        return answer

    def _ask(self, cover: Cover, key: bytes, *, member_local: bool) -> Any:
        request = rpc_pb2.RangeRequest(
            key=key,
            range_end=cover.end,
            limit=self._limit,
            revision=self._revision,
            serializable=member_local,
        )
        try:
            return self._connection.call(lambda link, timeout: link.range(request, timeout))
        except CallFailed as failed:
            if failed.kind is not Kind.FUTURE or not member_local:
                raise
        # A member that lags behind the one asked first; a linearizable read waits until it has caught up.
        return self._ask(cover, key, member_local=False)

    def _keep_place(self, header: Any) -> None:
        if self._place is None:
            self._place = Place(header.cluster_id, header.raft_term)
            self._revision = header.revision
        elif self._place.cluster != header.cluster_id:
            raise Invalid(
                f"etcd at {self._connection.address}: the endpoints belong to different clusters",
                hint="list only members of one cluster",
            )
