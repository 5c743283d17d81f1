"""The signals an exec gets, with who sent them; taken by a thread, one after the other.

A terminal sends Ctrl-C to every process in the foreground: to the command too, which is in our group. What anybody else
sends to us is meant for the command and must be passed on. A handler cannot tell the two apart, sigwaitinfo(2) can:
what the kernel sent has SI_KERNEL. So all are blocked, in every thread, and one thread takes them.

While the exec is not waiting but working (it reads the sources), a signal that is to end it must interrupt what the
main thread does: the thread sends it one of its own, for which there is a handler that raises `Interrupted`.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Generic, TypeVar

_SI_KERNEL = 0x80  # asm-generic/siginfo.h; Python does not have it
_INTERRUPT = signal.SIGRTMIN + 7
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TAKEN = (
    *_ENDING, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP,
    signal.SIGCHLD,
)  # fmt: skip

T = TypeVar("T")


class Interrupted(BaseException):
    """Somebody wants the exec to end before there is a command. Not an `Exception`: nobody is to survive it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that came.

    Attributes:
        from_terminal: whether the kernel sent it, to all processes in the foreground.
        sender: the process that sent it, or 0.
    """

    number: int
    from_terminal: bool = False
    sender: int = 0


class Signals(Generic[T]):
    """Takes signals from `start` on, as events beside others of type T. Make it in the main thread, before any other.

    Attributes:
        before: the signals that were blocked when it was made.
    """

    def __init__(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # one who ignores it is not told of a child's end
        self._taken = {one for one in _TAKEN if signal.getsignal(one) is not signal.SIG_IGN}
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, self._taken)
        self._events: queue.SimpleQueue[Signal | T] = queue.SimpleQueue()
        self._main = threading.get_ident()
        self._leads = os.getsid(0) == os.getpid()
        self._wanted: int | None = None
        self._is_working = False
        self._interrupted: int | None = None
        signal.signal(_INTERRUPT, self._interrupt)
        threading.Thread(target=self._take, name="signals", daemon=True).start()

    def put(self, event: T) -> None:
        """Tell the main thread of something else. From any thread."""
        self._events.put(event)

    def wait(self, seconds: float | None) -> Signal | T | None:
        """The next event, or None when so many seconds pass without one."""
        try:
            return self._events.get(timeout=seconds)
        except queue.Empty:
            return None

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise `Interrupted` in this block when a signal comes that is to end us; at once if one came before.

        Raises:
            Interrupted: also where the block has made something else of it, as C code does that calls Python.
        """
        self._is_working = True
        try:
            self._interrupt(_INTERRUPT, None)
            yield
        except Exception as exc:
            if self._interrupted is not None:
                raise Interrupted(self._interrupted) from exc
            raise
        finally:
            self._is_working = False
        if self._interrupted is not None:
            raise Interrupted(self._interrupted)

    def _take(self) -> None:
        while True:
            told = signal.sigwaitinfo(self._taken)
            sender = told.si_pid if told.si_code <= 0 else 0
            self._events.put(Signal(told.si_signo, self._is_for_all(told), sender))
            if told.si_signo in _ENDING:
                self._wanted = told.si_signo
                if self._is_working:
                    signal.pthread_kill(self._main, _INTERRUPT)

    def _is_for_all(self, told: signal.struct_siginfo) -> bool:
        """Whether the terminal sent it to all in the foreground. That it is gone, only its session's leader is told."""
        return told.si_code == _SI_KERNEL and not (told.si_signo == signal.SIGHUP and self._leads)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_working and self._wanted is not None:
            self._is_working = False  # once: what is undone now is not to be interrupted
            self._interrupted = self._wanted
            raise Interrupted(self._wanted)


def stop_like_a_job() -> None:
    """Stop this process, as the command was stopped, so that the shell takes over. Returns when it goes on."""
    os.kill(os.getpid(), signal.SIGSTOP)


def has_terminal() -> bool:
    """Whether there is a terminal that may stop jobs."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
