"""When Python looks for garbage. A command that ends soon makes hardly any, and looking costs a fifth of its time."""

from __future__ import annotations

import atexit
import gc

_USUAL = gc.get_threshold()
_MORE = 200_000  # objects made and not gone after which the youngest are looked through; usually 700 or more


def look_rarely() -> None:
    """For a process that is about to import much and to end. It does not look a last time at its end either."""
    gc.set_threshold(_MORE, *_USUAL[1:])
    atexit.register(gc.freeze)


def look_as_usual() -> None:
    """For one that stays."""
    gc.set_threshold(*_USUAL)
