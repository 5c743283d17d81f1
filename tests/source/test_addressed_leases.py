"""Leases are renewed in time, replaced before they end, and nobody is given what is dead."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from confsync.driver import Address, Lease, Secret
from confsync.errors import Denied, Unavailable
from confsync.testing.memory_secrets import ManualClock, MemorySecretsBackend, SecretStore
from confsync.testing.waiting import eventually

CREDS = "db/creds/app"


def username(rig):
    return rig.read(CREDS)["username"]


def test_a_lease_is_renewed_after_two_thirds_of_its_time_and_never_later(addressed):
    renewed_after = []
    for _ in range(40):
        rig = addressed()
        rig.store.lends(CREDS, duration=100)
        rig.read(CREDS)
        passed = 0.0
        while rig.store.count("renew") == 0:
            rig.pass_time(0.5, step=0.5)
            passed += 0.5
        renewed_after.append(passed)

    assert min(renewed_after) >= 60
    assert max(renewed_after) <= 67
    assert max(renewed_after) - min(renewed_after) > 1  # a fleet that started together drifts apart


def test_a_lease_that_is_renewed_in_time_lives_on_and_nobody_is_told(rig):
    rig.store.lends(CREDS, duration=60)
    name = username(rig)
    rig.pass_time(1000, step=1)

    assert username(rig) == name
    assert rig.store.is_alive(name)
    assert rig.store.lent == [name]
    assert 1000 / 40 <= rig.store.count("renew") <= 1000 / 34
    assert rig.told() == []


def test_a_renewal_that_gives_less_is_the_end_so_it_is_replaced_at_once(rig):
    rig.store.lends(CREDS, duration=60, max_ttl=150)
    old = username(rig)
    while not rig.events:
        rig.pass_time(0.5, step=0.5)
        assert rig.store.is_alive(username(rig))

    new = username(rig)
    assert rig.told() == [CREDS]
    assert new != old
    assert rig.store.is_alive(old)  # whoever uses it has time to change
    assert rig.store.calls[-2:] == [("renew", CREDS), ("fetch", CREDS)]


def test_what_cannot_be_renewed_is_replaced_while_it_lives(rig):
    rig.store.lends(CREDS, duration=60, renewable=False)
    old = username(rig)
    rig.pass_time(41, step=0.5)

    assert rig.told() == [CREDS]
    assert username(rig) != old
    assert rig.store.is_alive(old)
    assert rig.store.count("renew") == 0


def test_a_certificate_is_issued_anew_before_it_ends_with_its_own_key(rig):
    rig.store.certifies("pki/issue/web", duration=90)
    wanted = ("common_name", "a.test")
    old = rig.read("pki/issue/web", wanted)
    rig.pass_time(61, step=0.5)
    new = rig.read("pki/issue/web", wanted)

    assert old == {"certificate": "certificate 1 for a.test", "private_key": "key-of-1-5e1f"}
    assert new == {"certificate": "certificate 2 for a.test", "private_key": "key-of-2-5e1f"}
    assert rig.told() == ["pki/issue/web"]


def test_one_lease_serves_all_who_ask_for_the_same_with_the_same_parameters(rig):
    rig.store.certifies("pki/issue/web", duration=90)
    found = [
        rig.read("pki/issue/web", ("common_name", name), name=reader)
        for name in ("a.test", "b.test")
        for reader in "xyz"
    ]

    assert rig.store.lent == ["a.test", "b.test"]
    assert found[0] == found[1] == found[2] != found[3]


def test_a_lease_that_is_over_before_its_time_is_replaced_when_that_shows(rig):
    rig.store.lends(CREDS, duration=60)
    username(rig)
    rig.store.end_leases()
    rig.pass_time(41, step=0.5)

    assert rig.told() == [CREDS]
    assert rig.store.is_alive(username(rig))
    assert rig.store.count("renew") == 1


def test_where_renewing_is_denied_it_is_used_until_little_is_left_and_then_replaced(rig, caplog):
    rig.store.lends(CREDS, duration=60)
    old = username(rig)
    rig.store.fail_with(Denied("no renewing", key=CREDS), kind="renew")
    rig.pass_time(49, step=0.5)
    assert username(rig) == old
    assert rig.told() == [CREDS]  # it stands otherwise than before
    assert "no renewing; its lease ends at 2023-11-14T22:14:20Z" in rig.source.problem([Address(CREDS)]).text
    rig.pass_time(2, step=0.5)

    assert username(rig) != old
    assert rig.store.is_alive(old)
    assert rig.told() == [CREDS]
    assert rig.source.problem([Address(CREDS)]) is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "cannot be read or renewed")
    ]


def test_a_lease_that_cannot_be_kept_alarms_early_and_is_tried_until_its_end_and_after(rig, caplog):
    rig.store.lends(CREDS, duration=600)
    old = username(rig)
    caplog.set_level("INFO")
    ended = datetime.fromtimestamp(rig.clock.now() + 600, UTC).isoformat().replace("+00:00", "Z")
    rig.store.fail_with(Unavailable("it is down"))
    rig.pass_time(599, step=1)
    assert username(rig) == old
    assert rig.store.is_alive(old)
    rig.pass_time(200, step=1)

    with pytest.raises(Unavailable, match=f"db/creds/app: it is down; its lease ended at {ended}") as failed:
        username(rig)
    assert failed.value.hint is None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "source cannot be read"),
        ("ERROR", "a lease ends and cannot be replaced"),
        ("ERROR", "a lease is over and cannot be replaced"),
    ]
    assert caplog.records[1].error.endswith(f"its lease ends at {ended}")
    assert caplog.records[2].error.endswith(f"its lease ended at {ended}")
    assert rig.told() == [CREDS] * 2  # that it cannot be renewed, and that it is over

    rig.store.fail_with(None)
    rig.pass_time(40, step=1)
    assert rig.told() == [CREDS]
    assert rig.store.is_alive(username(rig))
    assert rig.source.problem([Address(CREDS)]) is None


def test_the_moment_at_which_it_gets_worse_is_not_slept_through(rig):
    rig.store.lends(CREDS, duration=600)
    username(rig)
    rig.store.fail_with(Unavailable("its database is down", key=CREDS))
    rig.clock.advance(395)
    rig.source.attend()
    for _ in range(12):
        rig.pass_time(1, step=0.5)  # by now the pauses are long
    rig.pass_time(600 - 407 - 0.5, step=0.5)
    rig.told()
    rig.pass_time(1, step=0.5)

    assert rig.told() == [CREDS]
    assert "ended at" in rig.source.problem([Address(CREDS)]).text


def test_after_its_end_a_read_fetches_anew_by_itself(rig):
    rig.store.lends(CREDS, duration=60)
    old = username(rig)
    rig.clock.advance(61)  # as after the machine slept

    assert username(rig) != old
    assert rig.store.is_alive(username(rig))
    assert rig.told() == [CREDS]  # for the others who read it
    assert len(rig.store.lent) == 2


def test_after_its_end_it_is_fetched_anew_though_nobody_reads_it(rig):
    rig.store.lends(CREDS, duration=60)
    username(rig)
    rig.clock.advance(61)
    rig.source.attend()

    assert rig.told() == [CREDS]
    assert rig.store.is_alive(username(rig))
    assert rig.store.count("renew") == 0


def test_leases_come_first_and_of_them_what_ends_soonest(rig):
    rig.store.put("s", {"a": "1"})
    rig.read("s")
    for path, duration in (("db/creds/b", 90), ("db/creds/a", 80), ("db/creds/c", 100)):
        rig.store.lends(path, duration=duration)
        rig.read(path)
    rig.store.calls.clear()
    rig.clock.advance(79)
    rig.resync("s", "db/creds/a", "db/creds/b", "db/creds/c")

    assert [path for _, path in rig.store.calls] == ["db/creds/a", "db/creds/b", "db/creds/c", "s"]


def test_that_trouble_is_over_is_told_though_the_value_is_the_same(addressed):
    class Rotated(MemorySecretsBackend):
        def fetch(self, address):
            super().fetch(address)
            return Secret({"user": "shop"}, lease=Lease("", 60.0))

    clock = ManualClock()
    store = SecretStore(clock)
    rig = addressed(clock=clock, store=store, backend=Rotated(store))
    rig.read("s")
    store.fail_with(Unavailable("it is down"))
    rig.pass_time(70, step=1)
    assert rig.told() == ["s", "s"]
    store.mend()
    clock.advance(40)
    rig.read("s")

    assert rig.told() == ["s"]


def test_what_ends_with_a_login_is_fetched_anew_by_the_next(rig):
    rig.store.lends(CREDS, duration=600)
    rig.store.put("s", {"a": "1"})
    rig.store.certifies("pki/issue/web", duration=600)
    old = username(rig)
    certificate = rig.read("pki/issue/web", ("common_name", "a.test"))
    rig.store.end_sessions()
    rig.read("s")  # whatever is asked logs in anew
    rig.source.attend()

    assert rig.told() == [CREDS]
    assert username(rig) != old
    assert rig.store.is_alive(username(rig))
    assert rig.read("pki/issue/web", ("common_name", "a.test")) == certificate


def test_a_reader_is_not_given_what_ended_with_a_login_not_even_before_it_is_replaced(rig):
    rig.store.lends(CREDS, duration=600)
    rig.store.put("s", {"a": "1"})
    old = username(rig)
    rig.store.end_sessions()
    rig.read("s")

    assert not rig.store.is_alive(old)
    assert rig.store.is_alive(username(rig))
    assert rig.told() == [CREDS]


def test_what_ended_with_a_login_is_not_given_though_the_store_is_down(rig):
    rig.store.lends(CREDS, duration=600)
    rig.store.put("s", {"a": "1"})
    username(rig)
    rig.store.end_sessions()
    rig.read("s")
    rig.store.fail_with(Unavailable("it is down"))

    with pytest.raises(Unavailable):
        username(rig)


@pytest.mark.parametrize("jump", [-1e9, -3600, 3600, 1e9])
def test_a_wall_clock_that_jumps_changes_nothing(rig, jump):
    rig.store.lends(CREDS, duration=60, max_ttl=200)
    rig.store.put("s", {"a": "1"})
    rig.read("s")
    username(rig)
    for _ in range(100):
        rig.clock.wall += jump
        jump = -jump
        rig.pass_time(4, step=0.5)
        assert rig.store.is_alive(username(rig))

    assert 400 / 200 <= len(rig.store.lent) <= 400 / 100 + 1
    assert rig.store.count("fetch", "s") == 1


def test_a_lease_that_no_sync_uses_is_not_renewed_but_known_until_it_ends(rig):
    rig.store.lends(CREDS, duration=600)
    old = username(rig)
    rig.clock.advance(61)
    rig.source.resync([], [])
    assert (
        username(rig) == old
    )  # somebody wants it after all: whoever reads it by a name that is kept nowhere
    for _ in range(20):
        rig.pass_time(30, step=5)
        rig.source.resync([], [])

    assert rig.store.count("renew") == 0
    assert not rig.store.is_alive(old)
    rig.source.resync([], [])
    assert rig.source.describe() == "ok (0 secrets, 0 leases)"
    assert len(rig.store.lent) == 1


def test_a_lease_that_is_wanted_again_is_renewed_again(rig):
    rig.store.lends(CREDS, duration=600)
    old = username(rig)
    rig.clock.advance(450)
    rig.source.resync([], [])
    rig.source.attend()
    assert rig.store.count("renew") == 0
    rig.source._wake.clear()
    assert username(rig) == old
    assert rig.source._wake.is_set()  # so that whoever follows does not sleep on
    rig.source.attend()

    assert rig.store.count("renew") == 1


class Short(MemorySecretsBackend):
    """Lends for no time worth the name."""

    duration = 0.0

    def fetch(self, address):
        return Secret(super().fetch(address).data, lease=Lease("short", self.duration, renewable=True))


@pytest.mark.parametrize("duration", [-5.0, 0.0, 1e-6, 0.01])
def test_a_lease_that_ends_as_it_begins_does_not_keep_us_busy(addressed, duration):
    store = SecretStore()
    backend = Short(store)
    backend.duration = duration
    rig = addressed(backend=backend, store=store)
    store.lends(CREDS, duration=60)
    assert username(rig)
    rig.pass_time(3, step=0.01)

    assert len(store.calls) <= 2 + 2 * 3 / 0.1


def test_the_end_of_a_lease_counts_from_when_it_was_asked_for_the_last_time(addressed):
    """A store that was busy for a while before it answered has not lent anything all that while."""

    class Busy(MemorySecretsBackend):
        was_busy = False

        def is_dynamic(self, address):
            return False  # what would make something is not asked for twice

        def fetch(self, address):
            if not self.was_busy:
                self.was_busy = True
                rig.clock.advance(5)
                raise Unavailable("busy", retry_after=0.0)
            return super().fetch(address)

    clock = ManualClock()
    store = SecretStore(clock)
    rig = addressed(clock=clock, store=store, backend=Busy(store))
    store.lends(CREDS, duration=10)
    username(rig)
    rig.source.attend()
    rig.pass_time(5.9, step=0.1)
    assert store.count("renew") == 0
    rig.pass_time(1, step=0.1)
    assert store.count("renew") == 1


# The login itself.


class Tended(MemorySecretsBackend):
    """Wants to be tended every 30 seconds, and notes that it was."""

    def __init__(self, store):
        super().__init__(store)
        self.tended = []
        self.error = None

    def tend(self):
        self.tended.append(self.store.clock.monotonic())
        if self.error is not None:
            raise self.error
        return 30.0


@pytest.fixture
def tended(addressed):
    clock = ManualClock()
    store = SecretStore(clock)
    store.put("s", {"a": "1"})
    return addressed(clock=clock, store=store, backend=Tended(store))


def test_the_login_is_tended_once_there_is_one_and_when_the_driver_says(tended):
    tended.pass_time(100, step=1)
    assert tended.backend.tended == []
    began = tended.clock.monotonic()
    tended.read("s")
    tended.pass_time(100, step=1)

    assert [round(at - began) for at in tended.backend.tended] == [1, 31, 61, 91]


def test_a_login_that_cannot_be_tended_is_told_once_and_tried_again(tended, caplog):
    caplog.set_level("INFO")
    tended.read("s")
    tended.backend.error = Unavailable("it is down")
    tended.pass_time(60, step=0.05)
    tries = len(tended.backend.tended)
    tended.backend.error = None
    tended.pass_time(60, step=0.05)

    assert 8 <= tries <= 12
    assert [record.getMessage() for record in caplog.records] == [
        "the login cannot be renewed",
        "the login is in order again",
    ]


def test_while_tending_takes_long_nobody_else_begins(running_clock, addressed):
    store = SecretStore(running_clock)
    begun, ended = [], threading.Event()

    class Slow(MemorySecretsBackend):
        def tend(self):
            begun.append(1)
            ended.wait(240)

    rig = addressed(clock=running_clock, store=store, backend=Slow(store))
    rig.follow()
    store.lends(CREDS, duration=0.5)
    name = username(rig)
    eventually(lambda: store.count("renew") >= 2, within=120)
    assert store.is_alive(name)
    assert begun == [1]
    ended.set()


def test_a_bug_in_tending_ends_nothing(tended, caplog):
    tended.read("s")
    tended.backend.error = KeyError("hunter2")
    tended.pass_time(60, step=1)
    tended.backend.error = None
    tended.pass_time(60, step=1)

    assert tended.clock.monotonic() - tended.backend.tended[-1] <= 31
    assert "the login is in order again" not in caplog.records[0].getMessage()
    assert "hunter2" not in "".join(str(record.__dict__.get("error")) for record in caplog.records)


def test_a_login_made_anew_while_tending_replaces_what_ends_with_the_old_one(addressed):
    class Renewing(Tended):
        def tend(self):
            if self.tended:
                self.store.end_sessions()
                self._call(lambda token: self.store.names(token, ""))
            return super().tend()

    clock = ManualClock()
    store = SecretStore(clock)
    rig = addressed(clock=clock, store=store, backend=Renewing(store))
    store.lends(CREDS, duration=600)
    old = username(rig)
    rig.source.attend()
    rig.clock.advance(31)
    rig.source.attend()

    assert rig.told() == [CREDS]
    assert username(rig) != old
    assert store.is_alive(username(rig))


# Threads and a clock that runs.


def test_leases_of_a_daemon_outlive_any_number_of_rotations(live):
    live.store.lends(CREDS, duration=0.5, max_ttl=0.6)
    live.store.lends("db/creds/other", duration=0.4, renewable=False)
    dead, reads = [], 0
    ended = threading.Event()

    def look():
        nonlocal reads
        while not ended.is_set():
            for path in (CREDS, "db/creds/other"):
                name = live.read(path)["username"]
                if not live.store.is_alive(name) and live.read(path)["username"] == name:
                    dead.append(name)
                reads += 1
            ended.wait(0.002)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        eventually(lambda: len(live.store.lent) >= 8 and reads > 100, within=120)
    finally:
        ended.set()
        reader.join(30)
    assert dead == []


def test_a_daemon_replaces_what_ended_with_a_login_as_soon_as_somebody_logs_in(live):
    live.store.lends(CREDS, duration=600)
    live.store.put("s", {"a": "1"})
    username(live)
    live.store.end_sessions()
    with ThreadPoolExecutor(1) as pool, live.store.holding("s") as held:
        reading = pool.submit(live.read, "s")
        assert held.arrived.wait(30)
        threading.Event().wait(0.1)  # so that who follows sleeps, most likely; the promise holds either way
        held.release()
        assert reading.result(30) == {"a": "1"}

    eventually(lambda: live.told() == [CREDS])
    assert live.store.is_alive(live.store.lent[-1])


def test_a_lease_is_looked_after_while_other_paths_hang(live):
    names = [f"s/{number}" for number in range(12)]
    with ExitStack() as stack:
        for name in names:
            live.store.put(name, {"a": "1"})
            live.read(name)
        held = [stack.enter_context(live.store.holding(name)) for name in names]
        live.store.lends(CREDS, duration=0.6)
        lent = username(live)
        live.source.resync(names, names)
        eventually(lambda: sum(one.waiting for one in held) == 8)
        eventually(lambda: live.store.count("renew") >= 3, within=120)
        assert live.store.is_alive(lent)
        assert username(live) == lent


def test_a_lease_is_renewed_while_more_other_leases_hang_than_there_are_threads(live):
    live.source._caretaker._leases.most = 4
    names = [f"db/creds/{number}" for number in range(12)]
    with ExitStack() as stack:
        for name in names:
            live.store.lends(name, duration=0.9)
            live.read(name)
            live.store.fail_with(Unavailable("no answer in time"), name)
        live.store.lends(CREDS, duration=3.0)
        lent = username(live)
        eventually(lambda: all(live.source.problem([Address(name)]) for name in names))
        held = [stack.enter_context(live.store.holding(name)) for name in names]
        eventually(lambda: sum(one.waiting for one in held) >= 8)
        eventually(lambda: live.store.count("renew", CREDS) >= 2, within=120)
        assert live.store.is_alive(lent)


def test_a_fetch_that_may_have_made_a_user_is_not_repeated_in_a_burst(rig):
    """The store makes the user and its answer is lost."""
    rig.store.lends(CREDS, duration=600)
    rig.store.fail_with(Unavailable("the answer broke off", retry_after=0.0), CREDS, "fetch")
    for _ in range(40):
        with pytest.raises(Unavailable):
            username(rig)
        rig.pass_time(0.5, step=0.5)

    assert rig.store.count("fetch") <= 4
    rig.store.mend()
    rig.pass_time(40, step=0.5)
    assert rig.store.is_alive(username(rig))


def test_a_login_that_was_revoked_is_noticed_within_two_intervals_though_nothing_is_asked(rig):
    rig.store.lends(CREDS, duration=3600)
    rig.read(CREDS)
    rig.resync(CREDS)
    rig.store.end_sessions()
    rig.resync(CREDS)
    rig.source.attend()

    assert rig.told() == [CREDS]
    assert rig.store.is_alive(username(rig))
