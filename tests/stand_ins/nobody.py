"""Be nobody for a while, in this process: no fork, which is safe only in a process that has one thread."""

from __future__ import annotations

import grp as grp  # what is imported late can be imported now: nobody may not read where Python is
import os
import pwd as pwd
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534


@contextmanager
def nobody() -> Iterator[None]:
    """What happens within happens as nobody, who may do little; needs root."""
    users, groups, others = os.getresuid(), os.getresgid(), os.getgroups()
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, groups[2])  # what is saved makes the way back possible
    os.setresuid(NOBODY, NOBODY, users[2])
    try:
        yield
    finally:
        os.setresuid(*users)
        os.setresgid(*groups)
        os.setgroups(others)
