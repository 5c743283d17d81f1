"""Writing to the etcd under test, and asking it things: the half of `EtcdCluster` that is not processes."""

from __future__ import annotations

import re
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any


class EtcdStore(ABC):
    """What a test does to an etcd's content. Everything goes to the first member that runs.

    Attributes:
        metadata: sent along with each call; holds root's token once auth is enabled.
    """

    def __init__(self) -> None:
        self.metadata: list[tuple[str, str]] = []
        self._root: str | None = None

    @abstractmethod
    def stub(self, name: str) -> Any:
        """A gRPC stub (`KV`, `Auth`, `Lease`…)."""

    @property
    @abstractmethod
    def endpoints(self) -> list[str]:
        """Every member's client URL."""

    def put(self, key: str | bytes, value: str | bytes = "", *, lease: int = 0) -> int:
        """Write one key; gives the revision."""
        from pyetcd import etcdrpc

        request = etcdrpc.PutRequest(key=_bytes(key), value=_bytes(value), lease=lease)
        return self._revision("Put", request)

    def delete(self, key: str | bytes, *, prefix: bool = False) -> int:
        """Remove one key, or everything that begins with it; gives the revision."""
        from pyetcd import etcdrpc

        end = _after(_bytes(key)) if prefix else b""
        return self._revision("DeleteRange", etcdrpc.DeleteRangeRequest(key=_bytes(key), range_end=end))

    def clear(self) -> int:
        """Remove every key; gives the revision."""
        from pyetcd import etcdrpc

        return self._revision("DeleteRange", etcdrpc.DeleteRangeRequest(key=b"\0", range_end=b"\0"))

    def transact(self, puts: Mapping[str, str | bytes] | None = None, deletes: Sequence[str] = ()) -> int:
        """Write and remove keys in one transaction; gives the revision."""
        from pyetcd import etcdrpc

        writes = [
            etcdrpc.RequestOp(request_put=etcdrpc.PutRequest(key=_bytes(key), value=_bytes(value)))
            for key, value in (puts or {}).items()
        ]
        removes = [
            etcdrpc.RequestOp(request_delete_range=etcdrpc.DeleteRangeRequest(key=_bytes(key)))
            for key in deletes
        ]
        return self._revision("Txn", etcdrpc.TxnRequest(success=[*writes, *removes]))

    def compact(self, revision: int) -> None:
        """Forget the history before `revision`."""
        from pyetcd import etcdrpc

        self._revision("Compact", etcdrpc.CompactionRequest(revision=revision, physical=True))

    def lease(self, seconds: int) -> int:
        """A lease that expires after `seconds`; gives its id."""
        from pyetcd import etcdrpc

        request = etcdrpc.LeaseGrantRequest(TTL=seconds)
        return int(self.stub("Lease").LeaseGrant(request, timeout=_PATIENCE, metadata=self.metadata).ID)

    def enable_auth(self, root_password: str = "root") -> None:  # noqa: S107 - a test server's
        """Create the user root and turn authentication on; this helper goes on as root."""
        from pyetcd import etcdrpc

        auth = self.stub("Auth")
        auth.UserAdd(etcdrpc.AuthUserAddRequest(name="root", password=root_password), timeout=_PATIENCE)
        auth.RoleAdd(etcdrpc.AuthRoleAddRequest(name="root"), timeout=_PATIENCE)
        auth.UserGrantRole(etcdrpc.AuthUserGrantRoleRequest(user="root", role="root"), timeout=_PATIENCE)
        auth.AuthEnable(etcdrpc.AuthEnableRequest(), timeout=_PATIENCE)
        self._root = root_password
        self.login()

    def login(self) -> None:
        """Get a fresh root token, after the old one expired or was lost in a restart."""
        from pyetcd import etcdrpc

        assert self._root is not None, "enable_auth first"
        request = etcdrpc.AuthenticateRequest(name="root", password=self._root)
        self.metadata = [("token", self.stub("Auth").Authenticate(request, timeout=_PATIENCE).token)]

    def add_user(self, name: str, password: str, *reads: str) -> None:
        """Create a user that may read everything that begins with one of `reads`."""
        from pyetcd import etcdrpc

        auth = self.stub("Auth")
        auth.UserAdd(
            etcdrpc.AuthUserAddRequest(name=name, password=password),
            timeout=_PATIENCE,
            metadata=self.metadata,
        )
        auth.RoleAdd(etcdrpc.AuthRoleAddRequest(name=name), timeout=_PATIENCE, metadata=self.metadata)
        auth.UserGrantRole(
            etcdrpc.AuthUserGrantRoleRequest(user=name, role=name), timeout=_PATIENCE, metadata=self.metadata
        )
        for prefix in reads:
            self.grant(name, prefix)

    def forget_tokens(self, name: str, password: str) -> None:
        """Make the server forget the user's tokens, as it does of any whose time is over; the password stays."""
        from pyetcd import etcdrpc

        request = etcdrpc.AuthUserChangePasswordRequest(name=name, password=password)
        self.stub("Auth").UserChangePassword(request, timeout=_PATIENCE, metadata=self.metadata)

    def grant(self, role: str, prefix: str) -> None:
        """Let a role read everything that begins with `prefix`."""
        self.grant_range(role, prefix, _after(_bytes(prefix)))

    def grant_key(self, role: str, key: str) -> None:
        """Let a role read one key."""
        self.grant_range(role, key, b"")

    def grant_role(self, user: str, role: str) -> None:
        """Let a user have a role besides their own."""
        from pyetcd import etcdrpc

        request = etcdrpc.AuthUserGrantRoleRequest(user=user, role=role)
        self.stub("Auth").UserGrantRole(request, timeout=_PATIENCE, metadata=self.metadata)

    def grant_range(self, role: str, key: str, end: str | bytes, *, write_only: bool = False) -> None:
        """Let a role read (or write, and not read) from `key` up to `end`, which does not belong to it."""
        from pyetcd import etcdrpc
        from pyetcd.etcdrpc import auth_pb2

        kind = auth_pb2.Permission.WRITE if write_only else auth_pb2.Permission.READ
        permission = auth_pb2.Permission(permType=kind, key=_bytes(key), range_end=_bytes(end))
        request = etcdrpc.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        self.stub("Auth").RoleGrantPermission(request, timeout=_PATIENCE, metadata=self.metadata)

    def calls(self) -> dict[str, int]:
        """Messages that all members have received, by service and method: `KV.Range`, `Watch.Watch`…"""
        counted: dict[str, int] = {}
        for endpoint in self.endpoints:
            with _opener.open(f"{endpoint}/metrics", timeout=_PATIENCE) as answer:
                metrics = answer.read().decode()
            for method, service, count in _RECEIVED.findall(metrics):
                name = f"{service}.{method}"
                counted[name] = counted.get(name, 0) + int(float(count))
        return counted

    def _revision(self, method: str, request: Any) -> int:
        answer = getattr(self.stub("KV"), method)(
            request, timeout=_PATIENCE, metadata=self.metadata, wait_for_ready=True
        )
        return int(answer.header.revision)


_PATIENCE = 30  # seconds
# A proxy of the caller's leads elsewhere.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_RECEIVED = re.compile(
    r'^grpc_server_msg_received_total{grpc_method="(\w+)",grpc_service="etcdserverpb\.(\w+)".*} (\S+)$',
    re.MULTILINE,
)


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _after(prefix: bytes) -> bytes:
    """The end of the range of everything that begins with `prefix`."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else b"\0"
