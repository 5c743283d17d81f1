"""The work queue: a state machine over everything it promises, with a clock the test moves."""

from __future__ import annotations

import threading

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from confsync.reconcile.queue import WorkQueue

LANES = {"a": "", "b": "", "c": "slow"}
ITEMS = st.sampled_from(list(LANES))


class FakeClock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


class QueueMachine(RuleBasedStateMachine):
    """Never two workers on one item, and no wish to look is ever lost."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.queue = WorkQueue(self.clock, LANES.__getitem__)
        self.working: set[str] = set()
        self.owed: set[str] = set()  # added without delay and not yet taken since
        self.later: dict[str, float] = {}  # the latest time at which it must have become due

    @rule(item=ITEMS)
    def add(self, item: str) -> None:
        self.queue.add(item)
        self.owed.add(item)
        self.later.pop(item, None)

    @rule(item=ITEMS, delay=st.sampled_from([0.5, 1.0, 5.0]))
    def add_later(self, item: str, delay: float) -> None:
        self.queue.add(item, delay)
        if item not in self.owed:
            due = self.clock.time + delay
            self.later[item] = min(due, self.later.get(item, due))

    @rule(item=ITEMS)
    def settle(self, item: str) -> None:
        self.queue.settle(item, 1.0, 3.0)
        if item not in self.owed:
            bound = self.clock.time + 3.0
            self.later[item] = min(bound, self.later.get(item, bound))

    @rule(seconds=st.sampled_from([0.3, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.time += seconds
        for item, due in list(self.later.items()):
            if due <= self.clock.time:
                self.owed.add(item)
                del self.later[item]

    @precondition(lambda self: self.owed - self.working)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        assert not self.queue.idle()
        lane = data.draw(st.sampled_from(sorted({LANES[item] for item in self.owed - self.working})))
        assert self.queue._lanes[lane].ready, "something is owed and nobody could take it"
        item = self.queue.take(lane)
        assert item is not None
        assert LANES[item] == lane
        assert item not in self.working
        self.working.add(item)
        self.owed.discard(item)
        self.later.pop(item, None)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.working)))
        self.queue.done(item)
        self.working.discard(item)

    @invariant()
    def what_is_owed_makes_it_busy(self) -> None:
        if self.owed or self.working:
            assert not self.queue.idle()


QueueMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestQueue = QueueMachine.TestCase


def test_an_item_added_twice_is_handled_once() -> None:
    queue = WorkQueue(FakeClock())
    queue.add("a")
    queue.add("a")

    assert queue.take() == "a"
    queue.done("a")
    assert queue.idle()


def test_an_item_added_while_it_is_handled_is_handled_again_afterwards() -> None:
    queue = WorkQueue(FakeClock())
    queue.add("a")
    queue.take()
    queue.add("a")
    queue.add("b")

    assert queue.take() == "b"
    queue.done("a")
    assert queue.take() == "a"


def test_settle_waits_for_quiet_but_not_for_ever() -> None:
    clock = FakeClock()
    queue = WorkQueue(clock)
    still_waiting = []
    for _ in range(4):
        queue.settle("a", 1.0, 3.0)
        clock.time += 0.9
        still_waiting.append(queue.idle())

    assert still_waiting == [True, True, True, False]


def test_shutting_down_hands_out_what_is_due_and_then_none() -> None:
    queue = WorkQueue(FakeClock())
    queue.add("a")
    queue.add("b", delay=5)
    queue.shut_down()

    assert queue.take() == "a"
    queue.done("a")
    assert queue.take() is None


def test_shutting_down_wakes_a_waiting_worker() -> None:
    queue = WorkQueue(FakeClock())
    taken: list[str | None] = []
    worker = threading.Thread(target=lambda: taken.append(queue.take()))
    worker.start()
    queue.shut_down()
    worker.join(30)

    assert taken == [None]


def test_each_lane_is_staffed_once_when_it_is_first_needed() -> None:
    queue = WorkQueue(FakeClock(), LANES.__getitem__)
    hired: list[str] = []
    queue.add("a")
    queue.staff(hired.append)
    queue.add("b")
    queue.add("c", delay=5)

    assert hired == ["", "slow"]


def test_a_lane_is_served_though_nobody_takes_from_the_others() -> None:
    queue = WorkQueue(FakeClock(), LANES.__getitem__)
    queue.add("a")
    queue.add("c")

    assert queue.take("slow") == "c"
    queue.shut_down()
    assert queue.take("slow") is None
    assert queue.take() == "a"
