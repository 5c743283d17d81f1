"""Watches over the command of an exec: passes signals on, replaces or tells it when its values change, learns its end.

- A signal that the terminal sent, or the command itself (`kill 0`), the command has already, unless it was not there
  yet; all others are passed on.
- After SIGTERM to us the command has `patience` to end; then it is killed. Other signals mean what it makes of them.
- When it is stopped at a terminal (Ctrl-Z), we stop too, so that the shell takes over; what wakes us wakes it.
- When it ends by itself, or after somebody wanted all to end, that is the end.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass

from confsync import backoff
from confsync.clock import Clock
from confsync.environments.execution.child import Child, Exited, NotStarted, Stopped
from confsync.environments.execution.provision import Changes, Provision
from confsync.environments.execution.scratch import Scratch
from confsync.environments.execution.signalling import ENDING, Signal, Signals, is_job, stop_like_a_job
from confsync.errors import ConfsyncError
from confsync.text import plural

log = logging.getLogger(__name__)

RESTART = "restart"


@dataclass(frozen=True, slots=True)
class _Postponed:
    """What the command could not be given so far.

    Attributes:
        at: when it is tried again.
    """

    provision: Provision
    error: str
    failures: int
    at: float


class Supervisor:
    """Belongs to the main thread.

    Args:
        begin: starts the command with the variables of a provision.
        check: raises `ConfsyncError` where it could not be started with them.
        scratch: where its files are, or None where it has none.
        on_change: RESTART, the signal to send, or None to leave it as it is.
        patience: seconds the command may take to end after SIGTERM.
    """

    def __init__(
        self,
        signals: Signals[Provision],
        begin: Callable[[Provision], Child],
        check: Callable[[Provision], None],
        scratch: Scratch | None,
        *,
        on_change: int | str | None,
        patience: float,
        clock: Clock,
    ) -> None:
        self._signals = signals
        self._begin = begin
        self._check = check
        self._scratch = scratch
        self._on_change = on_change
        self._patience = patience
        self._clock = clock
        self._is_job = is_job()
        self._next: tuple[Provision, str | None] | None = None
        self._postponed: _Postponed | None = None
        self._kill_at: float | None = None
        self._is_to_end = False
        self._asked_until = 0.0
        self._runs = False

    def run(self, current: Provision, attend: Callable[[], None]) -> int:
        """Start the command and see it through. However this ends, the command has ended.

        Args:
            attend: does what can wait until the command runs.

        Returns:
            Its exit status, as a shell has it.

        Raises:
            NotStarted: it cannot be started.
        """
        try:
            self._start(current)
            attend()
            ended = None
            while ended is None:
                ended = self._handle(self._signals.wait(self._left()))
            return ended.status
        finally:
            if self._runs:
                self._end_it()

    def _start(self, provision: Provision) -> None:
        self._current = provision
        self._child = self._begin(provision)
        self._runs = True

    def _left(self) -> float | None:
        """Seconds until something is due, or None."""
        retry_at = None if self._postponed is None else self._postponed.at
        due = [at for at in (self._kill_at, retry_at) if at is not None]
        return max(0.0, min(due) - self._clock.monotonic()) if due else None

    def _handle(self, event: Signal | Provision | None) -> Exited | None:
        """Do what one event asks for. Returns the command's end, where that is the end of all."""
        if event is None:
            self._do_what_is_due()
        elif isinstance(event, Provision):
            self._changed(event)
        elif event.number == signal.SIGCHLD:
            return self._look()
        else:
            self._pass_on(event)
        return None

    def _do_what_is_due(self) -> None:
        now = self._clock.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            log.warning("the command did not end after SIGTERM; it is killed")
            self._child.signal(signal.SIGKILL)
            self._kill_at = None
        elif self._postponed is not None and now >= self._postponed.at:
            self._changed(self._postponed.provision)

    def _look(self) -> Exited | None:
        try:
            found = self._child.look()
        except NotStarted:
            self._runs = False
            raise
        if isinstance(found, Stopped) and self._is_job:
            stop_like_a_job()
        if not isinstance(found, Exited):
            return None
        self._runs = False
        if self._next is None or self._is_to_end or self._clock.monotonic() < self._asked_until:
            return found
        self._replace()
        return None

    def _pass_on(self, event: Signal) -> None:
        if event.number in ENDING:
            self._is_to_end = self._is_to_end or self._next is not None or event.number == signal.SIGTERM
            # It may be ending still when values change.
            self._asked_until = self._clock.monotonic() + self._patience
        if event.number == signal.SIGCONT:
            if self._child.is_stopped():
                self._child.signal(signal.SIGCONT)
            return
        if self._has(event):
            return
        self._child.signal(event.number)
        if event.number == signal.SIGTERM:
            self._be_patient()

    def _has(self, event: Signal) -> bool:
        """Whether it reached the command too."""
        if event.sender == self._child.pid:
            return True
        return event.from_terminal and event.at >= self._child.began and self._child.is_in_our_group()

    def _be_patient(self) -> None:
        if self._kill_at is None:
            self._kill_at = self._clock.monotonic() + self._patience

    # Values that change

    def _changed(self, new: Provision) -> None:
        changes = Changes.between(self._next[0] if self._next else self._current, new)
        if self._is_to_end or not (changes.variables or changes.files):
            log.debug("looked again: nothing that the command has is another")
            self._postponed = None
            return
        if self._on_change is None:
            log.warning("values changed; the command goes on with the old ones", extra=changes.facts())
            self._current = new
            return
        try:
            if self._on_change == RESTART:
                self._check(new)
                self._restart(new, self._staged(new), changes)
            else:
                self._switch(self._staged(new))
                self._tell(new, changes)
            self._postponed = None
        except ConfsyncError as exc:
            self._postpone(new, str(exc))

    def _postpone(self, new: Provision, error: str) -> None:
        """Try again later: there may be room on a disk again, and no other change may come."""
        before = self._postponed
        if before is None or before.error != error:
            log.error("values changed; the command goes on with the old ones", extra={"error": error})
        failures = before.failures + 1 if before else 1
        at = self._clock.monotonic() + backoff.delay(failures)
        self._postponed = _Postponed(new, error, failures, at)

    def _staged(self, new: Provision) -> str | None:
        return None if self._scratch is None else self._scratch.stage(new.files)

    def _tell(self, new: Provision, changes: Changes) -> None:
        """Send the signal, now that the files are new; variables of a running process cannot be changed."""
        if changes.variables:
            log.warning(
                "variables changed, which only a new start gives to the command",
                extra={"variables": ", ".join(changes.variables)},
            )
        self._current = new
        if changes.files:
            assert isinstance(self._on_change, int)  # noqa: S101 - it is no restart
            log.warning(
                f"{plural(len(changes.files), 'file')} changed; the command is told",
                extra={"files": ", ".join(changes.files), "signal": signal.Signals(self._on_change).name},
            )
            self._child.signal(self._on_change)

    def _restart(self, new: Provision, version: str | None, changes: Changes) -> None:
        if self._next is not None:  # it is ending already, for a change before this one
            self._drop(self._next[1])
            log.debug("values changed again before the command has ended")
        else:
            log.warning("values changed; the command is restarted", extra=changes.facts())
            self._child.signal(signal.SIGTERM)
            self._child.signal(signal.SIGCONT)
            self._be_patient()
        self._next = new, version

    def _replace(self) -> None:
        """Start the command anew, now that the one before has ended."""
        assert self._next is not None  # noqa: S101 - somebody wanted it
        (new, version), self._next, self._kill_at = self._next, None, None
        try:
            self._switch(version)
        except ConfsyncError as exc:  # not tried again: that would be a restart each time
            log.error("the command is started with the old values", extra={"error": str(exc)})
            new = self._current
        self._start(new)

    def _switch(self, version: str | None) -> None:
        if self._scratch is not None and version is not None:
            self._scratch.switch(version)

    def _drop(self, version: str | None) -> None:
        if self._scratch is not None and version is not None:
            self._scratch.drop(version)

    def _end_it(self) -> None:
        """End the command because we cannot go on."""
        self._child.signal(signal.SIGTERM)
        self._child.signal(signal.SIGCONT)
        self._be_patient()
        while not isinstance(self._child.look(), Exited):
            if self._signals.wait(self._left()) is None:
                self._child.signal(signal.SIGKILL)
                self._kill_at = None
