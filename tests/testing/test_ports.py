"""A free port is nobody else's: no other process gets it, and the kernel gives it to no connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from confsync.testing import ports
from confsync.testing.ports import free_port, reserve_port

# So few that chance alone would give some of them twice.
TAKE_SOME = """
from confsync.testing import ports
ports._ports = lambda: range(20_000, 20_300)
print(*[ports.free_port() for _ in range(40)], flush=True)
input()
"""


def test_nobody_listens_there():
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_no_two_calls_in_any_two_processes_give_the_same():
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_SOME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    given = [port for process in started for port in process.stdout.readline().split()]
    for process in started:
        process.communicate("\n", timeout=30)

    assert len(given) == 120
    assert len(set(given)) == 120


def test_one_that_is_listened_on_is_not_given(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(ports, "_ports", lambda: range(taken, taken + 1))
        with pytest.raises(RuntimeError, match="no free TCP port"):
            free_port()


def test_a_reservation_ends_with_its_descriptor(monkeypatch):
    port, reservation = reserve_port()
    monkeypatch.setattr(ports, "_ports", lambda: range(port, port + 1))
    with pytest.raises(RuntimeError, match="no free TCP port"):
        reserve_port()

    os.close(reservation)

    again, reservation = reserve_port()
    os.close(reservation)
    assert again == port


def test_the_kernel_gives_it_to_no_connection():
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if first < 11_000:
        pytest.skip("the kernel picks from all ports here")
    assert free_port() < first
