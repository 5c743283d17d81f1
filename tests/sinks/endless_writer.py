"""Writes a target again and again until it is killed, in a fork of a process that has one thread and all imports.

    python endless_writer.py

For each line that it reads it says the process id of the writer, when that is about to begin, and after its end the
status. A line is a pickled (target, contents, options of `stage`), in hexadecimal.
"""

from __future__ import annotations

import itertools
import os
import pickle
import sys

from confsync.sinks import sink_for
from confsync.sinks.base import Desired


def main():
    """Read lines until there are no more."""
    for line in sys.stdin:
        spec, contents, options = pickle.loads(bytes.fromhex(line))
        write = writer(spec, contents, **options)
        pid = begun(write)
        say(pid)
        say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def say(number):
    """Tell whoever has asked."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def writer(spec, contents, **options):
    """A function that writes the next content each time it is called."""
    turns = itertools.cycle(contents)

    def write():
        staged = sink_for(spec).stage(Desired(spec, next(turns), True), **options)
        try:
            staged.commit()
        finally:
            staged.close()

    return write


def begun(work):
    """Fork, and call `work` for ever in the child; gives its process id when it is about to begin."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, b"!")
            while True:
                work()
        finally:
            os._exit(1)
    os.read(reading, 1)
    os.close(reading)
    os.close(writing)
    return pid


if __name__ == "__main__":
    main()
