"""Keeps the memory of an exec to itself: it holds every value it read, and the credentials it read them with."""

from __future__ import annotations

import ctypes

_PR_SET_DUMPABLE = 4


def be_private() -> None:
    """No core dump of this process; nor can the command, or another program of this user, look into it, where we can.

    That lasts until a process becomes another program (prctl(2)): the command is as any other. What is our user's alone
    below /proc/self, such as `environ`, is closed to ourselves, too.
    """
    try:
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError):
        return
