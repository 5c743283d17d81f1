"""Leases over a restart, and what is revoked at the end."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from confsync.clock import SystemClock
from confsync.digest import Hasher
from confsync.driver import Address
from confsync.errors import Denied, LedgerError, Unavailable
from confsync.ledger.ledger import Ledger, open_ledger, read_ledger
from confsync.source.keeping import Keeper
from confsync.testing.memory_secrets import ManualClock, MemorySecretsBackend, SecretStore
from confsync.testing.waiting import eventually

CREDS = "db/creds/app"
WEB = ("common_name", "a.test")
FLAG = "leases:v"


def keeper_of(ledger: Ledger) -> Keeper:
    return Keeper(lambda: ledger.flag(FLAG), lambda text: ledger.put_flag(FLAG, text), ledger.key)


class Machine:
    """A store and a ledger on disk, over any number of processes."""

    def __init__(self, addressed, directory):
        self.clock = ManualClock()
        self.store = SecretStore(self.clock)
        self.store.lends(CREDS, duration=600)
        self.store.certifies("pki/issue/web", duration=900)
        self.store.put("s", {"a": "1"})
        self.ledger = open_ledger(directory, self.clock)
        self.directory = directory
        self._addressed = addressed

    def start(self, **options):
        backend = MemorySecretsBackend(self.store)
        options.setdefault("keeper", keeper_of(self.ledger))
        return self._addressed(clock=self.clock, store=self.store, backend=backend, **options)


@pytest.fixture
def machine(addressed, tmp_path):
    machine = Machine(addressed, tmp_path)
    yield machine
    machine.ledger.close()


def test_a_restart_goes_on_with_login_and_leases(machine):
    first = machine.start()
    creds, certificate = first.read(CREDS), first.read("pki/issue/web", WEB)
    first.close()
    machine.clock.advance(100)
    second = machine.start()

    assert second.read(CREDS) == creds
    assert second.read("pki/issue/web", WEB) == certificate
    assert machine.store.lent == [creds["username"], "a.test"]
    assert machine.store.logins == 1
    assert machine.store.is_alive(creds["username"])
    second.pass_time(2000, step=5)
    assert machine.store.is_alive(second.read(CREDS)["username"])
    assert len([one for one in machine.store.lent if one != "a.test"]) == 1


def test_a_kept_lease_is_confirmed_before_anybody_is_given_what_it_is_for(machine):
    first = machine.start()
    old = first.read(CREDS)["username"]
    first.close()
    machine.store.end_leases()  # while we were down
    second = machine.start()

    assert second.read(CREDS)["username"] != old
    assert machine.store.is_alive(second.read(CREDS)["username"])
    assert machine.store.count("renew") == 1


def test_a_kept_lease_is_used_while_the_store_is_down_until_it_ends(machine):
    first = machine.start()
    old = first.read(CREDS)
    first.close()
    machine.store.fail_with(Unavailable("it is down"))
    second = machine.start()

    assert second.read(CREDS) == old
    assert "it is down; its lease ends at" in second.source.problem([Address(CREDS)]).text
    second.pass_time(599, step=5)
    assert second.read(CREDS) == old
    machine.clock.advance(2)
    with pytest.raises(Unavailable, match="its lease ended at"):
        second.read(CREDS)


def test_what_nobody_reads_any_more_is_neither_renewed_nor_made_anew(machine):
    first = machine.start()
    first.read(CREDS)
    first.read("pki/issue/web", WEB)
    first.close()
    second = machine.start()
    second.source.refresh()
    for _ in range(40):
        second.pass_time(30, step=10)
        second.source.resync([], [])

    assert len(machine.store.lent) == 2
    assert machine.store.count("renew") == 0
    second.source.resync([], [])
    assert second.source.describe() == "ok (0 secrets, 0 leases)"


def test_what_is_over_is_not_taken_up(machine):
    first = machine.start()
    old = first.read(CREDS)["username"]
    first.close()
    machine.clock.advance(601)
    second = machine.start()
    second.source.attend()

    assert second.source.describe() == "ok (0 secrets, 0 leases)"
    assert second.read(CREDS)["username"] != old


def test_a_login_that_ended_meanwhile_takes_its_leases_with_it(machine):
    first = machine.start()
    old, certificate = first.read(CREDS)["username"], first.read("pki/issue/web", WEB)
    first.close()
    machine.store.end_sessions()
    second = machine.start()
    second.read("s")

    assert second.read(CREDS)["username"] != old
    assert machine.store.is_alive(second.read(CREDS)["username"])
    assert second.read("pki/issue/web", WEB) == certificate


def test_leases_of_a_login_that_cannot_be_taken_up_are_replaced(machine):
    class Forgetful(MemorySecretsBackend):
        def import_session(self, exported):
            raise ValueError("another format")

    first = machine.start()
    old = first.read(CREDS)["username"]
    first.close()
    second = machine.start()
    second.backend.import_session = Forgetful(machine.store).import_session

    assert second.read(CREDS)["username"] != old


def test_a_kept_lease_that_comes_to_its_end_is_replaced_when_it_is_read(machine):
    """Also by a command that runs once, and has nobody who looks after leases."""
    machine.store.lends(CREDS, duration=600, max_ttl=700)
    first = machine.start()
    old = first.read(CREDS)["username"]
    first.close()
    machine.clock.advance(300)
    second = machine.start()

    assert second.read(CREDS)["username"] != old
    assert machine.store.is_alive(old)


def test_a_login_made_by_tending_is_the_one_that_is_kept(machine):
    first = machine.start()
    certificate = first.read("pki/issue/web", WEB)
    tend = first.backend.tend

    def log_in_anew():
        machine.store.end_sessions()
        first.backend.names("")
        return tend()

    first.backend.tend = log_in_anew
    first.source.attend()
    second = machine.start()
    second.read("s")

    assert machine.store.logins == 2
    assert second.read("pki/issue/web", WEB) == certificate


def test_a_renewed_lease_is_kept_with_its_new_end(machine):
    first = machine.start()
    old = first.read(CREDS)
    first.pass_time(5000, step=5)
    first.close()
    second = machine.start()

    assert second.read(CREDS) == old
    assert len(machine.store.lent) == 1


def test_what_comes_of_many_threads_is_kept_whole(machine):
    for number in range(40):
        machine.store.lends(f"db/creds/{number}", duration=600)
    first = machine.start()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda number: first.read(f"db/creds/{number}"), range(40)))
    first.close()
    second = machine.start()

    assert [second.read(f"db/creds/{number}") for number in range(40)] == found
    assert len(machine.store.lent) == 40


def test_what_was_known_last_is_kept_last(machine):
    """Though whoever knew less is slower to write it down."""
    machine.store.lends("db/creds/other", duration=600)
    saved = []
    other = threading.Event()

    def save(text):
        if not saved:
            saved.append("begun")
            other.wait(0.3)  # it must not come meanwhile
        saved.append(text)
        other.set()
        machine.ledger.put_flag(FLAG, text)

    first = machine.start(keeper=Keeper(lambda: None, save, machine.ledger.key))
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(first.read, CREDS)
        eventually(lambda: saved)
        found = first.read("db/creds/other"), reading.result(30)
    second = machine.start()

    assert (second.read("db/creds/other"), second.read(CREDS)) == found
    assert len(machine.store.lent) == 2


def test_what_ended_with_a_login_is_not_kept_as_if_it_were_of_the_next(machine):
    machine.store.lends("db/creds/once", duration=600, renewable=False)
    first = machine.start()
    old = first.read("db/creds/once")["username"]
    machine.store.end_sessions()
    first.read(CREDS)
    second = machine.start()  # as after a crash, before the other could be replaced

    assert second.read("db/creds/once")["username"] != old


def test_looking_keeps_nothing_of_its_own(machine, caplog):
    class Rotated(MemorySecretsBackend):
        """Its credentials have an end, but nobody makes them."""

        def is_dynamic(self, address):
            return False

    first = machine.start()
    first.read("s")
    machine.ledger.put_flag(FLAG, None)
    ledger = read_ledger(machine.directory, machine.clock)
    looking = machine.start(keeper=keeper_of(ledger), looking=True)
    looking.backend.is_dynamic = Rotated(machine.store).is_dynamic
    assert looking.read(CREDS)
    ledger.close()

    assert machine.ledger.flag(FLAG) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[:-10], id="cut"),
        pytest.param(lambda text: "☃", id="not ascii"),
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: text[:40] + ("A" if text[40] != "A" else "B") + text[41:], id="changed"),
    ],
)
def test_damaged_text_is_told_and_everything_fetched_anew(machine, damage, caplog):
    first = machine.start()
    old = first.read(CREDS)["username"]
    first.close()
    machine.ledger.put_flag(FLAG, damage(machine.ledger.flag(FLAG)))
    second = machine.start()

    assert second.read(CREDS)["username"] != old
    assert "cannot be read any more" in caplog.text or "fetched anew" in caplog.text
    assert old not in caplog.text


def test_what_is_kept_shows_no_secret_and_nobody_else_can_read_it(machine):
    first = machine.start()
    data = first.read(CREDS)
    first.close()
    text = machine.ledger.flag(FLAG)
    database = b"".join(path.read_bytes() for path in machine.directory.glob("ledger*"))
    exported = first.backend.export_session()

    for secret in (data["password"], data["username"], exported.decode()):
        assert secret not in text
        assert secret.encode() not in database
    other = Keeper(lambda: text, lambda _: None, b"another key" * 3)
    assert other.load() is None
    assert Hasher(machine.ledger.key).content(
        b"x"
    )  # the key is that of the digests: nothing of it is in the text
    assert machine.ledger.key.hex() not in text


def test_a_command_that_only_looks_leaves_everything_to_whoever_keeps_it(machine):
    first = machine.start()
    data = first.read(CREDS)
    kept = machine.ledger.flag(FLAG)
    machine.clock.advance(450)  # renewing is due
    ledger = read_ledger(machine.directory, machine.clock)
    looking = machine.start(keeper=keeper_of(ledger), looking=True)
    looking.source.refresh()
    looking.read("s")

    assert looking.read(CREDS) == data
    assert looking.read("db/creds/other", looking=True) is None
    looking.close()
    ledger.close()
    assert machine.store.count("renew") == 0
    assert machine.store.logins == 2
    assert machine.ledger.flag(FLAG) == kept
    assert machine.store.is_alive(data["username"])
    assert first.read(CREDS) == data


def test_a_ledger_that_cannot_be_written_or_read_stops_nothing(addressed, caplog):
    def fail(*_):
        raise LedgerError("the disk is full")

    rig = addressed(keeper=Keeper(fail, fail, b"k" * 32))
    rig.store.lends(CREDS, duration=60)
    assert rig.read(CREDS)
    assert "leases cannot be kept" in caplog.text


def test_a_bug_in_keeping_the_login_stops_nothing(machine):
    first = machine.start()

    def broken():
        raise KeyError("hunter2")

    first.backend.export_session = broken
    data = first.read(CREDS)
    first.close()
    second = machine.start()
    # Whose login is not known cannot be trusted to live.
    assert second.read(CREDS) != data


# The end.


@pytest.mark.parametrize(
    ("revoke", "leased", "lives"),
    [
        ("unless_leased", False, False),
        ("unless_leased", True, True),
        ("always", False, False),
        ("always", True, False),
        ("never", False, True),
        ("never", True, True),
    ],
)
def test_what_is_revoked_at_the_end(addressed, revoke, leased, lives):
    rig = addressed(revoke=revoke)
    rig.store.lends(CREDS, duration=60)
    rig.store.put("s", {"a": "1"})
    rig.read("s")
    name = rig.read(CREDS)["username"] if leased else None
    rig.close()

    assert rig.store.is_logged_in() is lives
    assert rig.store.is_alive(name) is (leased and lives)


def test_a_certificate_does_not_keep_the_login(addressed):
    rig = addressed()
    rig.store.certifies("pki/issue/web", duration=60)
    rig.read("pki/issue/web", WEB)
    rig.close()

    assert not rig.store.is_logged_in()


def test_a_lease_that_is_over_does_not_keep_the_login(addressed):
    rig = addressed()
    rig.store.lends(CREDS, duration=60)
    rig.read(CREDS)
    rig.clock.advance(61)
    rig.close()

    assert not rig.store.is_logged_in()


def test_what_is_kept_is_not_revoked(machine):
    first = machine.start(revoke="always")
    name = first.read(CREDS)["username"]
    first.close()

    assert machine.store.is_alive(name)


def test_without_a_login_nobody_is_called_at_the_end(rig):
    rig.close()
    assert rig.store.calls == []


def test_a_store_that_hangs_does_not_hold_the_end(addressed, monkeypatch):
    monkeypatch.setattr("confsync.source.addressed._CLOSING", 0.3)
    rig = addressed(revoke="always")
    rig.store.lends(CREDS, duration=60)
    rig.read(CREDS)
    with rig.store.holding(CREDS) as held:
        began = time.monotonic()
        rig.source.close()
        assert time.monotonic() - began < 60, "it is held for 120"
        assert held.arrived.wait(30)


def test_the_login_is_revoked_where_a_lease_alone_may_not_be(addressed, caplog):
    rig = addressed(revoke="always")
    rig.store.lends(CREDS, duration=60)
    rig.read(CREDS)
    rig.store.fail_with(Denied("not you"), kind="revoke")
    rig.close()

    assert not rig.store.is_logged_in()
    assert caplog.text == ""


def test_a_store_that_fails_at_the_end_is_told_without_its_text(addressed, caplog):
    rig = addressed(revoke="always")
    rig.store.lends(CREDS, duration=60)
    rig.read(CREDS)
    rig.store.fail_with(Unavailable("hunter2"), kind="revoke")
    rig.close()

    assert "could not be revoked" in caplog.text
    assert "hunter2" not in caplog.text


def test_closing_lets_go_of_what_hangs(live):
    live.store.put("s", {"a": "1"})
    live.read("s")
    with live.store.holding("s") as held:
        live.source.resync(["s"], ["s"])
        assert held.arrived.wait(30)
        live.store.put("s", {"a": "2"})
        live.close()
    eventually(lambda: not [one for one in threading.enumerate() if one.name.startswith("care-")])
    assert live.events == []


def test_many_leases_that_change_at_once_are_kept_together(addressed):
    saved, waiting, go_on = [], threading.Event(), threading.Event()

    def save(text):
        saved.append(text)
        waiting.set()
        assert go_on.wait(30)

    rig = addressed(clock=SystemClock(), keeper=Keeper(lambda: None, save, b"k" * 32))
    rig.follow()
    rig.store.lends("creds/first", duration=600)
    rig.read("creds/first")
    assert waiting.wait(30)
    for number in range(50):
        rig.store.lends(f"creds/{number}", duration=600)
        rig.read(f"creds/{number}")
    go_on.set()
    rig.close()

    assert len(saved) <= 3
    kept = Keeper(lambda: saved[-1], save, b"k" * 32).load()
    assert len(kept.leases) == 51
