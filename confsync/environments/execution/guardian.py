"""Cleans up after an exec that could not: a program of its own that costs milliseconds, with no secret in it.

    python -I -S guardian.py DIRECTORY PATIENCE

It reads a pipe that only the exec writes to, the process id of each command it starts, a line each. When the pipe ends
the exec is gone, by whatever: SIGKILL too. The kernel has sent its command SIGTERM then (see starter.py); one that
still runs after PATIENCE seconds is killed, and DIRECTORY is removed. After an orderly end there is neither.

It is in a session of its own and is started with every signal blocked that people send: whoever wants it to end ends
the exec. It imports nothing of confsync: it is started before that is loaded.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import stat
import sys

_GLANCE = 0.02  # seconds
_TO_DIE = 5.0  # seconds a killed process may take: it may be in the middle of a write
_TRIES = 10


class Running:
    """A process that is not our child. Its start time tells it from a later one with the same number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._started = _stat(pid)[1]

    def is_alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        state, started = _stat(self.pid)
        return started is not None and started == self._started and state not in ("Z", "X")

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there and ours."""
        try:
            if self.is_alive():
                os.kill(self.pid, number)
        except OSError:
            return

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end."""
        poller = select.poll()
        for _ in range(int(seconds / _GLANCE) + 1):
            if not self.is_alive():
                return True
            poller.poll(_GLANCE * 1000)
        return not self.is_alive()


def _stat(pid: int) -> tuple[str, str | None]:
    """The state and the start time of a process, as proc(5) has them; no time where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().decode("ascii", "replace").rpartition(") ")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", None


def remove_tree(path: str) -> bool:
    """Remove a directory and all in it, whatever its modes; follows no link. Whether it is gone."""
    for _ in range(_TRIES):  # somebody may still be writing into it
        _remove(path)
        if not os.path.lexists(path):
            return True
    return False


def _remove(path: str) -> None:
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        os.chmod(path, 0o700)
        for name in os.listdir(path):
            _remove(os.path.join(path, name))
        os.rmdir(path)
    except OSError:
        return


def name_in_the_making(directory: str) -> str:
    """What a directory is called before it is locked."""
    parent, name = os.path.split(directory)
    return os.path.join(parent, f".{name}")


def hold(directory: str) -> int | None:
    """Lock a directory against whoever sweeps leftovers, as long as what is returned is open. None: it cannot be."""
    try:
        found = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(found)
        return None
    return found


def main(directory: str, patience: float) -> None:
    """Wait for the pipe's end, which is on standard input, and clean up."""
    running: Running | None = None
    held: int | None = None
    with open(0, "rb", buffering=0) as pipe:
        for line in pipe:
            running = Running(int(line))
            if directory and held is None:
                held = hold(directory)
    if running is not None:
        running.signal(signal.SIGCONT)  # a stopped one could not hear that it is to end
        if not running.ends_within(patience):
            running.signal(signal.SIGKILL)
            running.ends_within(_TO_DIE)
    if directory:
        remove_tree(name_in_the_making(directory))
        remove_tree(directory)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
