"""How requests go to an addressed store: waiting a little while it is busy, failing at once while it is down.

A store that does not answer is tried again by whoever comes first after a pause that doubles; everybody else is told
what was found. So a thousand syncs do not storm a store that has just come back, and the first answer serves them all.

It is down where a request was not answered, and no other was meanwhile. A path that is limited or hangs, while others
are answered, concerns only those who want it.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import TypeVar

from confsync import backoff
from confsync.clock import Clock
from confsync.driver import AddressedBackend
from confsync.errors import SourceError, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE = 10.0
"""Seconds for which a store that says it is busy is asked again before a request fails."""

_PATIENCE_FOLLOWED = 2.0
"""The same in a daemon, where whoever reads holds a worker, and the read is repeated anyway."""

_AT_FIRST = 2
"""Readers that may wait in a daemon for a store that has not answered yet: each holds a worker."""

_GRACE = 1.0
"""Seconds from when the first of them asked, before the others are told that it has not answered."""


class Asking:
    """Makes requests to one store. Thread-safe.

    Args:
        on_news: called when it answers again, and when somebody logged in; must not block.

    Attributes:
        followed: whether this is a daemon.
        session: the login that the last answer came in.
    """

    def __init__(
        self, name: str, backend: AddressedBackend, clock: Clock, on_news: Callable[[bool], None]
    ) -> None:
        self.followed = False
        self.session = 0
        self._name = name
        self._backend = backend
        self._clock = clock
        self._on_news = on_news
        self._lock = threading.Lock()
        self._down: SourceError | None = None
        self._failures = 0
        self._until = -math.inf
        self._answers = 0  # so far, good or bad
        self._readers = threading.Condition()
        self._reading, self._reading_since = 0, 0.0
        self._bugs: set[str] = set()
        self._closed = threading.Event()

    @property
    def down(self) -> SourceError | None:
        """Why the store does not answer, or None."""
        return self._down

    @property
    def answers(self) -> int:
        """How many there have been so far, good or bad."""
        return self._answers

    def pause(self) -> float | None:
        """Seconds until somebody may try again, where the store is down."""
        with self._lock:
            return None if self._down is None else max(0.0, self._until - self._clock.monotonic())

    @property
    def closed(self) -> bool:
        """Whether nothing is asked any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """End all waiting; refuse what comes now."""
        self._closed.set()

    def ask(
        self, call: Callable[[], T], *, proves: Callable[[T], bool] = lambda _: True, once: bool = False
    ) -> T:
        """Make one request; while the store says that it will answer soon, wait for it a little.

        Args:
            proves: whether an answer shows that the store can be reached: not where the driver may have known it.
            once: not to be repeated: it may have made something though its answer was lost.

        Raises:
            SourceError: what the driver raised; for anything else it raised, Unavailable.
        """
        deadline = self._clock.monotonic() + (_PATIENCE_FOLLOWED if self.followed else _PATIENCE)
        failures = 0
        while True:
            self._refuse_when_closed()
            answers = self._answers
            try:
                answer = call()
                if proves(answer):
                    self._note_up()
            except Unavailable as exc:
                failures += 1
                pause = None
                if exc.retry_after is not None and not once:
                    pause = max(exc.retry_after, backoff.delay(failures))
                if pause is None or self._clock.monotonic() + pause > deadline or self._closed.wait(pause):
                    self._note_down(exc, answers)
                    raise
            except SourceError:
                self._note_up()  # a refusal is an answer
                raise
            except Exception as exc:
                raise self.bug(exc) from exc
            else:
                return answer

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What somebody does who reads, and may have to wait for the store: it holds few workers before it answers.

        Raises:
            Unavailable: others wait for it already.
        """
        with self._readers:
            now = self._clock.monotonic()
            if self._reading == 0:
                self._reading_since = now
            grace = 0.0 if self._down else max(0.0, self._reading_since + _GRACE - now)
            if not self._readers.wait_for(self._may_read, grace):
                raise again(self._down or Unavailable(f"{self._backend.address}: it has not answered yet"))
            self._reading += 1
        try:
            yield
        finally:
            with self._readers:
                self._reading -= 1
                self._readers.notify_all()

    def _may_read(self) -> bool:
        if not self.followed or self.closed:
            return True
        if self._down is not None:
            return self._reading == 0
        return self._answers > 0 or self._reading < _AT_FIRST

    def refuse_while_down(self) -> None:
        """Raise again what was found, where somebody found the store down and it is too early to try again.

        Who is not refused tries, so that the others may wait for what that finds.
        """
        with self._lock:
            if self._down is None:
                return
            now = self._clock.monotonic()
            if now < self._until:
                raise again(self._down)
            self._until = now + backoff.delay(self._failures)

    def bug(self, error: Exception) -> Unavailable:
        """What to raise for an error that no driver may raise; told once.

        Whatever a driver gets wrong must end no thread. Its text may hold a secret: messages have its type only.
        """
        name = type(error).__name__
        if name not in self._bugs and not self.closed:
            self._bugs.add(name)
            log.error("a bug in a backend: please report it", exc_info=error, extra={"source": self._name})
        return Unavailable(f"the backend failed in a way it should not: {name}", hint="see the log")

    def took_up(self) -> int:
        """The driver has been given an earlier process's login; its number, or 0 where it did not take it."""
        self.session = self._backend.session
        return self.session

    def _refuse_when_closed(self) -> None:
        if self.closed:
            raise Unavailable(f"{self._backend.address}: confsync is ending")

    def _note_down(self, error: Unavailable, answers: int) -> None:
        """A request failed that was sent when there had been so many answers."""
        if is_of_the_path(error):
            return
        with self._lock:
            if self._answers != answers:
                return  # others have been answered since
            first = self._down is None
            self._down = self._of_the_store(error)
            self._failures += 1
            self._until = self._clock.monotonic() + backoff.delay(self._failures)
        if first and not self.closed:
            # Who asks once gets the error, and tells it.
            level = logging.WARNING if self.followed else logging.INFO
            log.log(level, "source cannot be read", extra={"source": self._name, "error": str(self._down)})

    def _of_the_store(self, error: Unavailable) -> SourceError:
        """The error without the path it was found at, which is no matter of others, and may be made of a secret."""
        if error.key is None:
            return again(error)
        marked = error.message.replace(error.key, "\0").split(": ")
        kept = ": ".join(part for part in marked if "\0" not in part)
        told = kept if len(marked) > len(kept.split(": ")) else f"{self._backend.address} does not answer"
        return Unavailable(told, hint=error.hint, retry_after=error.retry_after)

    def _note_up(self) -> None:
        with self._lock:
            self._answers += 1
            was_down, self._down, self._failures = self._down is not None, None, 0
            before, self.session = self.session, self._backend.session
            logged_in = self.session != before
        with self._readers:
            self._readers.notify_all()
        if was_down:
            log.info("source answers again", extra={"source": self._name})
        if was_down or logged_in:
            self._on_news(was_down)


def is_of_the_path(error: SourceError) -> bool:
    """Whether it says nothing of the rest of the store: it names what is out of order, or says that it is busy.

    A store that limits requests, or has not caught up, does so for some paths and answers the others.
    """
    return error.key is not None or (isinstance(error, Unavailable) and error.retry_after is not None)


def again(error: SourceError, message: str | None = None) -> SourceError:
    """The same error, to be raised another time: what is raised gathers tracebacks, which hold on to secrets.

    Args:
        message: what it says instead.
    """
    fresh = copy(error)
    fresh.__cause__ = error.__cause__
    if message is not None:
        fresh.args, fresh.message, fresh.hint = (message,), message, None
    return fresh
