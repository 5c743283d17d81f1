"""What is known of one address of an addressed source."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from confsync.clock import Clock
from confsync.driver import Address, Secret
from confsync.errors import SourceError
from confsync.source.lease_clock import LeaseClock

_ALARM = 1 / 6  # of a lease's time: when so little is left and it cannot be renewed, somebody should know


class Stage(IntEnum):
    """How bad it is that something cannot be read or renewed."""

    EARLY = 0
    ENDING = 1
    OVER = 2


@dataclass(slots=True)
class Known:
    """One address. Its fields change under the memory's lock; `fetching` lets one thread ask.

    Attributes:
        names: how renders spell it; none where nobody has read it since this process began.
        kept: whether it is of an earlier process, and has not been renewed since.
        error: why it could not be asked, or its lease renewed, last time.
        trouble: the same for people, with the end of its lease.
        stage: how bad it was when `trouble` was written.
        since: seconds since the epoch.
        failures: how often in a row.
        retry_at: before this nobody asks again.
        used: when a render last wanted it.
        idle: whether nobody wants it any more: its lease ends by itself.
        check: whether somebody wants to know if it changed.
        dynamic: whether fetching it makes something, as far as anybody has asked.
        busy: whether a thread is to look after it.
        withheld: whether its address is made of a secret, so that nobody may be told of it.
    """

    address: Address
    names: set[str] = field(default_factory=set)
    secret: Secret | None = None
    clock: LeaseClock | None = None
    kept: bool = False
    error: SourceError | None = None
    trouble: str = ""
    stage: Stage = Stage.EARLY
    since: float | None = None
    failures: int = 0
    retry_at: float = -math.inf
    used: float = 0.0
    idle: bool = False
    check: bool = False
    dynamic: bool = False
    busy: bool = False
    withheld: bool = False
    fetching: threading.Lock = field(default_factory=threading.Lock)

    @property
    def told_as(self) -> set[str]:
        """What an event calls it: of a listing, something that lies below what was listed."""
        return {f"{name}/" for name in self.names} if is_listing(self.address) else set(self.names)

    def is_alive(self, now: float) -> bool:
        """Whether there is something, and it is not over."""
        return self.secret is not None and (self.clock is None or now < self.clock.ends)

    def is_of_old_session(self, session: int) -> bool:
        """Whether the login that it ends with is not the present one."""
        return self.clock is not None and self.secret is not None and self.secret.session not in (0, session)

    def is_unconfirmed(self, now: float) -> bool:
        """Whether only the store can tell that an earlier process's lease is alive, and it can be asked now."""
        return self.kept and self.clock is not None and self.clock.due <= now and now >= self.retry_at

    def is_good(self, now: float, session: int) -> bool:
        """Whether it may be used: also where nobody could look lately, never where it may have ended."""
        return self.is_alive(now) and not self.is_of_old_session(session) and not self.is_unconfirmed(now)

    def stage_at(self, now: float) -> Stage:
        """How bad it is now that it cannot be read or renewed."""
        if self.clock is None:
            return Stage.EARLY
        if now >= self.clock.ends:
            return Stage.OVER
        return Stage.ENDING if now >= self._alarm else Stage.EARLY

    def next_try(self, now: float, pause: float) -> float:
        """When to ask again: after a pause, but no later than it gets worse."""
        worse = [] if self.clock is None else [self._alarm, self.clock.ends]
        return min([now + pause, *(moment for moment in worse if moment > now)])

    def describe(self, error: SourceError, clock: Clock) -> str:
        """What is wrong with it, and until when what is known of it is good."""
        path = self.address.path
        text = str(error) if path in str(error) else f"{path}: {error}"
        if self.withheld:
            text = f"a secret whose path is made of another cannot be read: {type(error).__name__}"
        if self.clock is None:
            return text
        left = self.clock.ends - clock.monotonic()
        end = datetime.fromtimestamp(clock.now() + left, UTC).isoformat(timespec="seconds")
        return f"{text}; its lease {'ends' if left > 0 else 'ended'} at {end.replace('+00:00', 'Z')}"

    @property
    def _alarm(self) -> float:
        assert self.clock is not None  # noqa: S101 - for whoever has a lease
        return self.clock.ends - self.clock.granted * _ALARM


def is_listing(address: Address) -> bool:
    """A path that ends in a slash stands for the names below it."""
    return address.path.endswith("/")
