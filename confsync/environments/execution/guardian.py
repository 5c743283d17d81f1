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
    """Remove a directory of ours and all in it, whatever its modes. Whether it is gone.

    Follows no link, and leaves alone what is mounted in it. What lies deep is moved up before it is removed, so that no
    depth is too deep, and no path too long.
    """
    for _ in range(_TRIES):  # somebody may still be writing into it
        try:
            _remove(path)
        except OSError:
            continue
        if not os.path.lexists(path):
            return True
    return not os.path.lexists(path)


def _remove(path: str) -> None:
    try:
        top = _enter(path)
    except NotADirectoryError:
        os.unlink(path)
        return
    try:
        if os.fstat(top).st_uid != os.geteuid():
            return  # it has the name of ours, in a place that others write to
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(path)


def _enter(name: str, parent: int | None = None) -> int:
    """Open a directory, in which all may be done then."""
    found = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        _open_up(found)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=found)
    finally:
        os.close(found)


def _open_up(found: int) -> None:
    """Let us do all in a directory, if it is ours; by its descriptor, as a name could be another's by now."""
    try:
        if os.fstat(found).st_uid == os.geteuid():
            os.chmod(f"/proc/self/fd/{found}", 0o700)
    except OSError:
        return


def _empty(top: int) -> None:
    waiting = _clear(top, top)
    while waiting:
        name = waiting.pop()
        try:
            inner = _enter(name, top)
        except OSError:
            continue
        try:
            waiting += _clear(inner, top)
        finally:
            os.close(inner)
        try:
            os.rmdir(name, dir_fd=top)
        except OSError:
            continue


def _clear(directory: int, top: int) -> list[str]:
    """Remove what is in a directory. Other directories in it are moved to the top; gives their names there."""
    moved = []
    for name in os.listdir(directory):
        try:
            os.unlink(name, dir_fd=directory)
        except IsADirectoryError:
            moved += _moved(name, directory, top)
        except OSError:
            continue
    return moved


def _moved(name: str, parent: int, top: int) -> list[str]:
    new = os.urandom(8).hex()
    try:
        os.rename(name, new, src_dir_fd=parent, dst_dir_fd=parent)  # which fails where something is mounted
        if parent != top:
            os.close(_enter(new, parent))  # one that may not be written to cannot change its place
            os.rename(new, new, src_dir_fd=parent, dst_dir_fd=top)
    except OSError:
        return []
    return [new]


def name_in_the_making(directory: str) -> str:
    """What a directory is called before it is locked."""
    parent, name = os.path.split(directory)
    return os.path.join(parent, f".{name}")


def hold(directory: str) -> int | None:
    """Lock a directory against whoever sweeps leftovers, as long as what is returned is open.

    None: it cannot be, or the directory is not ours, and we could not remove it.
    """
    try:
        found = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(found).st_uid == os.geteuid():
            fcntl.flock(found, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return found
    except OSError:
        pass
    os.close(found)
    return None


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
