"""Changes are looked for cheaply, told to those concerned, and what nobody wants is forgotten."""

from __future__ import annotations

import threading

import pytest

from confsync.clock import SystemClock
from confsync.driver import Address, Secret
from confsync.errors import Denied, Unavailable
from confsync.logs import TextFormatter
from confsync.testing.memory_secrets import MemorySecretsBackend, SecretStore
from confsync.testing.waiting import eventually


def test_an_unchanged_world_costs_one_cheap_call_for_each_path(rig):
    names = [f"s/{number}" for number in range(50)]
    for name in names:
        rig.store.put(name, {"a": "1"})
        for _ in range(20):
            rig.read(name)
    fetched = rig.store.count("fetch")
    for _ in range(3):
        rig.resync(*names)

    assert rig.store.count("changed") == 3 * 50
    assert rig.store.count("fetch") == fetched == 50
    assert rig.told() == []


def test_a_change_is_fetched_once_and_told_by_every_name_it_was_read_by(rig):
    rig.store.put("prod/db", {"a": "1"})
    rig.store.put("prod/web", {"a": "1"})
    rig.read("prod/db", name="db")
    rig.read("prod/db", name="db#a")
    rig.read("prod/db", name="/prod/db")
    rig.read("prod/web", name="web")
    rig.store.put("prod/db", {"a": "2"})
    rig.resync("db", "web")

    assert rig.told() == ["/prod/db", "db", "db#a"]
    assert rig.read("prod/db") == {"a": "2"}
    assert rig.store.count("fetch") == 3


def test_what_is_written_anew_as_it_was_is_a_new_version_and_told(rig):
    rig.store.put("s", {"a": "1"})
    rig.read("s")
    rig.store.put("s", {"a": "1"})
    rig.resync("s")

    assert rig.told() == ["s"]


def test_only_what_is_due_is_looked_at(rig):
    for name in ("often", "seldom"):
        rig.store.put(name, {"a": "1"})
        rig.read(name)
        rig.store.put(name, {"a": "2"})
    rig.source.resync(["often"], ["often", "seldom"])
    rig.source.attend()

    assert rig.told() == ["often"]
    assert rig.read("seldom") == {"a": "1"}


def test_a_deleted_secret_is_told_and_so_is_one_that_comes_back(rig):
    rig.store.put("s", {"a": "1"})
    rig.read("s")
    rig.store.delete("s")
    rig.resync("s")
    assert (rig.told(), rig.read("s")) == (["s"], None)
    rig.resync("s")
    assert rig.told() == []
    rig.store.put("s", {"a": "2"})
    rig.resync("s")
    assert (rig.told(), rig.read("s")) == (["s"], {"a": "2"})


def test_a_secret_that_is_denied_later_stays_and_is_told_once_each_way(rig):
    rig.store.put("s", {"a": "1"})
    rig.read("s")
    rig.store.deny("s")
    rig.resync("s")
    rig.pass_time(200, step=2)
    assert rig.told() == ["s"]
    assert rig.read("s") == {"a": "1"}
    rig.store.allow("s")
    rig.pass_time(40, step=2)
    assert rig.told() == ["s"]


def test_another_error_is_told_but_does_not_make_the_trouble_younger(rig):
    rig.store.put("db", {"a": "1"})
    rig.read("db")
    rig.store.fail_with(Unavailable("its database is down", key="db"))
    since = rig.clock.now()
    rig.resync("db")
    rig.store.fail_with(Denied("now it is refused", key="db"))
    rig.pass_time(60, step=2)

    assert rig.told() == ["db", "db"]
    assert rig.source.problem([Address("db")]) == ("db: now it is refused", since, False)


def test_a_listing_is_listed_again_and_told_only_where_it_differs(rig):
    for name in ("prod/app/db", "prod/app/web"):
        rig.store.put(name, {"a": "1"})
    view = rig.source.view(("prod",), looking=False)
    assert view.under("app") == ["db", "web"]
    rig.resync("app")
    assert rig.told() == []
    rig.store.put("prod/app/cache", {"a": "1"})
    rig.resync("app")

    # As something below the listed path: so those who listed it, or anything above it, are the ones concerned.
    assert rig.told() == ["app/"]
    assert rig.source.view(("prod",), looking=False).under("app") == ["cache", "db", "web"]
    assert rig.store.count("names") == 3
    assert rig.store.count("changed") == 0


def test_what_no_sync_reads_is_forgotten_after_a_while(rig):
    for name in ("kept", "dropped"):
        rig.store.put(name, {"a": "1"})
        rig.read(name)
    rig.source.resync(["kept"], ["kept"])
    assert (
        rig.source.describe() == "ok (2 secrets, 0 leases)"
    )  # it was read a moment ago; whose it is may show yet
    rig.clock.advance(61)
    rig.source.resync(["kept"], ["kept"])

    assert rig.source.describe() == "ok (1 secret, 0 leases)"
    rig.read("dropped")
    assert rig.store.count("fetch", "dropped") == 2


