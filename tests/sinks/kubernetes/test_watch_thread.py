"""A watch is begun again whenever it ends, and whoever runs confsync is told where it cannot be."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from stand_ins.watched import SteeredClock

from confsync.sinks.kubernetes.failures import ApiFailure, Asked, Forbidden, Unreachable
from confsync.sinks.kubernetes.outage import Outage
from confsync.sinks.kubernetes.resources import SECRET
from confsync.sinks.kubernetes.watch_thread import WatchThread
from confsync.testing.waiting import eventually

WATCH = Asked("prod", "watch", SECRET, "shop")
LIST = Asked("prod", "list", SECRET, "shop")


class Script:
    """What each watch does, one after the other; the last goes on until it is interrupted.

    Attributes:
        began: when each began, by the machine's clock.
    """

    def __init__(self, *steps: Step, outage: Outage | None = None) -> None:
        self.steps = list(steps)
        self.began: list[float] = []
        self.clock = SteeredClock()
        self._interrupted = threading.Event()
        self.thread = WatchThread(
            "secrets in namespace shop", self.watch, self._interrupted.set, self.clock, outage
        )

    def watch(self) -> None:
        self.began.append(time.monotonic())
        if len(self.began) <= len(self.steps):
            self.steps[len(self.began) - 1](self)
            return
        self.thread.opened()
        self._interrupted.wait(120)

    def lives(self) -> bool:
        return len(self.began) == len(self.steps) + 1


@pytest.fixture
def play() -> Iterator[Callable[..., Script]]:
    """Begin a script; ended with the test."""
    scripts: list[Script] = []

    def play(*steps: Step, outage: Outage | None = None) -> Script:
        scripts.append(Script(*steps, outage=outage))
        scripts[-1].thread.start()
        return scripts[-1]

    yield play
    for script in scripts:
        script.thread.stop()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The levels of what was logged so far."""
    caplog.set_level(logging.INFO, logger="confsync")
    return lambda: [record.levelname for record in caplog.records]


Step = Callable[[Script], None]


def refused(failure: ApiFailure) -> Step:
    """A watch that cannot begin."""

    def step(script: Script) -> None:
        raise failure

    return step


def broken_after(seconds: float) -> Step:
    """A watch whose connection is lost after it lived for so long."""

    def step(script: Script) -> None:
        script.thread.opened()
        script.clock.advance(seconds)
        raise Unreachable(WATCH, "the connection was lost")

    return step


def test_one_failure_is_not_worth_a_line(play: Callable[..., Script], log: Callable[[], list[str]]) -> None:
    script = play(refused(Unreachable(WATCH, "no connection")))

    assert eventually(script.lives)
    assert log() == []


def test_the_same_trouble_is_told_once_and_when_it_is_over(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    script = play(*[refused(Unreachable(WATCH, "no connection"))] * 3)

    assert eventually(script.lives)
    assert eventually(lambda: log() == ["WARNING", "INFO"])


def test_another_trouble_is_told_as_well(
    play: Callable[..., Script], log: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    script = play(
        refused(Unreachable(LIST, "no connection")),
        refused(Forbidden(LIST, "may not list")),
        refused(Forbidden(WATCH, "may not watch")),
    )

    assert eventually(script.lives)
    assert eventually(lambda: log() == ["WARNING", "WARNING", "INFO"])
    assert ["may not list" in caplog.records[0].error, "may not watch" in caplog.records[1].error] == [
        True
    ] * 2


def test_an_outage_is_told_once_for_the_cluster(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    """Two are back while the third still waits; only then is it over."""
    outage, repaired = Outage(), threading.Event()

    def last(script: Script) -> None:
        repaired.wait(120)
        raise Unreachable(WATCH, "no connection")

    away = [refused(Unreachable(WATCH, "no connection"))] * 2
    late = play(*away, last, outage=outage)
    assert eventually(lambda: len(late.began) == 3)
    others = [play(*away, outage=outage) for _ in range(2)]

    assert eventually(lambda: all(script.lives() for script in others))
    assert log() == ["WARNING"]
    repaired.set()
    assert eventually(lambda: log() == ["WARNING", "INFO"])


def test_what_is_stopped_in_an_outage_is_not_waited_for(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    outage, repaired = Outage(), threading.Event()

    def waiting(script: Script) -> None:
        repaired.wait(120)
        raise Unreachable(WATCH, "no connection")

    away = [refused(Unreachable(WATCH, "no connection"))] * 2
    stopped, other = (play(*away, waiting, outage=outage) for _ in range(2))
    assert eventually(lambda: len(stopped.began) == len(other.began) == 3)
    stopped.thread.stop(wait=False)
    repaired.set()

    assert eventually(lambda: log() == ["WARNING", "INFO"])


def test_a_right_that_is_missing_is_told_for_each(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    outage = Outage()
    scripts = [play(*[refused(Forbidden(WATCH, "may not watch"))] * 2, outage=outage) for _ in range(2)]

    assert eventually(lambda: all(script.lives() for script in scripts))
    assert eventually(lambda: sorted(log()) == ["INFO", "INFO", "WARNING", "WARNING"])


def test_connections_that_break_off_after_long_are_nothing_special(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    script = play(*[broken_after(60)] * 4)

    assert eventually(script.lives)
    assert log() == []


def test_connections_that_all_break_off_at_once_are_told_of_once(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    outage = Outage()
    play(*[broken_after(1)] * 2, outage=outage)  # and never known to hold
    others = [play(*[broken_after(1)] * 2, outage=outage) for _ in range(2)]

    assert eventually(lambda: all(script.lives() for script in others))
    assert log() == ["WARNING"]


def test_connections_that_break_off_at_once_are_told_until_one_holds(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    script = play(broken_after(1), broken_after(1), broken_after(1), broken_after(5))

    assert eventually(script.lives)
    assert log() == ["WARNING", "INFO"]


def test_the_server_says_when_to_come_again(play: Callable[..., Script]) -> None:
    script = play(refused(Unreachable(WATCH, "too many requests", status=429, retry_after=0.4)))

    assert eventually(script.lives)
    assert script.began[1] - script.began[0] >= 0.4


def test_a_long_pause_ends_with_stop(play: Callable[..., Script], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confsync.backoff.CEILING", 3600.0)
    script = play(refused(Unreachable(WATCH, "too many requests", status=429, retry_after=3600)))
    assert eventually(lambda: len(script.began) == 1)
    script.thread.stop()

    assert eventually(lambda: not watching())
    assert len(script.began) == 1


def test_what_was_stopped_before_it_began_never_does() -> None:
    script = Script()
    script.thread.stop()
    script.thread.start()

    assert eventually(lambda: not watching())
    assert script.began == []


def test_it_may_be_stopped_by_what_it_watches(
    play: Callable[..., Script], log: Callable[[], list[str]]
) -> None:
    script = play(lambda script: script.thread.stop())

    assert eventually(lambda: len(script.began) == 1)
    assert eventually(lambda: not watching())
    assert log() == []


def watching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]
