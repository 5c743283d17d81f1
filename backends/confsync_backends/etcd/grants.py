"""What a user's roles let them read: etcd tells everybody that of themselves.

etcd answers for a range only if all of it is granted. So who may read a part of a prefix is asked about in those
ranges that are, and what lies between them is told apart from what does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from confsync.driver import Grant
from confsync.errors import Denied
from confsync_backends.etcd.connection import Connection, Link
from confsync_backends.etcd.faults import CallFailed, who
from confsync_backends.etcd.ranges import Cover, Span, below, decode, keys_of
from confsync_backends.etcd.stubs import auth_pb2, rpc_pb2


@dataclass(frozen=True, slots=True)
class EtcdGrant(Grant):
    """What one user may read.

    Attributes:
        address: where, for messages.
        spans: none overlaps or touches another.
    """

    address: str
    user: str
    spans: Sequence[Span]

    def refusal(self, prefix: str, path: str) -> Denied | None:
        for key in keys_of(prefix, path):
            if not self._holds(Span.of_key(key)):
                return self._refused(decode(key), "")
        return None

    def refusal_below(self, prefix: str, path: str) -> Denied | None:
        for span in below(prefix, path):
            if not self._holds(span):
                return self._refused(decode(span.first), "--prefix=true ", "all of ")
        return None

    def parts(self, covers: Iterable[Cover]) -> Iterator[Cover]:
        """Of each range what is granted."""
        for cover in covers:
            for span in self.spans:
                common = cover.span.common(span)
                if common is not None:
                    yield Cover(cover.start, cover.views, common)

    def _holds(self, wanted: Span) -> bool:
        return any(span.common(wanted) == wanted for span in self.spans)

    def _refused(self, key: str, option: str, how_much: str = "") -> Denied:
        return Denied(
            f"etcd at {self.address}: {who(self.user)} may not read {how_much}{key or 'the root'}",
            key=key,
            hint=f"etcdctl role grant-permission ROLE {option}read {key or repr('')}",
        )


def grant_of(connection: Connection, user: str) -> EtcdGrant:
    """What `user`, who is logged in, may read.

    Raises:
        SourceError: etcd cannot be asked, or does not tell.
    """
    try:
        granted = connection.call(lambda link, timeout: list(_granted(link, user, timeout)))
    except CallFailed as failed:
        raise connection.explained(failed) from failed
    return EtcdGrant(connection.address, user, _merged(granted))


def _granted(link: Link, user: str, timeout: float) -> Iterator[Span]:
    for role in link.user_get(rpc_pb2.AuthUserGetRequest(name=user), timeout).roles:
        for one in link.role_get(rpc_pb2.AuthRoleGetRequest(role=role), timeout).perm:
            if one.permType != auth_pb2.Permission.WRITE:
                yield _span(one)


def _span(permission: Any) -> Span:
    if not permission.range_end:
        return Span.of_key(permission.key)
    return Span.of_range(permission.key, permission.range_end)


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda one: one.first):
        if merged and (merged[-1].end is None or span.first <= merged[-1].end):
            merged[-1] = merged[-1].joined(span)
        else:
            merged.append(span)
    return merged
