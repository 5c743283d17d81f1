"""TCP ports for the servers that tests start: no two tests get the same, not even in two processes."""

from __future__ import annotations

import socket
from itertools import chain
from pathlib import Path
from random import SystemRandom

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST, _LAST = 10_000, 65_535
_FEWEST = 1_000
_chance = SystemRandom()  # property tests seed the other one, the same in every process


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, and that is the caller's as long as this process lives.

    A port the kernel picks (by binding to 0) would be free only until somebody connects somewhere: the kernel may
    give it to that connection before the server has bound it, or while the server is down to be restarted. So it is
    none of those the kernel picks from (ip(7), `ip_local_port_range`). Thread-safe.

    Raises:
        RuntimeError: no port is free.
    """
    return reserve_port()[0]  # the descriptor stays open till the process ends


def reserve_port() -> tuple[int, int]:
    """As `free_port`, but the port is the caller's only until the file descriptor beside it is closed."""
    ports = _ports()
    start = _chance.randrange(len(ports))  # so that several processes rarely want the same
    for port in chain(ports[start:], ports[:start]):
        if (reservation := _reserve(port)) is None:
            continue
        if _nobody_listens(port):
            return port, reservation.detach()
        reservation.close()
    raise RuntimeError(f"no free TCP port from {ports.start} to {ports.stop - 1}: end what occupies them")


def _ports() -> range:
    first_picked = int(_RANGE.read_text(encoding="ascii").split()[0])
    below = range(_FIRST, first_picked)
    return below if len(below) >= _FEWEST else range(_FIRST, _LAST + 1)


def _reserve(port: int) -> socket.socket | None:
    """What keeps others from having it, or None where another has: a name in the abstract namespace (unix(7))."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0confsync-test-port-{port}")
    except OSError:
        name.close()
        return None
    return name


def _nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
