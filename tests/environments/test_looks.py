"""What environments show of a source of secrets, asked for at the same time."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

import pytest

from confsync.clock import SystemClock
from confsync.environments.comparison.looks import look_by_request
from confsync.errors import Unavailable
from confsync.source.addressed import AddressedSource
from confsync.testing.memory_secrets import MemorySecretsBackend, SecretStore

NAMES = [f"s{number:02}" for number in range(20)]
ENVIRONMENTS = [("dev",), ("prod",)]


@pytest.fixture
def store():
    store = SecretStore()
    for environment in ("dev", "prod"):
        for name in NAMES:
            store.put(f"{environment}/{name}", {"pw": environment})
    return store


@pytest.fixture
def source(store):
    source = AddressedSource("v", MemorySecretsBackend(store), clock=SystemClock(), notify=lambda _: None)
    yield source
    source.close()


@contextmanager
def ctrl_c_once(arrived, *, else_after, then):
    """Ctrl-C as soon as something arrived; what takes no notice of it gets `then`, so that it ends."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    ended = threading.Event()

    def press():
        arrived.wait(30)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if not ended.wait(else_after):
            then()

    thread = threading.Thread(target=press)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGINT, handler)


def test_all_are_told_in_their_order(source):
    looked = look_by_request(source, ENVIRONMENTS)

    assert [path for path, _ in looked.rows] == [f"{name}#pw" for name in NAMES]
    assert {tuple(shown.value for shown in row) for _, row in looked.rows} == {("dev", "prod")}


def test_ctrl_c_waits_for_no_answer(source, store):
    late = []
    with store.holding("dev/s03") as held:
        give_up = ctrl_c_once(held.arrived, else_after=30, then=lambda: (late.append(1), held.release()))
        with give_up, pytest.raises(KeyboardInterrupt):
            look_by_request(source, ENVIRONMENTS)

    assert not late


def test_a_store_that_goes_away_meanwhile_is_told(source, store):
    with store.holding("dev/s00") as held:

        def end():
            held.arrived.wait(30)
            store.fail_with(Unavailable("the store is down"))
            held.release()

        thread = threading.Thread(target=end)
        thread.start()
        with pytest.raises(Unavailable, match="the store is down"):
            look_by_request(source, ENVIRONMENTS)
        thread.join()
