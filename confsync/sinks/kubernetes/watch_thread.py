"""Keeps a watch going: begins it again whenever it ends, and says so where it cannot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from confsync import backoff
from confsync.clock import Clock
from confsync.sinks.kubernetes.failures import ApiFailure, Unauthorized, Unreachable
from confsync.sinks.kubernetes.outage import Outage, tell_away, tell_back

log = logging.getLogger(__name__)

_SETTLED = 5.0
"""Seconds a watch must have lived for its end to be nothing special."""

_LONGEST_PAUSE_AFTER_END = 1.0
"""Seconds to wait at most where the server is well, but ends every watch early."""

_TOLD_AFTER = 2  # failures in a row: a server that is restarted is back by then
_JOIN = 0.5
"""Seconds to wait for a thread that was stopped; what blocks it for longer is not worth waiting for."""
_BREAKS_OFF = "breaks off"
_OUTAGE = "outage"
_SHARED = (_BREAKS_OFF, _OUTAGE)  # what befalls all watches of a cluster


class WatchThread:
    """A thread that watches until it is stopped. Any thread may use it.

    Args:
        what: what is watched, for people: "secrets in namespace shop of cluster prod".
        watch: watches until that ends; raises ApiFailure where it breaks off or could not begin. It calls `opened`
            when it has begun.
        interrupt: ends the watch that runs, if there is one.
        clock: what it is measured with how long a watch lived.
        outage: the cluster's; what keeps all watches away is told once for all that share it.
    """

    def __init__(
        self,
        what: str,
        watch: Callable[[], None],
        interrupt: Callable[[], None],
        clock: Clock,
        outage: Outage | None = None,
    ) -> None:
        self._what = what
        self._watch = watch
        self._interrupt = interrupt
        self._clock = clock
        self._outage = outage or Outage()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._again = threading.Event()
        self._opened_at: float | None = None
        self._failures = 0
        self._told = ""  # the trouble that was logged and is not over

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begins; nothing where it began already. One that was stopped ends at once."""
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name=f"watch {self._what}", daemon=True)
            self._thread.start()

    def stop(self, *, wait: bool = True) -> None:
        """Ends it; idempotent.

        Args:
            wait: whether to return only when it has ended, or after a second: one that waits for a server that does
                not answer ends when that times out.
        """
        self._stopping.set()
        self._outage.leave(self)
        self._again.set()
        self._interrupt()
        thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN)

    def try_again(self) -> None:
        """Cuts a pause short: somebody else has just been answered."""
        if threading.current_thread() is not self._thread:
            self._again.set()

    def opened(self) -> None:
        """The watch has begun; called by `watch`."""
        self._opened_at = self._clock.monotonic()
        if self._told and self._told != _BREAKS_OFF:
            self._tell_over()

    def has_settled(self) -> bool:
        """Whether the watch has lived long enough to be believed that it works."""
        return self._opened_at is not None and self._clock.monotonic() - self._opened_at >= _SETTLED

    def _run(self) -> None:
        while not self.is_stopping:
            self._again.clear()
            pause = self._run_once()
            if pause and not self.is_stopping:
                self._again.wait(pause)

    def _run_once(self) -> float:
        """Seconds to wait after a watch."""
        self._opened_at = None
        try:
            self._watch()
        except ApiFailure as failure:
            return self._failed(failure)
        except Exception:  # a mistake of ours must not end the thread: nobody would notice
            log.exception("a bug: please report it", extra={"watch": self._what})
            return backoff.delay(self._count_failure())
        return self._ended()

    def _ended(self) -> float:
        if self.is_stopping or self.has_settled():
            self._note_settled()
            return 0.0
        failures = self._count_failure()
        self._tell_trouble(_BREAKS_OFF, "the server ends it as soon as it has begun")
        return min(backoff.delay(failures), _LONGEST_PAUSE_AFTER_END)

    def _failed(self, failure: ApiFailure) -> float:
        failures = self._count_failure()
        began = self._opened_at is not None
        self._tell_trouble(_BREAKS_OFF if began else _kind(failure), str(failure))
        pause = backoff.delay(failures)
        return pause if failure.retry_after is None else max(pause, min(failure.retry_after, backoff.CEILING))

    def _count_failure(self) -> int:
        """How many there were in a row, with this one."""
        if self.has_settled():
            self._note_settled()
        self._failures += 1
        return self._failures

    def _note_settled(self) -> None:
        self._failures = 0
        if self._told:
            self._tell_over()

    def _tell_trouble(self, trouble: str, error: str) -> None:
        """Logs what keeps changes from being seen, once for as long as it is the same."""
        if self._failures < _TOLD_AFTER or trouble == self._told or self.is_stopping:
            return
        if trouble in _SHARED:
            self._outage.away(self, self._what, error)
            if self.is_stopping:  # `stop` came before it was away
                self._outage.leave(self)
        else:
            self._outage.leave(self)
            tell_away(self._what, error)
        self._told = trouble

    def _tell_over(self) -> None:
        if self._told in _SHARED:
            self._outage.back(self, self._what)
        else:
            tell_back(self._what)
        self._told = ""


def _kind(failure: ApiFailure) -> str:
    """What is the same trouble; a right that is missing is missing in one namespace, for one kind and verb."""
    if isinstance(failure, Unreachable | Unauthorized):
        return _OUTAGE
    return f"{type(failure).__name__} {failure.asked.verb}"