def test_a_dynamic_secret_without_a_lease_is_not_made_anew_to_see_whether_it_changed(addressed):
    class Unleased(MemorySecretsBackend):
        def fetch(self, address):
            return Secret(super().fetch(address).data)

    store = SecretStore()
    rig = addressed(backend=Unleased(store), store=store)
    store.lends("db/creds/app", duration=60)
    rig.read("db/creds/app")
    for _ in range(3):
        rig.resync("db/creds/app")
        rig.pass_time(60, step=10)

    assert len(store.lent) == 1


def test_a_change_is_noticed_and_told_by_the_threads_of_a_daemon(live):
    names = [f"s/{number}" for number in range(30)]
    for name in names:
        live.store.put(name, {"a": "1"})
        live.read(name)
    live.store.put("s/7", {"a": "2"})
    live.source.resync(names, names)

    eventually(lambda: live.told() == ["s/7"])
    eventually(lambda: live.store.count("changed") == 30)
    assert live.read("s/7") == {"a": "2"}


def test_a_path_that_hangs_keeps_no_other_from_being_looked_after(live):
    names = [f"s/{number}" for number in range(30)]
    for name in names:
        live.store.put(name, {"a": "1"})
        live.read(name)
    for name in names:
        live.store.put(name, {"a": "2"})
    with live.store.holding("s/3") as held:
        live.source.resync(names, names)
        assert held.arrived.wait(30)
        eventually(lambda: len(live.events) == 29)
        assert live.read("s/3") == {"a": "1"}
        held.release()
        eventually(lambda: len(live.events) == 30)


def test_an_event_of_a_change_comes_after_the_change_can_be_read(addressed):
    seen = []
    rig = addressed(clock=SystemClock())
    rig.source._notify = lambda _: seen.append(rig.read("s"))
    rig.store.put("s", {"a": "1"})
    rig.read("s")
    rig.follow()
    rig.store.put("s", {"a": "2"})
    rig.source.resync(["s"], ["s"])

    eventually(lambda: seen == [{"a": "2"}])


def test_a_render_sees_what_it_has_read_until_its_end(rig):
    rig.store.put("db", {"user": "a", "password": "1"})
    view = rig.source.view(("",), looking=False)
    assert view.look_up("db#user")[1] == "a"
    rig.store.put("db", {"user": "b", "password": "2"})
    rig.resync("db#user")

    assert view.look_up("db#password")[1] == "1"
    assert rig.source.view(("",), looking=False).look_up("db#password")[1] == "2"


# Drivers that break their contract.


class Buggy(MemorySecretsBackend):
    """Raises what no driver may raise, with a secret in its text, while `broken`."""

    broken: frozenset[str] = frozenset()
    secret = "hunter2"

    def _maybe(self, name):
        if name in self.broken:
            raise KeyError(self.secret)

    def fetch(self, address):
        self._maybe("fetch")
        return super().fetch(address)

    def changed(self, address, known):
        self._maybe("changed")
        return super().changed(address, known)

    def names(self, path):
        self._maybe("names")
        return super().names(path)

    def is_dynamic(self, address):
        self._maybe("is_dynamic")
        return super().is_dynamic(address)

    def renew(self, lease):
        self._maybe("renew")
        return super().renew(lease)

    def decrypt(self, key, ciphertexts):
        self._maybe("decrypt")
        return super().decrypt(key, ciphertexts)

    def tend(self):
        self._maybe("tend")
        return super().tend()

    def end_session(self):
        self._maybe("end_session")
        super().end_session()

    def close(self):
        self._maybe("close")
        super().close()


@pytest.fixture
def buggy(addressed):
    store = SecretStore()
    rig = addressed(backend=Buggy(store), store=store, clock=SystemClock())
    rig.follow()
    return rig


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda rig: rig.read("s"), id="fetch"),
        pytest.param(lambda rig: rig.source.view(("",), looking=False).under("x"), id="names"),
        pytest.param(lambda rig: rig.read("s", looking=True), id="is_dynamic"),
        pytest.param(lambda rig: rig.source.decrypt("k", ["x"]), id="decrypt"),
    ],
)
def test_a_bug_in_a_driver_is_an_unavailable_store_that_does_not_repeat_the_text(
    buggy, request, call, caplog
):
    buggy.backend.broken = {request.node.callspec.id}
    with pytest.raises(Unavailable, match="KeyError") as failed:
        call(buggy)

    told = "".join(TextFormatter().format(record) for record in caplog.records)
    assert "a bug in a backend" in told
    assert "Traceback" in told
    assert "hunter2" not in told
    assert "hunter2" not in str(failed.value)


