"""Whatever is no key-value secret: credentials made on demand and leased, certificates, and plain reads.

https://developer.hashicorp.com/vault/docs/concepts/lease
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from confsync.clock import Clock
from confsync.driver import Address, Lease, Secret
from confsync.errors import Expired
from confsync_backends.vault.faults import Refused
from confsync_backends.vault.kv import believed, parse_time
from confsync_backends.vault.mounts import Mount
from confsync_backends.vault.reply import Reply

if TYPE_CHECKING:
    from confsync_backends.vault.session import Session

_STORES = frozenset({"kv", "cubbyhole"})
# Engine -> where reading makes nothing: certificates there are, passwords that Vault changes by itself.
_HARMLESS: Mapping[str, tuple[str, ...]] = {
    "pki": ("cert/", "ca/", "ca_chain/", "crl/"),
    "database": ("static-creds/",),
    "aws": ("static-creds/",),
    "ldap": ("static-cred/",),
    "openldap": ("static-cred/",),
}
_STATIC = ("static-creds/", "static-cred/")
# What answers without a lease call the seconds that are left, and the moment of the end: passwords that Vault changes,
# identity tokens (identity/oidc/token), access tokens of gcp, certificates.
_LEFT = ("ttl", "token_ttl")
_ENDS = ("expiration", "expires_at_seconds")
# A static password is changed at the end of its ttl: who asks at that very moment may get the old one.
_AFTER_ROTATION = 1.0


def is_dynamic(mount: Mount, path: str) -> bool:
    """Whether reading a path makes something. What is not known to be harmless is taken to."""
    if mount.type in _STORES:
        return False
    return not (mount.below(path) + "/").startswith(_HARMLESS.get(mount.type, ()))


def fetch(session: Session, mount: Mount, address: Address, clock: Clock) -> Secret:
    """Read a path, or write the parameters to it, and what it answers with how long that is good for.

    Raises:
        OtherMount: nothing there takes such a path.
    """
    body = dict(address.parameters) or None
    reply, number = session.call(
        "GET" if body is None else "POST", address.path, body=body, doing=f"reading {address.path}"
    )
    believed(reply)
    if reply.data is None:
        return Secret(
            None, missing="there is nothing" if reply.status == 404 else "Vault answered without data"
        )
    now = clock.now() if reply.date is None else reply.date
    return Secret(
        reply.data,
        created=_created(reply.data, reply.date),
        lease=_lease(mount, address, reply, now),
        session=number if reply.lease_id else 0,
    )


def _created(data: Mapping[str, Any], date: float | None) -> float | None:
    rotated = parse_time(data.get("last_vault_rotation"))
    return date if rotated is None else rotated


def _lease(mount: Mount, address: Address, reply: Reply, now: float) -> Lease | None:
    if reply.lease_id:
        return Lease(reply.lease_id, reply.lease_duration, reply.renewable)
    left = list(_left(reply.data or {}, now))
    if not is_dynamic(mount, address.path) and mount.below(address.path).startswith(_STATIC):
        left = [seconds + _AFTER_ROTATION for seconds in left]
    known = [seconds for seconds in (*left, reply.lease_duration) if seconds > 0]
    return Lease("", min(known)) if known else None


def _left(data: Mapping[str, Any], now: float) -> Iterator[float]:
    """The seconds an answer is good for, in all the ways it tells.

    Args:
        now: by the server's clock, which made it: ours may be wrong, and then so is what it says is left.
    """
    for name in _LEFT:
        if (seconds := _seconds(data, name)) is not None:
            yield seconds
    for name in _ENDS:
        ends = _seconds(data, name) or parse_time(data.get(name))
        if ends is not None:
            yield ends - now
    period, rotated = _seconds(data, "rotation_period"), parse_time(data.get("last_vault_rotation"))
    if period and rotated is not None:
        yield rotated + period - now


def _seconds(data: Mapping[str, Any], name: str) -> float | None:
    value = data.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return float(value) if usable and value is not None else None


def renew(session: Session, lease: Lease, shown: str) -> Lease:
    """Prolong a lease by its duration; it may be granted less.

    Raises:
        Expired: it is over, or cannot be renewed.
    """
    if not lease.id:
        raise Expired(f"vault at {shown}: what has no lease cannot be renewed")
    try:
        reply, _ = session.call(
            "PUT",
            "sys/leases/renew",
            body={"lease_id": lease.id, "increment": math.ceil(lease.duration)},
            doing=f"renewing the lease of {origin(lease)}",
        )
    except Refused as error:
        raise Expired(error.message, key=origin(lease)) from error
    if not reply.lease_id or reply.lease_duration <= 0:
        raise Expired(
            f"vault at {shown}: the lease of {origin(lease)} has come to its end", key=origin(lease)
        )
    return Lease(reply.lease_id, reply.lease_duration, reply.renewable)


def revoke(session: Session, lease: Lease) -> None:
    """End a lease now. One that is over already, or that there never was, is fine with Vault too."""
    if not lease.id:
        return
    session.call(
        "PUT",
        "sys/leases/revoke",
        body={"lease_id": lease.id, "sync": True},
        doing=f"revoking the lease of {origin(lease)}",
    )


def origin(lease: Lease) -> str:
    """The path a lease is for: its id, without the random end that makes it one."""
    return lease.id.rpartition("/")[0]
