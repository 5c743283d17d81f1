"""Whatever happens to a store, in whatever order: no reader gets what is known to be dead, and no change is lost."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from source.addressed_rig import AddressedRig

from confsync.driver import Address
from confsync.errors import Denied, SourceError, Unavailable

STATIC = ("s/1", "s/2")
LEASED = {"db/creds/long": 60.0, "db/creds/once": 40.0}
PATHS = (*STATIC, *LEASED)
SETTLED = 80.0  # seconds in which whatever failed has been tried again


class Store(RuleBasedStateMachine):
    """A store that faults happen to, and one consumer that reads a path again only when it was told to."""

    @initialize()
    def begin(self):
        self.rig = AddressedRig()
        self.store = self.rig.store
        self.store.lends("db/creds/long", duration=60, max_ttl=200)
        self.store.lends("db/creds/once", duration=40, renewable=False)
        for path in STATIC:
            self.store.put(path, {"n": 0})
        self.holds = {}
        self.ended = set()  # users that were ended before their time, which nobody can know
        self.wanted = 0
        self.began = self.rig.clock.monotonic()
        self.endings = 0
        for path in PATHS:
            self.consume(path)

    def consume(self, path):
        try:
            self.holds[path] = self.rig.read(path)
        except SourceError:
            self.holds[path] = "an error"

    def take_notice(self):
        for path in self.rig.told():
            self.consume(path)

    def pass_time(self, seconds):
        step = 1.0
        while seconds > 0:
            self.rig.clock.advance(min(step, seconds))
            self.rig.source.attend()
            self.take_notice()
            seconds -= step

    @rule(path=st.sampled_from(STATIC))
    def write(self, path):
        self.wanted += 1
        self.store.put(path, {"n": self.wanted})

    @rule(path=st.sampled_from(STATIC))
    def delete(self, path):
        self.store.delete(path)

    @rule(path=st.none() | st.sampled_from(PATHS), kind=st.sampled_from([None, "renew", "fetch", "changed"]))
    def break_it(self, path, kind):
        error = Unavailable("it is down") if path is None else Denied("not allowed", key=path)
        self.store.fail_with(error, path, kind)

    @rule()
    def mend_all(self):
        self.store.mend()

    @rule(which=st.sampled_from(["leases", "sessions"]))
    def end_what_was_lent(self, which):
        self.endings += 1
        self.ended |= {name for name in self.store.lent if self.store.is_alive(name)}
        self.store.end_leases() if which == "leases" else self.store.end_sessions()

    @rule(seconds=st.sampled_from([0.5, 5.0, 25.0]), jump=st.sampled_from([0.0, 0.0, -1e6, 1e6]))
    def wait(self, seconds, jump):
        self.rig.clock.wall += jump
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from([30.0, 70.0]))
    def sleep(self, seconds):
        """The machine does: nothing is done meanwhile."""
        self.rig.clock.advance(seconds)

    @rule()
    def resync(self):
        self.rig.source.resync(PATHS, PATHS)
        self.rig.source.attend()
        self.take_notice()

    @rule()
    def settle(self):
        """Once the store is well for a while, everything is as it should be, without anybody asking."""
        self.store.mend()
        self.rig.source.resync(PATHS, PATHS)
        self.pass_time(SETTLED)
        for path in STATIC:
            now = self.store.data(path)
            assert self.holds[path] == now
            assert self.rig.source.problem([Address(path)]) is None
        for path in LEASED:
            assert self.store.is_alive(self.holds[path]["username"]), path
            assert self.rig.source.problem([Address(path)]) is None

    @invariant()
    def nobody_is_given_what_is_known_to_be_dead(self):
        for path in LEASED:
            try:
                name = self.rig.read(path)["username"]
            except SourceError:
                continue
            assert self.store.is_alive(name) or name in self.ended

    @invariant()
    def no_more_is_made_than_is_needed(self):
        elapsed = self.rig.clock.monotonic() - self.began
        most = sum(1 + elapsed / (duration * 0.6) for duration in LEASED.values())
        assert len(self.store.lent) <= most + 2 * self.endings

    @invariant()
    def the_store_is_not_stormed(self):
        elapsed = self.rig.clock.monotonic() - self.began
        assert len(self.store.calls) <= 200 + 40 * elapsed

    def teardown(self):
        if hasattr(self, "rig"):
            self.rig.close()


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=25)
