"""Faults that hold requests up."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from .fault_queue import FaultQueue

RUNNING = threading.Event()


@dataclass
class Fault:
    times: int | None = None
    hits: int = 0


def test_who_is_hit_is_let_go_though_it_does_not_wait_yet() -> None:
    faults: FaultQueue[Fault] = FaultQueue()
    fault = faults.add(Fault())
    assert faults.first(lambda _: True) is fault

    faults.clear()

    faults.wait(3600, RUNNING)


def test_who_is_hit_after_others_were_let_go_waits() -> None:
    faults: FaultQueue[Fault] = FaultQueue()
    fault = faults.add(Fault())
    faults.first(lambda _: True)
    faults.let_go()
    over: list[bool] = []

    def ask() -> None:
        faults.first(lambda _: True)
        asked.set()
        faults.wait(3600, RUNNING)
        over.append(True)

    asked = threading.Event()
    request = threading.Thread(target=ask)
    request.start()
    assert asked.wait(30)
    assert not over
    faults.let_go()
    request.join(30)

    assert (over, fault.hits) == ([True], 2)
