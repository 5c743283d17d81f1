"""The signals an exec gets, with who sent them; taken by a thread, one after the other.

A terminal sends Ctrl-C to every process in the foreground: to the command too, which is in our group. What anybody else
sends to us is meant for the command and must be passed on. A handler cannot tell the two apart, sigwaitinfo(2) can:
what the kernel sent has SI_KERNEL. So all are blocked, in every thread, and one thread takes them.

Nothing is ever interrupted, therefore: no handler runs, no exception comes out of the middle of a statement. What may
take long is done in a thread (`Signals.run`), while the main thread waits for its end or for a signal, whichever is
first. A thread can be left behind; a handler that raises may strike while something is being cleaned up, and C code
that calls Python may swallow what it raises.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from confsync.clock import SystemClock

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Who sends one of these wants the command to end."""

_SI_KERNEL = 0x80  # asm-generic/siginfo.h; Python does not have it
_TAKEN = (
    *ENDING, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP, signal.SIGCHLD,
)  # fmt: skip

T = TypeVar("T")
R = TypeVar("R")


class Interrupted(Exception):
    """Somebody wants the exec to end before there is a command."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that came.

    Attributes:
        from_terminal: whether the kernel sent it, to all processes in the foreground.
        sender: the process that sent it, or 0.
        at: when it was taken, by the monotonic clock.
    """

    number: int
    from_terminal: bool = False
    sender: int = 0
    at: float = 0.0


class Signals(Generic[T]):
    """Takes signals as events, beside others of type T. Make it in the main thread, before there is any other.

    Attributes:
        before: the signals that were blocked when it was made.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # one who ignores it is not told of a child's end
        self._taken = {one for one in _TAKEN if signal.getsignal(one) is not signal.SIG_IGN}
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, self._taken)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._leads = os.getsid(0) == os.getpid()
        threading.Thread(target=self._take, name="signals", daemon=True).start()

    def put(self, event: T) -> None:
        """Tell the main thread of something else. From any thread."""
        self._events.put(event)

    def wait(self, seconds: float | None) -> Signal | T | None:
        """The next event, or None when so many seconds pass without one."""
        try:
            event: Signal | T = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        return event

    def run(self, work: Callable[[], R]) -> R:
        """Do `work` in a thread: gives what it gives, raises what it raises. Other events are kept for `wait`.

        Raises:
            Interrupted: a signal that is to end us comes, or came before. The thread is left behind, and ends with the
                process at the latest; whoever called closes what it waits for.
        """
        done: Future[R] = Future()
        done.add_done_callback(self._events.put)
        threading.Thread(target=_do, args=(work, done), name="work", daemon=True).start()
        kept = []
        while (event := self._events.get()) is not done:
            if isinstance(event, Signal) and event.number in ENDING:
                raise Interrupted(event.number)
            kept.append(event)
        for event in kept:
            self._events.put(event)
        result: R = done.result()
        return result

    def _take(self) -> None:
        clock = SystemClock()
        while True:
            told = signal.sigwaitinfo(self._taken)
            sender = told.si_pid if told.si_code <= 0 else 0
            self._events.put(Signal(told.si_signo, self._is_for_all(told), sender, clock.monotonic()))

    def _is_for_all(self, told: signal.struct_siginfo) -> bool:
        """Whether the terminal sent it to all in the foreground. That it is gone, only its session's leader is told."""
        return told.si_code == _SI_KERNEL and not (told.si_signo == signal.SIGHUP and self._leads)


def _do(work: Callable[[], R], done: Future[R]) -> None:
    try:
        done.set_result(work())
    except BaseException as exc:  # noqa: BLE001 - it is raised where somebody waits
        done.set_exception(exc)


def stop_like_a_job() -> None:
    """Stop this process, as the command was stopped, so that the shell takes over. Returns when it goes on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def is_job() -> bool:
    """Whether there is a terminal that may stop us, and somebody who wakes us: a session's leader has nobody."""
    if os.getsid(0) == os.getpid():
        return False
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
