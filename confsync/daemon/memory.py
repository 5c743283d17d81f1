"""Memory that was freed goes back to the system, so that the daemon stays as small as what it knows."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE = 128 * 1024
"""Bytes; glibc's own first value."""


def give_back() -> None:
    """Have blocks of 128 KiB and more go back to the system as soon as they are freed; nothing where that cannot be.

    glibc raises that limit with every large block that is freed, and then keeps such blocks in a heap for each thread.
    A daemon makes a few for each change (all keys of a source, a record of what was read), in whichever worker is free.
    See mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries, as musl, need none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