def test_bugs_end_no_thread(buggy):
    store = buggy.store
    store.put("s", {"a": "1"})
    store.lends("db/creds/app", duration=0.6)
    assert buggy.read("s") == {"a": "1"}
    buggy.read("db/creds/app")
    buggy.backend.broken = {"fetch", "changed", "renew", "tend"}
    buggy.source.resync(["s"], ["s", "db/creds/app"])
    eventually(lambda: buggy.source.problem([Address("s")]))
    eventually(lambda: buggy.source.problem([Address("db/creds/app")]))
    buggy.backend.broken = frozenset()
    store.put("s", {"a": "2"})

    eventually(lambda: buggy.read("s") == {"a": "2"})
    eventually(lambda: buggy.source.problem([Address("s"), Address("db/creds/app")]) is None)
    eventually(lambda: store.is_alive(buggy.read("db/creds/app")["username"]))


@pytest.mark.parametrize("broken", [{"end_session"}, {"close"}, {"end_session", "close"}])
def test_bugs_do_not_keep_a_source_from_being_closed(buggy, broken):
    buggy.read("s")
    buggy.backend.broken = broken
    buggy.close()


class Nonsense(MemorySecretsBackend):
    """Gives what no driver may give."""

    def fetch(self, address):
        return None

    def decrypt(self, key, ciphertexts):
        return []


def test_answers_that_are_none_are_bugs_too(addressed):
    store = SecretStore()
    rig = addressed(backend=Nonsense(store), store=store)
    with pytest.raises(Unavailable, match="TypeError"):
        rig.read("s")
    with pytest.raises(Unavailable, match="ValueError"):
        rig.source.decrypt("k", ["x"])


def test_a_daemon_that_has_nothing_to_do_does_nothing(live):
    live.store.put("s", {"a": "1"})
    live.read("s")
    live.source.resync(["s"], ["s"])
    eventually(lambda: live.store.count("changed") == 1)
    eventually(lambda: not [one for one in threading.enumerate() if one.name == "care-v"])
    calls = len(live.store.calls)
    turns = []
    until_due = live.source._caretaker._until_due
    live.source._caretaker._until_due = lambda: (turns.append(1), until_due())[1]

    def idles():
        turns.clear()  # what that was the end of may be noticed
        threading.Event().wait(0.3)
        return turns == []

    assert eventually(idles)
    assert len(live.store.calls) == calls


def test_where_the_system_gives_no_thread_the_one_that_follows_does_the_work(live, monkeypatch):
    live.store.put("s", {"a": "1"})
    live.store.lends("db/creds/app", duration=0.4)
    start = threading.Thread.start

    def refused(thread):
        if thread.name == "care-v":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    live.read("s")
    lent = live.read("db/creds/app")["username"]
    live.store.put("s", {"a": "2"})
    live.source.resync(["s"], ["s", "db/creds/app"])
    eventually(lambda: live.told() == ["s"])
    eventually(lambda: live.store.count("renew") >= 3, within=120)
    monkeypatch.undo()
    before = live.store.count("renew")
    eventually(lambda: live.store.count("renew") >= before + 3, within=120)
    assert live.store.is_alive(lent)


def test_a_wish_to_look_that_comes_while_a_look_is_under_way_is_another_look(live):
    live.store.put("s", {"a": "1"})
    live.read("s")
    with live.store.holding("s") as held:
        live.source.resync(["s"], ["s"])
        assert held.arrived.wait(30)
        live.source.resync(["s"], ["s"])
    eventually(lambda: live.store.count("changed") == 2)


def test_what_a_reader_fetched_while_the_follower_waited_is_not_fetched_again(live):
    live.store.lends("db/creds/app", duration=600, renewable=False)
    live.store.put("s", {"a": "1"})
    live.read("db/creds/app")
    known = live.source._memory.note(Address("db/creds/app"), "db/creds/app")
    with known.fetching:
        live.store.end_sessions()
        live.read("s")
        eventually(lambda: known.busy)
        live.source._memory.fetch(known)  # what a reader does
    eventually(lambda: not known.busy)
    assert len(live.store.lent) == 2


def test_a_first_answer_after_failures_is_told_to_all_who_failed(rig):
    rig.store.put("s", {"a": "1"})
    rig.store.fail_with(Unavailable("it is down"))
    with pytest.raises(Unavailable):
        rig.read("s")
    rig.store.mend()
    rig.clock.advance(1)
    rig.read("s")

    assert rig.told() == ["s"]
