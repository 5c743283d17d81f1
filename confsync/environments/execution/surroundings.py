"""The variables of an exec's command: those of the environment it is to look like, and of our own what it may have.

Ours go along, as with any command of a shell, but for those that hold confsync's own credentials: a token that reads
all of production is no business of a program that got what the policy lets down. `--pristine` leaves only what
programs need to find their way (`USUAL`, and LC_*). `--keep NAME` brings any of ours along. Where both have a name,
the environment's value wins: that is what it is for.

Names and values are bytes: ours go along whatever they are, the environment's are UTF-8 whatever the locale.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

USUAL = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLORTERM", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PWD",
)  # fmt: skip
"""What a program gets of ours with `--pristine`; and all that begin with LC_."""

_COERCED = b"LC_CTYPE"

FILES = "CONFSYNC_FILES"
"""The variable that says where the files of the syncs are."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of our variables the command gets.

    Attributes:
        pristine: only those programs need to find their way.
        keep: names of others that it gets all the same.
        credentials: names of those that it does not get unless they are kept.
    """

    pristine: bool = False
    keep: Collection[str] = ()
    credentials: Collection[str] = ()

    def takes(self, name: str) -> bool:
        """Whether it gets ours of this name."""
        if name in self.keep:
            return True
        if name in self.credentials:
            return False
        return not self.pristine or name in USUAL or name.startswith("LC_")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the command gets.

    Attributes:
        overridden: the names of ours that have another value now.
        withheld: the names of ours that it does not get because they hold credentials.
    """

    variables: Mapping[bytes, bytes] = field(repr=False)
    overridden: tuple[str, ...]
    withheld: tuple[str, ...]


def our_variables() -> dict[bytes, bytes]:
    """Those we were started with: in the C locale Python sets LC_CTYPE, for itself, not for the command (PEP 538).

    One without a name is left out, as a shell does: Python gives it to no program.
    """
    ours = {name: value for name, value in os.environb.items() if name}
    try:
        began = dict(
            line.partition(b"=")[::2] for line in Path("/proc/self/environ").read_bytes().split(b"\0")
        )
    except OSError:
        return ours
    ours.pop(_COERCED, None)
    return ours | {name: value for name, value in began.items() if name == _COERCED}


def surround(
    ours: Mapping[bytes, bytes], theirs: Mapping[str, str], wanted: Wanted, files: str | None
) -> Surroundings:
    """Our variables, as far as they are wanted, and theirs.

    Args:
        theirs: name -> value, of the environment.
        files: where the files of the syncs are, or None.
    """
    given = {name.encode(): value.encode() for name, value in theirs.items()}
    if files is not None:
        given[FILES.encode()] = os.fsencode(files)
    kept = {name: value for name, value in ours.items() if wanted.takes(name.decode("utf-8", "replace"))}
    overridden = (name.decode() for name, value in given.items() if kept.get(name, value) != value)
    withheld = (name for name in wanted.credentials if name.encode() in ours.keys() - kept.keys())
    return Surroundings(kept | given, tuple(sorted(overridden)), tuple(sorted(withheld)))
